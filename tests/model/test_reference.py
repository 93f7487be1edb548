"""Bins, and how far their shares have moved."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rt_predictor.features.declared import INPUTS
from rt_predictor.model.reference import (
    BINS,
    ERROR,
    HISTORY,
    NO_REFERENCE,
    RUNTIME_TO_PREDICTION,
    WATCHED_INPUTS,
    Drift,
    population_stability_index,
)
from tests.history.fakes import A_REFERENCE, watched

NAN = float("nan")


def test_a_bin_goes_up_to_its_edge_and_nan_has_one_of_its_own() -> None:
    column = watched("user_runs", HISTORY, 1, 3, 9)
    values = np.array([-5, 1, 1.5, 3, 9, 9.5, np.inf, NAN], dtype=np.float32)
    assert column.bins(values).tolist() == [0, 0, 1, 1, 2, 3, 3, BINS - 1]


def test_errors_and_inputs_are_binned_side_by_side() -> None:
    inputs = np.full((2, len(INPUTS)), NAN, dtype=np.float32)
    runs = [item.name for item in INPUTS].index("user_runs")
    inputs[0, runs] = 2
    bins = A_REFERENCE.bins(inputs, np.array([0.4, 5.0]))
    assert bins.tolist() == [[1, 0], [BINS - 1, 3]]


def test_the_index_of_what_is_worked_out_by_hand() -> None:
    index = population_stability_index(np.array([0.5, 0.5]), np.array([0.75, 0.25]))
    assert index == pytest.approx(0.25 * np.log(1.5) - 0.25 * np.log(0.5))


shares = st.lists(st.floats(0.01, 1), min_size=3, max_size=3).map(
    lambda weights: np.array(weights) / sum(weights)
)


@given(shares, shares)
def test_the_index_is_never_below_zero_and_the_same_both_ways(
    then: np.ndarray, late: np.ndarray
) -> None:
    index = population_stability_index(then, late)
    assert index >= 0
    assert index == pytest.approx(population_stability_index(late, then))
    assert population_stability_index(then, then) == 0


def test_a_group_tells_of_the_column_that_moved_furthest() -> None:
    counts = np.zeros((2, BINS))
    counts[0, 0] = counts[1, 0] = 1000.0
    moved = A_REFERENCE.drift(counts)
    assert set(moved) == {HISTORY, ERROR}
    assert moved[ERROR].column == RUNTIME_TO_PREDICTION
    assert moved[HISTORY].psi > 1
    as_ever = A_REFERENCE.drift(1e6 * np.array([column.shares for column in A_REFERENCE.columns]))
    assert as_ever[HISTORY] == Drift(pytest.approx(0, abs=0.01), "user_runs")


def test_what_training_never_saw_is_surprising_but_not_infinitely() -> None:
    counts = np.zeros((2, BINS))
    counts[:, 7] = 1e9
    assert 5 < A_REFERENCE.drift(counts)[HISTORY].psi < 50


def test_a_model_without_a_reference_tells_of_no_drift() -> None:
    assert NO_REFERENCE.drift(np.zeros((0, BINS))) == {}


def test_all_that_is_watched_is_an_input() -> None:
    assert set(WATCHED_INPUTS) <= {item.name for item in INPUTS}
