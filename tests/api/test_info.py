"""Live figures on the wire, and on the screen."""

from dataclasses import replace

from rt_predictor.api.info import encode_live
from rt_predictor.api.v1 import rt_predictor_pb2 as pb
from rt_predictor.cli.info_screen import show
from rt_predictor.client import GroupDrift, LiveFigures
from rt_predictor.client.codec import model_info
from tests.observability.test_live_metrics import FIGURES


def test_figures_come_under_the_names_of_training() -> None:
    response = pb.GetModelInfoResponse(live=encode_live(FIGURES, 0.9))
    assert model_info(response).live == LiveFigures(
        12,
        {"mae": 30.0, "accuracy": 0.7, "underestimated": 0.4, "coverage": 0.88, "winkler": 200.0},
        (GroupDrift("request", 0.3, "time_req"),),
    )


def test_there_are_none_before_the_first_job() -> None:
    assert encode_live(replace(FIGURES, jobs=0), 0.9) == pb.LiveFigures()
    assert model_info(pb.GetModelInfoResponse()).live == LiveFigures()


def test_people_see_them_below_those_of_training(capsys) -> None:
    show(model_info(pb.GetModelInfoResponse(live=encode_live(FIGURES, 0.9))), 0)
    lines = capsys.readouterr().out.splitlines()
    place = next(n for n, line in enumerate(lines) if line.startswith("on later jobs"))
    assert lines[place + 1 : place + 3] == [
        "on live jobs   mean error 30 s, accuracy 70 %, ran longer 40 %, within the interval 88 %, "
        "after 12 jobs",
        "drift, PSI     request 0.30 (time_req)",
    ]
