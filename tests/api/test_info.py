"""Live figures on the wire, and on the screen."""

from dataclasses import replace

import numpy as np

from rt_predictor.api.info import encode_live, encode_shadow
from rt_predictor.api.v1 import rt_predictor_pb2 as pb
from rt_predictor.cli.info_screen import show
from rt_predictor.client import GroupDrift, LiveFigures, Shadow
from rt_predictor.client.codec import model_info
from rt_predictor.shadow.report import Compared, ShadowReport
from tests.observability.test_live_metrics import FIGURES


def test_figures_come_under_the_names_of_training() -> None:
    response = pb.GetModelInfoResponse(live=encode_live(FIGURES, 0.9))
    assert model_info(response).live == LiveFigures(
        12,
        {
            **{"mae": 30.0, "accuracy": 0.7, "underestimated": 0.4, "crps": 25.0},
            **{"coverage": 0.88, "winkler": 200.0},
        },
        (GroupDrift("calibration", 0.3, "pit"),),
        {"last2": 40.0},
    )


def test_there_are_none_before_the_first_job() -> None:
    assert encode_live(replace(FIGURES, jobs=0), 0.9) == pb.LiveFigures()
    assert model_info(pb.GetModelInfoResponse()).live == LiveFigures()


def test_people_see_them_below_those_of_training(capsys) -> None:
    show(model_info(pb.GetModelInfoResponse(live=encode_live(FIGURES, 0.9))), 0, thanks=False)
    lines = capsys.readouterr().out.splitlines()
    place = next(n for n, line in enumerate(lines) if line.startswith("on later jobs"))
    assert lines[place + 1 : place + 3] == [
        "on live jobs   mean error 30 s, accuracy 70 %, ran longer 40 %, within the interval 88 %, "
        "after 12 jobs",
        "drift, PSI     calibration 0.30 (pit)",
    ]


REPORT = ShadowReport(
    at_s=1.0,
    model_version="v2",
    behind=4,
    live=FIGURES,
    compared=Compared().after(np.array([1.0, 1.0, 2.0, 1.0]), np.ones(4)).after_failures(1),
)


def shadow_of(report: ShadowReport) -> Shadow | None:
    return model_info(pb.GetModelInfoResponse(shadow=encode_shadow(report, 0.9))).shadow


def test_a_candidate_comes_with_the_figures_it_would_have() -> None:
    live = model_info(pb.GetModelInfoResponse(live=encode_live(FIGURES, 0.9))).live
    assert shadow_of(REPORT) == Shadow("v2", "", 4, live, 4, 0.25, 1)
    ill = ShadowReport(1.0, problem="damaged")
    assert shadow_of(ill) == Shadow("", "damaged", 0, LiveFigures(), 0, None, 0)
    assert model_info(pb.GetModelInfoResponse()).shadow is None


def test_people_see_a_candidate_below_the_model_that_answers(capsys) -> None:
    response = pb.GetModelInfoResponse(
        live=encode_live(FIGURES, 0.9), shadow=encode_shadow(REPORT, 0.9)
    )
    show(model_info(response), 0, thanks=False)
    lines = capsys.readouterr().out.splitlines()
    place = next(n for n, line in enumerate(lines) if line.startswith("shadow"))
    assert lines[place : place + 3] == [
        "shadow          v2",
        "  on live jobs  mean error 30 s, accuracy 70 %, ran longer 40 %, within the interval "
        "88 %, after 12 jobs, 4 to come",
        "  its answers   25 % of 4 differ by a tenth, 1 failed",
    ]
    response.shadow.CopyFrom(encode_shadow(ShadowReport(1.0, problem="damaged"), 0.9))
    show(model_info(response), 0, thanks=False)
    assert "shadow         damaged" in capsys.readouterr().out.splitlines()
