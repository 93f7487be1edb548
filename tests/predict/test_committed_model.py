"""The model that comes with the program: it answers, one answer a job, without contradictions."""

from pathlib import Path

import numpy as np
import pytest

from rt_predictor.jobs.rules import MAX_RUNTIME_S
from rt_predictor.predict.predictions import Predictions
from rt_predictor.predict.predictor import Predictor
from tests.predict.plain import a_log, assert_same_rows, events_of, knowing, questions

BUNDLE = Path(__file__).resolve().parents[2] / "artifacts" / "production"
LOG = a_log(1500)
JOBS = questions(3000, LOG, seed=4)


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    return knowing(BUNDLE, events_of(LOG))


@pytest.fixture(scope="module")
def whole(predictor: Predictor) -> Predictions:
    return predictor.predict(JOBS)


def test_a_job_has_one_answer_alone_and_among_others(
    predictor: Predictor, whole: Predictions
) -> None:
    for place, row in enumerate(JOBS[:60].rows(named=True)):
        assert_same_rows(predictor.predict([row]), [place], whole)
    order = np.random.default_rng(0).permutation(len(JOBS))
    for some in np.array_split(order, [3, 10, 75, 400]):
        assert_same_rows(predictor.predict(JOBS[some.tolist()]), some.tolist(), whole)


def test_numbers_of_an_answer_agree(whole: Predictions) -> None:
    times_s = np.stack([whole.lower_s, whole.runtime_s, whole.upper_s])
    assert np.isfinite(times_s).all()
    assert (times_s >= 1).all()
    assert (np.diff(times_s, axis=0) >= 0).all()
    limit_s = JOBS["time_req"].fill_null(np.nan).to_numpy()
    limited = limit_s >= 1
    at_limit = whole.runtime_s >= limit_s
    np.testing.assert_array_equal(at_limit[limited], whole.timeout_probability[limited] > 0.5)
    usual = JOBS["confidence_level"].is_null().to_numpy()
    enough = ~(whole.timeout_probability > 1 - whole.confidences)  # true without a limit
    np.testing.assert_array_equal(np.isfinite(whole.recommended_time_req_s), enough)
    assert (whole.recommended_time_req_s > whole.runtime_s)[usual & enough].all()
    assert np.median(whole.runtime_s) < MAX_RUNTIME_S / 100


def test_a_user_who_runs_the_same_again_and_again_is_told_so(predictor: Predictor) -> None:
    found = predictor.predict(
        LOG.tail(300).drop("job_id", "start_time", "end_time", "runtime", "state", "attempt")
    )
    ran_s = LOG.tail(300)["runtime"].to_numpy()
    ratio = np.minimum(found.runtime_s, ran_s) / np.maximum(found.runtime_s, ran_s)
    assert np.median(ratio) > 0.7
