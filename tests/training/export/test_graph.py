"""The whole graph against the same in NumPy, and the laws that its answers keep."""

from dataclasses import dataclass, replace
from functools import cache
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from rt_predictor.features.declared import INPUTS
from rt_predictor.history.experts import SCOPES, USER
from rt_predictor.jobs.rules import NUMBER_RULES
from rt_predictor.model.bounds import TAILS
from rt_predictor.model.ports import GraphInputs, GraphOutputs
from rt_predictor.model.session import ModelSession
from rt_predictor.training.combine import (
    EXPERTS,
    MIN_RUNTIME_S,
    RULES,
    Combination,
    expert_weights,
    weighted_median,
)
from rt_predictor.training.export.graph import Bounds
from rt_predictor.training.exported import export_graph
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


def some_offsets(rng: np.random.Generator, rows: int) -> Float32:
    """Offsets on the cube-root scale, of either sign; some are absurd."""
    scale = rng.choice([0.0, 0.05, 0.5, 100.0], (rows, 1))
    return (scale * rng.normal(0, 1, (rows, TAILS))).astype(np.float32)


def ask(session: ModelSession, *given: Float32) -> GraphOutputs:
    """What a graph says; without offsets, as they stand before any job has ended: none."""
    inputs, sums, *rest = given
    offsets = rest[0] if rest else np.zeros((len(inputs), TAILS), np.float32)
    return GraphOutputs(session.run(GraphInputs.of(inputs, sums, offsets).matrix))


def check_sound(said: GraphOutputs) -> None:
    """Invariants of every answer."""
    for found in (said.prediction, said.lower, said.upper, said.experts):
        assert np.isfinite(found).all()
        assert (found >= MIN_RUNTIME_S).all()
    point = said.prediction[:, None]
    assert (said.lower <= point).all()
    assert (point <= said.upper).all()
    for narrower, wider in pairwise(range(said.lower.shape[1])):
        assert (said.lower[:, wider] <= said.lower[:, narrower]).all()
        assert (said.upper[:, narrower] <= said.upper[:, wider]).all()
    chance = said.timeout[~np.isnan(said.timeout)]
    assert ((chance >= 0) & (chance <= 1)).all()


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
    offsets = some_offsets(rng, 60)
    said = ask(subject.graphs[cap], inputs, sums, offsets)
    point, experts = said.prediction, said.experts
    combined = combination(fitted, cap)
    features = fitted.ensemble.encoder.arithmetic.run(inputs)
    limits = inputs[:, COLUMN["time_req"]].astype(np.float64)
    ensemble = replace(fitted.ensemble, combination=combined)
    asked = Encoded(inputs, features, limits)
    expected = ensemble.experts_s(asked)
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
    lower, upper = fitted.models.intervals_s(asked, offsets, point.astype(np.float64))
    np.testing.assert_allclose(said.lower, lower, rtol=1e-3, atol=largest)
    np.testing.assert_allclose(said.upper, upper, rtol=1e-3, atol=largest)
    np.testing.assert_allclose(said.timeout, fitted.models.timeout_chance(asked), atol=1e-5)


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
    check_sound(ask(subject.graphs[cap], inputs, sums, some_offsets(rng, 60)))


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
    said = ask(subject.graphs[1.0], valid(rows), sums)
    check_sound(said)
    assert (said.experts.min(axis=1) <= said.prediction).all()
    assert (said.prediction <= said.experts.max(axis=1)).all()


@pytest.fixture(scope="module")
def bulk(fitted: Fitted, encoded: Encoded) -> tuple[ModelSession, GraphInputs, GraphOutputs]:
    rng = np.random.default_rng(8)
    rows = some_rows(rng, encoded, 500)
    given = GraphInputs.of(rows, some_sums(rng, 500), some_offsets(rng, 500))
    session = fitted.graph()
    return session, given, GraphOutputs(session.run(given.matrix))


@pytest.mark.parametrize("rows", range(1, ROWS + 1))
def test_a_job_gets_the_same_answer_among_any_number_of_others(
    rows: int, bulk: tuple[ModelSession, GraphInputs, GraphOutputs]
) -> None:
    session, given, whole = bulk
    for start in (0, 7 * rows % 400, 400):
        part = slice(start, start + rows)
        some = session.run(given.rows(part).matrix)
        assert some.tobytes() == whole.matrix[:, part].tobytes()


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
        said = ask(session, inputs, sums)
        np.testing.assert_array_equal(said.prediction, said.experts[:, expert])


def test_losses_of_all_jobs_and_of_a_user_are_told_apart(fitted: Fitted, encoded: Encoded) -> None:
    sums = np.zeros((len(encoded.inputs), SCOPES, len(EXPERTS) + 1), np.float32)
    sums[:, USER] = some_sums(np.random.default_rng(1), len(sums))[:, USER]
    session = fitted.graph()
    straight, swapped = (
        ask(session, encoded.inputs, np.ascontiguousarray(given)).prediction
        for given in (sums, sums[:, ::-1])
    )
    assert (straight != swapped).any()


def test_an_overrun_below_the_limit_is_refused() -> None:
    with pytest.raises(ValueError, match="may use their limit"):
        Bounds(0.9, None)


def test_offsets_widen_their_own_end_alone(fitted: Fitted, encoded: Encoded) -> None:
    session, rows = fitted.graph(), encoded.inputs
    sums = np.zeros((len(rows), SCOPES, len(EXPERTS) + 1), np.float32)
    plain = ask(session, rows, sums)
    for tail in range(TAILS):
        offsets = np.zeros((len(rows), TAILS), np.float32)
        offsets[:, tail] = 0.2
        moved = ask(session, rows, sums, offsets)
        np.testing.assert_array_equal(moved.prediction, plain.prediction)
        assert (moved.lower <= plain.lower).all()
        assert (moved.upper >= plain.upper).all()
        changed = (moved.lower != plain.lower).any(), (moved.upper != plain.upper).any()
        assert changed == (tail < TAILS // 2, tail >= TAILS // 2)


def test_where_no_job_reached_its_limit_the_base_rate_is_said(
    fitted: Fitted, encoded: Encoded
) -> None:
    calibration = fitted.models.calibration.model_copy(update={"timeout_base_rate": 0.0})
    models = replace(fitted.models, timeouts=None, calibration=calibration)
    session = export_graph(fitted.ensemble, models).session
    sums = np.zeros((len(encoded.inputs), SCOPES, len(EXPERTS) + 1), np.float32)
    found = ask(session, encoded.inputs, sums).timeout
    limited = ~np.isnan(encoded.time_req_s)
    np.testing.assert_allclose(found[limited], 1e-4, rtol=1e-3)
    assert np.isnan(found[~limited]).all()
