"""Intervals over the whole path: the committed model, made-up outcomes, and jobs of any kind."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rt_predictor.history.judge import Told
from rt_predictor.model.bounds import LEVELS

from rt_predictor.history.fold import Fold
from rt_predictor.history.history import History
from rt_predictor.jobs.outcomes import broken_outcomes
from rt_predictor.jobs.schema import JOB_SCHEMA, REQUEST_SCHEMA
from rt_predictor.serving.predictor import Predictor
from rt_predictor.settings import Settings

BUNDLE = Path(__file__).resolve().parents[2] / "artifacts" / "production"
LATEST_S = 1.8e9
GRANULARITY_S = 300.0
some_names = st.none() | st.sampled_from(["ann", "bob", "x" * 256, "ü"])
some_limits = st.none() | st.floats(1.0, 1e8)
a_request = st.fixed_dictionaries(
    {
        "submit_time": st.floats(1.7e9, LATEST_S),
        "processors_req": st.none() | st.integers(1, 10**6).map(float),
        "nodes_req": st.none() | st.integers(1, 10**4).map(float),
        "mem_req": st.none() | st.floats(1.0, 1e9),
        "gpus_req": st.none() | st.integers(0, 1000).map(float),
        "time_req": some_limits,
        **dict.fromkeys(("partition", "qos", "user", "account", "job_name"), some_names),
    }
)
an_outcome = st.tuples(a_request, st.floats(1.0, 1e7))
some_outcomes = st.lists(an_outcome, max_size=60)
some_requests = st.lists(a_request, min_size=1, max_size=12)


def finished(outcomes: list[tuple[dict[str, object], float]]) -> pl.DataFrame:
    """Their jobs, in the order of their end."""
    rows = [
        {
            **request,
            "job_id": str(number),
            "start_time": request["submit_time"],
            "end_time": request["submit_time"] + runtime,  # type: ignore[operator]
            "runtime": runtime,
            "state": None,
        }
        for number, (request, runtime) in enumerate(outcomes)
    ]
    found = pl.DataFrame(rows, schema=dict(JOB_SCHEMA)).sort("end_time")
    assert not broken_outcomes(found)
    return found


@pytest.fixture(scope="module", params=[False, True], ids=["free", "limits_enforced"])
def service(request: pytest.FixtureRequest) -> tuple[Predictor, History]:
    history = History.off()
    chosen = {
        "model.path": BUNDLE,
        "prediction.limits_enforced": request.param,
        "prediction.limit_granularity_s": GRANULARITY_S,
        "features.optimization.n_jobs": 1,
        "features.optimization.enable_caching": False,
    }
    return Predictor.load(Settings().with_overrides(chosen), history), history


@settings(max_examples=60, deadline=None)
@given(outcomes=some_outcomes, asked=some_requests)
def test_whatever_has_ended_and_is_asked_intervals_are_sound_at_every_level(
    outcomes: list[tuple[dict[str, object], float]],
    asked: list[dict[str, object]],
    service: tuple[Predictor, History],
) -> None:
    predictor, history = service
    fold = Fold.empty(predictor, 10**4, 10**4)
    fold.take(finished(outcomes), len(outcomes))
    assert fold.model.figures.jobs == len(outcomes)
    history._follower.fold = fold
    jobs = pl.DataFrame(asked, schema=dict(REQUEST_SCHEMA))
    answers = predictor.predict(jobs)
    given = predictor.graph_inputs(jobs)
    told = Told.of(predictor.said(given), given.offsets)
    narrower, shorter_s = None, np.zeros(len(jobs))
    for level in LEVELS:
        found = answers.at_level(level)
        ends = np.stack([found.lower_s, found.runtime_s, found.upper_s])
        assert np.isfinite(ends).all()
        assert (ends >= 1).all(), "no job is over within a second"
        assert (np.diff(ends, axis=0) >= 0).all(), "the prediction lies inside"
        if narrower is not None:
            assert (found.lower_s <= narrower.lower_s).all()
            assert (found.upper_s >= narrower.upper_s).all()
        np.testing.assert_array_equal(
            np.stack([told.lower_s[:, LEVELS.index(level)], told.upper_s[:, LEVELS.index(level)]]),
            ends[[0, 2]],
            err_msg="outcomes are judged by what was answered, to the last bit",
        )
        if predictor.limits_enforced:
            limit_s = jobs["time_req"].fill_null(np.inf).to_numpy().astype(np.float32)
            assert (found.upper_s <= np.maximum(limit_s, found.runtime_s)).all()
        enough_s = found.recommended_time_req_s
        assert (enough_s >= shorter_s).all()
        assert (enough_s >= found.runtime_s * (1 - 1e-9)).all()
        assert (enough_s % GRANULARITY_S == 0).all()
        narrower, shorter_s = found, enough_s


def test_a_job_without_a_limit_has_an_upper_end_where_limits_are_enforced(
    service: tuple[Predictor, History],
) -> None:
    predictor, history = service
    history._follower.fold = Fold.empty(predictor, 10**4, 10**4)
    request = dict.fromkeys(REQUEST_SCHEMA) | {"submit_time": 1.75e9, "processors_req": 4.0}
    found = predictor.predict(pl.DataFrame([request], schema=dict(REQUEST_SCHEMA)))
    assert found.upper_s[0] > found.runtime_s[0]
