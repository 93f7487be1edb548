"""The whole graph against the same in NumPy, and the laws that its answers keep."""

from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from rt_predictor.features.declared import INPUTS
from rt_predictor.features.rules import NUMBER_RULES
from rt_predictor.history.experts import SCOPES, USER
from rt_predictor.model.session import ModelSession
from rt_predictor.training.combine import (
    EXPERTS,
    MIN_RUNTIME_S,
    RULES,
    Combination,
    expert_weights,
    weighted_median,
)
from rt_predictor.training.export.graph import IntervalShape
from rt_predictor.training.prepare import Encoded
from tests.training.fitted import Fitted

CAPS = (1.0, 1.25, None)
COLUMN = {item.name: place for place, item in enumerate(INPUTS)}
CODES = [place for name, place in COLUMN.items() if name.endswith("_code")]
ROWS = 70
(GREATEST_LIMIT_S,) = (rule.maximum for rule in NUMBER_RULES if rule.field == "time_req")
SEEDS = st.integers(0, 2**32 - 1)

Float32 = np.ndarray


@dataclass(frozen=True, repr=False)  # the reports of Hypothesis would be hundreds of kB long
class Subject:
    """A fitted ensemble, jobs to ask it of, and its graphs by cap."""

    fitted: Fitted
    encoded: Encoded
    graphs: dict[float | None, ModelSession]


@pytest.fixture(scope="module")
def subject(fitted: Fitted, encoded: Encoded, graphs: dict[float | None, ModelSession]) -> Subject:
    return Subject(fitted, encoded, graphs)


@pytest.fixture(scope="module")
def encoded(fitted: Fitted) -> Encoded:
    """The test span, as it is."""
    return fitted.ensemble.encoder.encode(fitted.log, fitted.log.split.test)


@pytest.fixture(scope="module")
def graphs(fitted: Fitted) -> dict[float | None, ModelSession]:
    """Graphs of other caps, and of experts that were not alike before any job had ended."""
    return {cap: fitted.graph(combination(fitted, cap)) for cap in CAPS}


@cache
def prior_losses() -> tuple[tuple[float, ...], ...]:
    rng = np.random.default_rng(3)
    scopes = (rng.uniform(least, 2 * least, len(EXPERTS)) for least in (500, 0.3))
    return tuple(tuple(scope.tolist()) for scope in scopes)


def combination(fitted: Fitted, cap: float | None) -> Combination:
    return fitted.combined(limit_cap=cap, prior_losses=prior_losses())


def some_sums(rng: np.random.Generator, rows: int) -> Float32:
    """Sums of losses and of ones: of all jobs, of a user's, of both, or of none."""
    weight = rng.choice([0.0, 1.0, 5.0, 300.0, 2000.0], (rows, SCOPES, 1))
    loss = np.exp(
        rng.uniform(-3, 16, (rows, SCOPES, 1)) + rng.normal(0, 0.5, (rows, 1, len(EXPERTS)))
    )
    return np.concatenate([weight * loss, weight], axis=2).astype(np.float32)


