"""What a candidate makes of calls; its process is tried in tests/e2e/test_shadow.py."""

from pathlib import Path

import numpy as np
import pytest

from rt_predictor.errors import StartupError
from rt_predictor.history.history import History
from rt_predictor.settings import HistorySettings
from rt_predictor.shadow.candidate import Candidate, _listening
from rt_predictor.shadow.folder import ShadowFolder
from rt_predictor.shadow.report import Compared, ShadowReport
from rt_predictor.shadow.sampler import pack_sample
from tests.predict.fakes import POISON, FakePredictor
from tests.shadow.test_sampler import ROWS

HALF_S = FakePredictor().predict(ROWS).runtime_s / 2


@pytest.fixture
def place(tmp_path: Path) -> ShadowFolder:
    return ShadowFolder(tmp_path, share=1.0)


def reported(candidate: Candidate, place: ShadowFolder) -> ShadowReport:
    candidate.publish()
    report = place.latest()
    assert report is not None
    return report


def test_it_compares_its_answers_with_those_that_were_served(place: ShadowFolder) -> None:
    candidate = Candidate(FakePredictor(), History.off(), place)
    candidate.compare(pack_sample(ROWS, HALF_S))
    report = reported(candidate, place)
    assert report.compared == Compared().after(np.full(len(ROWS), 2.0), np.ones(len(ROWS)))
    assert (report.model_version, report.problem, report.up) == ("fake-1", "", True)
    assert report.memory_bytes > 0


def test_a_call_on_which_it_fails_is_counted_and_the_next_one_answered(place: ShadowFolder) -> None:
    candidate = Candidate(FakePredictor(), History.off(), place)
    poisoned = [{**ROWS[0], "job_name": POISON}]
    candidate.compare(pack_sample(poisoned, HALF_S[:1]))
    candidate.compare(b"no sample")
    candidate.compare(pack_sample(ROWS, HALF_S))
    compared = reported(candidate, place).compared
    assert (compared.failed, compared.answers) == (1, len(ROWS))


def test_nothing_is_compared_before_the_outcome_log_has_been_read(place: ShadowFolder) -> None:
    history = History(HistorySettings(path=place.folder / "history.sqlite"))
    candidate = Candidate(FakePredictor(), history, place)
    history._started = True
    candidate.compare(pack_sample(ROWS, HALF_S))
    history._started = False
    assert reported(candidate, place).compared.answers == 0


def test_a_path_that_is_too_long_for_a_socket_is_told_in_words(tmp_path: Path) -> None:
    with (
        pytest.raises(StartupError, match="set TMPDIR to a shorter path"),
        _listening(ShadowFolder(tmp_path / ("x" * 120), share=1.0)),
    ):
        pass


def test_what_another_process_left_in_its_place_is_no_trouble(place: ShadowFolder) -> None:
    for _ in range(2):
        with _listening(place) as calls:
            assert calls.getsockname() == str(place.socket)
