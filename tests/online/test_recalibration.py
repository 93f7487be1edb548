from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rt_predictor.model.distribution import Distribution
from rt_predictor.model.level_maps import KNOTS
from rt_predictor.online.groups import SHAPES
from rt_predictor.online.influence import LEAST_SHARE, TRUSTED_S
from rt_predictor.online.outcomes import Outcomes, uniform
from rt_predictor.online.recalibration import LEARNED_OUTCOMES, LearnedLevels, Recalibration
from tests.model.distributions import random_jobs
from tests.online.outcomes import random_outcomes, some

EACH = np.arange(SHAPES)


def _values(recalibration: Recalibration, at_s: float = np.inf) -> np.ndarray:
    """Return the image of the knots under each group's map: [SHAPES, K]."""
    maps, which = recalibration.maps_at(EACH, np.full(SHAPES, at_s))
    return maps.values[which]


def _folded(outcomes: Outcomes) -> Recalibration:
    recalibration = Recalibration()
    recalibration.fold(outcomes)
    return recalibration


def test_nothing_changes_before_the_first_outcome() -> None:
    assert np.abs(_values(Recalibration()) - KNOTS).max() < 1e-12


def test_levels_that_hold_stay() -> None:
    assert np.abs(_values(_folded(random_outcomes(0, 20_000))) - KNOTS).max() < 0.06


def test_a_map_learns_how_often_outcomes_lie_below_each_level() -> None:
    values = _values(_folded(random_outcomes(0, 20_000, power=2.0)))
    assert np.abs(values - KNOTS**0.5).max() < 0.07


def test_an_outcome_at_a_point_lies_within_ends_at_that_point() -> None:
    outcomes = random_outcomes(0, 6000)
    everything = np.full(len(outcomes), 1.0)
    values = _values(_folded(replace(outcomes, lower_level=everything, upper_level=0 * everything)))
    assert (values[:, KNOTS < 0.49] < 0.1).all()
    assert (values[:, KNOTS > 0.51] > 0.9).all()


def test_a_rare_group_follows_all_others() -> None:
    outcomes = random_outcomes(0, 6000, power=2.0, shapes=2)
    values = _values(_folded(outcomes))
    assert np.array_equal(values[SHAPES - 1], values[SHAPES - 2])
    assert np.abs(values[SHAPES - 1] - KNOTS**0.5).max() < 0.1


@given(st.integers(0, 2**32), st.lists(st.integers(0, 400), max_size=4))
def test_pieces_do_not_matter(seed: int, cuts: list[int]) -> None:
    outcomes = random_outcomes(seed, 400, power=1.5, users=5)
    whole, pieces = _folded(outcomes), Recalibration()
    edges = [0, *sorted(cuts), 400]
    for first, last in pairwise(edges):
        pieces.fold(some(outcomes, slice(first, last)))
        pieces = Recalibration.restored(pieces.state())
    for at_s in (-1.0, *outcomes.end_s[::37].tolist(), np.inf):
        assert _values(whole, at_s).tobytes() == _values(pieces, at_s).tobytes()
    assert len(whole) == len(pieces) == 400


@given(st.integers(0, 2**32), st.integers(1, 399))
def test_what_had_not_ended_is_not_known(seed: int, count: int) -> None:
    outcomes = random_outcomes(seed, 400, power=1.5)
    then_s = float(outcomes.end_s[count - 1])
    assert np.array_equal(
        _values(_folded(outcomes), then_s),
        _values(_folded(some(outcomes, slice(count))), then_s),
    )


def test_jobs_of_a_batch_have_the_same_maps_as_single_jobs() -> None:
    recalibration = _folded(random_outcomes(0, 3000, power=1.5))
    rng = np.random.default_rng(1)
    groups, at_s = rng.integers(0, SHAPES, 200), rng.uniform(-1e5, 3.5e6, 200)
    maps, which = recalibration.maps_at(groups, at_s)
    for row in range(200):
        one = slice(row, row + 1)
        single, index = recalibration.maps_at(groups[one], at_s[one])
        assert np.array_equal(single.values[index[0]], maps.values[which[row]])


def test_old_states_go_and_later_ones_stay() -> None:
    outcomes = random_outcomes(0, 3000, power=1.5)
    few, all_kept = Recalibration(kept_rows=64), Recalibration()
    few.fold(outcomes)
    all_kept.fold(outcomes)
    for at_s in outcomes.end_s[-500::50].tolist():
        assert np.array_equal(_values(few, at_s), _values(all_kept, at_s))
    assert np.isfinite(_values(few, -1.0)).all()


def test_one_outcome_is_a_bounded_step() -> None:
    outcomes = random_outcomes(0, 2000)
    before = _folded(some(outcomes, slice(1999)))
    after = _folded(outcomes)
    assert np.abs(before.learned().values[0] - after.learned().values[0]).max() <= 1 / 200
    first = _values(_folded(some(outcomes, slice(1))))
    assert np.abs(_values(Recalibration()) - first).max() < 1 / 50


def _within(outcomes: Outcomes, first_s: float, span_s: float) -> Outcomes:
    """Return the same outcomes, moved into a span of time that begins at `first_s`."""
    scale = span_s / outcomes.end_s.max()
    return replace(
        outcomes,
        submit_s=first_s + outcomes.submit_s * scale,
        end_s=first_s + outcomes.end_s * scale,
    )