def some_rows(rng: np.random.Generator, encoded: Encoded, rows: int) -> Float32:
    """Inputs of real jobs; many lack a number, and some have neither limit nor history."""
    inputs = encoded.inputs[rng.integers(0, len(encoded.inputs), rows)].copy()
    codes = inputs[:, CODES]
    inputs[rng.random(inputs.shape) < rng.choice([0, 0.1, 0.5, 0.9], (rows, 1))] = np.nan
    inputs[rng.random(rows) < 0.3, len(INPUTS) // 2 :] = np.nan
    inputs[rng.random(rows) < 0.2, COLUMN["time_req"]] = np.nan
    inputs[:, CODES] = codes
    return inputs


@settings(max_examples=40, deadline=None)
@given(seed=SEEDS, cap=st.sampled_from(CAPS))
def test_the_graph_is_what_numpy_makes_of_the_native_boosters(
    seed: int, cap: float | None, subject: Subject
) -> None:
    fitted, rng = subject.fitted, np.random.default_rng(seed)
    inputs, sums = some_rows(rng, subject.encoded, 60), some_sums(rng, 60)
    point, _, experts = subject.graphs[cap].run(inputs, sums)
    combined = combination(fitted, cap)
    (features,) = fitted.ensemble.encoder.arithmetic.run(inputs)
    limits = inputs[:, COLUMN["time_req"]].astype(np.float64)
    ensemble = replace(fitted.ensemble, combination=combined)
    expected = ensemble.experts_s(Encoded(inputs, features, limits))
    largest = 1e-6 * combined.max_runtime_s  # leaves as large as that cancel out in float32
    np.testing.assert_allclose(experts, expected, rtol=1e-5, atol=largest)
    rules = slice(-len(RULES), None)
    np.testing.assert_array_equal(experts[:, rules], expected[:, rules].astype(np.float32))
    weights = expert_weights(sums, np.array(combined.prior_losses))
    # Rounding may decide where half of the weight lies on either side of an expert.
    least, greatest = (
        weighted_median(experts.astype(np.float64), weights, share) for share in (0.4999, 0.5001)
    )
    assert ((least <= point) & (point <= greatest)).all()
    assert (point[:, None] == experts).any(axis=1).all()
    assert (least == greatest).mean() > 0.9


@settings(max_examples=40, deadline=None)
@given(seed=SEEDS, cap=st.sampled_from(CAPS))
def test_even_absurd_jobs_get_finite_positive_ordered_answers(
    seed: int, cap: float | None, subject: Subject
) -> None:
    rng = np.random.default_rng(seed)
    inputs, sums = some_rows(rng, subject.encoded, 60), some_sums(rng, 60)
    absurd = rng.random(inputs.shape) < rng.choice([0.05, 0.5], (60, 1))
    absurd[:, CODES] = False
    extremes = [0.0, 1e-30, 1e-3, 1.0, 1e12, 1e30, 3e38]
    inputs[absurd] = rng.choice(extremes, absurd.sum()).astype(np.float32)
    # A limit is bounded by the rule that every job is checked by; beyond it, times a cap is inf.
    limits = inputs[:, COLUMN["time_req"]]
    inputs[:, COLUMN["time_req"]] = np.minimum(limits, GREATEST_LIMIT_S)
    sums[rng.random(60) < 0.2] *= 1e6
    point, interval, experts = subject.graphs[cap].run(inputs, sums)
    for found in (point, interval, experts):
        assert np.isfinite(found).all()
        assert (found >= MIN_RUNTIME_S).all()
    assert (interval[:, 0] <= point).all()
    assert (point <= interval[:, 1]).all()


values = st.one_of(st.just(float("nan")), st.floats(0, 2**30, width=32), st.just(1e12))
inputs = arrays(np.float32, (ROWS, len(INPUTS)), elements=values)
losses = arrays(
    np.float32,
    (ROWS, SCOPES, len(EXPERTS) + 1),
    elements=st.one_of(st.just(0.0), st.floats(0, 2**30, width=32)),
)


def valid(rows: Float32) -> Float32:
    """Rows as the assembler may give them: codes exist, and limits are at least a second."""
    rows = rows.copy()
    rows[:, CODES] = np.where(np.isnan(rows[:, CODES]), 0, 1)
    rows[:, COLUMN["time_req"]] = np.maximum(rows[:, COLUMN["time_req"]], 1)
    return rows


@settings(max_examples=30, deadline=None)
@given(rows=inputs, sums=losses)
def test_answers_to_rows_without_any_sense_are_in_order_too(
    rows: Float32, sums: Float32, subject: Subject
) -> None:
    point, interval, experts = subject.graphs[1.0].run(valid(rows), sums)
    for answer in (point, interval, experts):
        assert np.isfinite(answer).all()
        assert (answer >= 1).all()
    assert (interval[:, 0] <= point).all()
    assert (point <= interval[:, 1]).all()
    assert (experts.min(axis=1) <= point).all()
    assert (point <= experts.max(axis=1)).all()


@pytest.fixture(scope="module")
def bulk(fitted: Fitted, encoded: Encoded) -> tuple[ModelSession, Float32, Float32, list[Float32]]:
    rng = np.random.default_rng(8)
    inputs, sums = some_rows(rng, encoded, 500), some_sums(rng, 500)
    session = fitted.graph()
    return session, inputs, sums, session.run(inputs, sums)


@pytest.mark.parametrize("rows", range(1, ROWS + 1))
def test_a_job_gets_the_same_answer_among_any_number_of_others(
    rows: int, bulk: tuple[ModelSession, Float32, Float32, list[Float32]]
) -> None:
    session, inputs, sums, whole = bulk
    for start in (0, 7 * rows % 400, 400):
        part = slice(start, start + rows)
        for found, expected in zip(session.run(inputs[part], sums[part]), whole, strict=True):
            assert found.tobytes() == expected[part].tobytes()


def test_an_expert_that_was_right_for_the_user_is_believed(
    fitted: Fitted, encoded: Encoded
) -> None:
    session = fitted.graph()
    inputs = encoded.inputs
    for expert in range(len(EXPERTS)):
        sums = np.zeros((len(inputs), SCOPES, len(EXPERTS) + 1), np.float32)
        sums[:, :, -1] = 1000
        sums[:, :, :-1] = 1e9
        sums[:, :, expert] = 0
        point, _, experts = session.run(inputs, sums)
        np.testing.assert_array_equal(point, experts[:, expert])


def test_losses_of_all_jobs_and_of_a_user_are_told_apart(fitted: Fitted, encoded: Encoded) -> None:
    sums = np.zeros((len(encoded.inputs), SCOPES, len(EXPERTS) + 1), np.float32)
    sums[:, USER] = some_sums(np.random.default_rng(1), len(sums))[:, USER]
    session = fitted.graph()
    straight, swapped = (session.run(encoded.inputs, given)[0] for given in (sums, sums[:, ::-1]))
    assert (straight != swapped).any()


@pytest.mark.parametrize(
    "shape", [(1.2, 2.0, 1.0), (0.0, 2.0, 1.0), (0.5, 0.9, 1.0), (0.5, 2.0, 0.9)]
)
def test_an_interval_that_does_not_enclose_the_answer_is_refused(
    shape: tuple[float, float, float],
) -> None:
    with pytest.raises(ValueError, match="does not enclose"):
        IntervalShape(*shape)
