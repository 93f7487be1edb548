"""What the graph makes of trees and losses, against the same in NumPy."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from rt_predictor.features.declared import INPUTS
from rt_predictor.history.experts import SCOPES
from rt_predictor.model.bundle import read_bundle
from rt_predictor.model.session import CPU, ModelSession
from rt_predictor.training.combine import EXPERTS, RULES

ROWS = 70
COLUMN = {item.name: place for place, item in enumerate(INPUTS)}
CODES = [COLUMN[name] for name in ("partition_code", "qos_code", "account_code")]


@pytest.fixture(scope="module")
def session(tiny_bundle: Path) -> ModelSession:
    bundle = read_bundle(tiny_bundle)
    return ModelSession(bundle.graph, bundle.ensemble.graph_outputs, (CPU,))


values = st.one_of(st.just(float("nan")), st.floats(0, 2**30, width=32), st.just(1e12))
inputs = arrays(np.float32, (ROWS, len(INPUTS)), elements=values)
losses = arrays(
    np.float32,
    (ROWS, SCOPES, len(EXPERTS) + 1),
    elements=st.one_of(st.just(0.0), st.floats(0, 2**30, width=32)),
)


def valid(rows: np.ndarray) -> np.ndarray:
    """Rows as the assembler may give them: codes exist, and limits are at least a second."""
    rows = rows.copy()
    rows[:, CODES] = np.where(np.isnan(rows[:, CODES]), 0, 1)
    rows[:, COLUMN["time_req"]] = np.maximum(rows[:, COLUMN["time_req"]], 1)
    return rows


@settings(max_examples=30, deadline=None)
@given(rows=inputs, sums=losses)
def test_every_answer_is_finite_positive_and_in_order(
    session: ModelSession, rows: np.ndarray, sums: np.ndarray
) -> None:
    point, interval, experts = session.run(valid(rows), sums)
    for answer in (point, interval, experts):
        assert np.isfinite(answer).all()
        assert (answer >= 1).all()
    assert (interval[:, 0] <= point).all()
    assert (point <= interval[:, 1]).all()
    assert (experts.min(axis=1) <= point).all()
    assert (point <= experts.max(axis=1)).all()


@settings(max_examples=30, deadline=None)
@given(rows=inputs, sums=losses, data=st.data())
def test_a_row_is_answered_alone_as_among_others(
    session: ModelSession, rows: np.ndarray, sums: np.ndarray, data: st.DataObject
) -> None:
    rows = valid(rows)
    whole = session.run(rows, sums)
    count = data.draw(st.integers(1, ROWS))
    start = data.draw(st.integers(0, ROWS - count))
    part = session.run(rows[start : start + count], sums[start : start + count])
    for all_rows, some in zip(whole, part, strict=True):
        assert all_rows[start : start + count].tobytes() == some.tobytes()


def test_the_expert_that_was_right_of_late_is_followed(session: ModelSession) -> None:
    rows = np.full((1, len(INPUTS)), np.nan, dtype=np.float32)
    rows[:, CODES] = 0
    rows[:, COLUMN["time_req"]] = 36_000
    for key in ("user_size_time", "user_time", "user"):
        rows[:, COLUMN[f"{key}_median5"]] = 777
        rows[:, COLUMN[f"{key}_last"]] = 55
    sums = np.full((1, SCOPES, len(EXPERTS) + 1), 1e9, dtype=np.float32)
    sums[..., -1] = 1000
    for rule, expected in zip(RULES, (777, 55), strict=True):
        followed = sums.copy()
        followed[..., EXPERTS.index(rule)] = 0
        assert session.run(rows, followed)[0] == [expected]