def test_a_client_that_is_not_trusted_moves_little_beside_one_that_is() -> None:
    others = random_outcomes(0, 3000)
    honest = _folded(others)
    liar = random_outcomes(1, 20_000, power=30.0, users=10_000, client=7)
    honest_values = _values(honest)
    honest.fold(_within(liar, others.end_s.max(), 0.9 * TRUSTED_S))
    assert np.abs(_values(honest) - honest_values).max() <= LEAST_SHARE + 1e-9


def test_the_only_client_of_a_site_teaches_as_one_that_is_trusted() -> None:
    trusted = random_outcomes(0, 3000, power=2.0)
    single = random_outcomes(0, 3000, power=2.0, client=7)
    assert np.array_equal(_values(_folded(single)), _values(_folded(trusted)))


def test_a_user_among_many_moves_little() -> None:
    others = random_outcomes(0, 3000, users=200)
    honest = _folded(others)
    honest_values = _values(honest)
    one = random_outcomes(1, 5000, power=30.0, users=1)
    honest.fold(_within(one, others.end_s.max(), 86400.0))
    assert np.abs(_values(honest) - honest_values).max() <= LEAST_SHARE + 0.01


def test_the_only_user_of_a_site_is_learned_from() -> None:
    values = _values(_folded(random_outcomes(0, 6000, power=2.0, users=1)))
    assert np.abs(values - KNOTS**0.5).max() < 0.1


def test_training_hands_on_what_it_learned() -> None:
    learned = _folded(random_outcomes(0, 20_000, power=2.0)).learned()
    assert learned.weights.max() <= LEARNED_OUTCOMES
    fresh = Recalibration(learned)
    assert np.abs(_values(fresh) - KNOTS**0.5).max() < 0.1
    fresh.fold(random_outcomes(1, 12_000))
    assert np.abs(_values(fresh) - KNOTS).max() < 0.1


@pytest.mark.parametrize("shape", [(3, len(KNOTS)), (1 + SHAPES, 4)])
def test_what_was_learned_fits_the_groups(shape: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="knots"):
        LearnedLevels(np.zeros(shape), np.zeros(1 + SHAPES))


def test_levels_that_are_not_numbers_are_refused() -> None:
    outcomes = random_outcomes(0, 10)
    with pytest.raises(ValueError, match="level"):
        _folded(replace(outcomes, lower_level=np.full(10, np.nan)))


def test_outcomes_of_distributions_are_levels_of_these() -> None:
    asked = random_jobs(0, 2000)
    raw = asked.distribution(recalibrated=False)
    runtime_s = raw.median_s()
    idents = np.arange(2000, dtype=np.uint64)
    nobody = np.zeros(2000, dtype=np.uint64)
    found = Outcomes.of(
        raw,
        runtime_s,
        idents,
        users=nobody,
        untrusted_clients=nobody,
        submit_s=runtime_s,
        end_s=runtime_s,
    )
    below, upto = raw.levels_around(runtime_s)
    assert ((below <= found.upper_level) & (found.lower_level <= upto)).all()
    free = ~(runtime_s >= asked.limit_s)
    assert np.array_equal(found.lower_level[free], upto[free])
    assert np.array_equal(found.lower_level[~free], found.upper_level[~free])


def test_recalibrated_intervals_hold_as_often_as_promised() -> None:
    jobs = 12_000
    rng = np.random.default_rng(0)
    truth_s = np.exp(rng.normal(6, 1, jobs))
    support_s = np.exp(rng.normal(6, 0.6, (jobs, 200)))
    weights = np.full((jobs, 200), 1 / 200, dtype=np.float32)
    raw = Distribution.of(support_s.astype(np.float32), weights, np.full(jobs, np.nan))
    submit_s = np.arange(jobs) * 100.0
    users = rng.integers(0, 100, jobs).astype(np.uint64)
    trusted = np.zeros(jobs, dtype=np.uint64)
    recalibration = Recalibration()
    idents = np.arange(jobs, dtype=np.uint64)
    outcomes = Outcomes.of(
        raw,
        truth_s,
        idents,
        users=users,
        untrusted_clients=trusted,
        submit_s=submit_s,
        end_s=submit_s + 50,
    )
    recalibration.fold(outcomes)
    served = recalibration.recalibrated(raw, outcomes.groups, users, submit_s)
    late = slice(jobs // 2, None)
    for level in (0.5, 0.7, 0.8):
        lower_s, upper_s = served.interval_s(level)
        held = (lower_s <= truth_s) & (truth_s <= upper_s)
        assert held[late].mean() == pytest.approx(level, abs=0.03)
        raw_lower_s, raw_upper_s = raw.interval_s(level)
        assert ((raw_lower_s <= truth_s) & (truth_s <= raw_upper_s))[late].mean() < level - 0.05


def test_uniform_numbers_are_spread_and_fixed() -> None:
    found = uniform(np.arange(100_000, dtype=np.uint64))
    assert ((found >= 0) & (found < 1)).all()
    assert np.abs(np.sort(found) - np.linspace(0, 1, 100_000)).max() < 0.01
    assert np.array_equal(found[:10], uniform(np.arange(10, dtype=np.uint64)))
