from dataclasses import replace

import numpy as np
import pytest

from rt_predictor.features.matrix import MISSING, REQUEST, SCALE, WIDTH
from rt_predictor.features.request_features import REQUEST_FEATURES
from rt_predictor.history.token_keys import slots_of
from rt_predictor.training.network.batches import BATCH, LearningLog, batches, steps
from rt_predictor.training.network.shape import POINTS
from rt_predictor.training.network.twins import GUESSES_S, NAMED
from tests.training.network.learning_logs import learning_log

FEATURES = [feature.name for feature in REQUEST_FEATURES]


@pytest.fixture(scope="module")
def logs() -> list[LearningLog]:
    return [learning_log(700, 0), learning_log(500, 1)]


def drawn(logs, epochs=1, per_log=10_000, seed=0):
    return list(batches(logs, epochs, per_log, np.random.default_rng(seed)))


def test_batches_are_full_and_ready_for_the_loss(logs):
    found = drawn(logs)
    assert len(found) == steps(logs, 1, 10_000) == 1200 // BATCH
    for batch in found:
        assert batch.matrix.shape == (BATCH, WIDTH)
        assert (np.diff(batch.points_s, axis=1) >= 0).all()
        assert batch.points_s.shape == batch.order.shape == (BATCH, POINTS)
        assert set(np.unique(batch.scale_s)) == {np.float32(log.scale_s) for log in logs}


def test_twins_have_another_limit_and_all_else_is_the_same(logs):
    batch = drawn(logs)[0]
    twins = batch.twins
    assert len(twins.rows) == BATCH // 3
    own, other = batch.matrix[twins.rows], twins.matrix
    scales = (other[:, SCALE] / own[:, SCALE])[:, 0]
    assert {-1, 0, 1} == set(twins.longer.tolist())
    assert (scales[twins.longer > 0] > 1).all()
    assert (scales[twins.longer < 0] <= 1).all()
    assert (scales[twins.longer == 0] == 1).all()
    computed = twins.same_job == 1
    assert computed.any()
    assert (twins.longer[computed] < 0).all()
    assert (other[computed, SCALE.start] % GUESSES_S > 0).all()
    assert {0, np.float32(NAMED), 1} == set(twins.same_job)
    named = (other[:, MISSING][:, slots_of("same_name")] == 0).any(axis=1)
    assert (twins.same_job[named] >= np.float32(NAMED)).all()
    before = batch.boosted[twins.rows] + np.log(own[:, SCALE])
    after = twins.boosted + np.log(other[:, SCALE])
    limited = twins.longer != 0
    np.testing.assert_allclose(after[limited], before[limited], rtol=1e-4)


def test_a_job_and_its_twin_learn_without_the_same(logs):
    batch = drawn(logs)[0]
    rest = [name for name in FEATURES if name.endswith("_missing")]
    columns = REQUEST.start + np.array([FEATURES.index(name) for name in rest])
    twins = batch.matrix[batch.twins.rows][:, columns], batch.twins.matrix[:, columns]
    np.testing.assert_array_equal(*twins)


def test_the_same_seed_draws_the_same_batches(logs):
    for one, other in zip(drawn(logs), drawn(logs), strict=True):
        assert one.matrix.tobytes() == other.matrix.tobytes()
        assert one.twins.matrix.tobytes() == other.twins.matrix.tobytes()
    assert drawn(logs)[0].matrix.tobytes() != drawn(logs, seed=1)[0].matrix.tobytes()


def test_at_most_so_many_jobs_of_a_log_are_drawn_in_an_epoch(logs):
    assert steps(logs, 3, 300) == 3
    assert len(drawn(logs, 3, 300)) == 3


def test_only_rows_to_learn_from_are_drawn(logs):
    known = replace(logs[0], rows=np.arange(520), runtime_s=np.arange(700.0))
    (batch,) = drawn([known])
    assert batch.runtime_s.max() < 520


def test_what_fails_while_a_batch_is_made_is_raised(logs):
    broken = replace(logs[0], runtime_s=np.zeros(3))
    with pytest.raises(IndexError):
        drawn([broken])


def test_who_stops_early_leaves_no_thread(logs):
    made = batches(logs, 5, 10_000, np.random.default_rng(0))
    next(made)
    made.close()  # type: ignore[attr-defined]
