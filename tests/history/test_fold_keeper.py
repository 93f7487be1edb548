"""What is folded goes into arrays and comes back as if nothing had happened."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings

from rt_predictor.eventlog.snapshot_file import Stored, load_snapshot, save_snapshot
from rt_predictor.history import fold_keeper as module
from rt_predictor.history.experts import Decays
from rt_predictor.history.fold import Fold
from rt_predictor.history.fold_keeper import FoldKeeper
from rt_predictor.history.key_ids import USER_KEY, key_ids
from rt_predictor.jobs.events import ended_events
from rt_predictor.model.bounds import GROUPS
from rt_predictor.traces.generate import generate_jobs
from tests.history.fakes import FakeJudge
from tests.history.jobs import batches_of_jobs, frame

KEEPER = FoldKeeper(FakeJudge(), max_events=1000)


def fold(known: Fold, events: pl.DataFrame) -> Fold:
    known.take(ended_events(events), known.position + len(events))
    return known


def assert_same(a: Fold, b: Fold, asked: pl.DataFrame) -> None:
    np.testing.assert_array_equal(a.store.features(asked), b.store.features(asked))
    users, submit_s = key_ids(asked)[:, USER_KEY], asked["submit_time"].to_numpy()
    losses = (of.model.losses.as_of(users, submit_s) for of in (a, b))
    np.testing.assert_array_equal(*losses)
    assert (a.position, a.store.arrived) == (b.position, b.store.arrived)
    assert (len(a.store), len(a.model.losses)) == (len(b.store), len(b.model.losses))
    for group in range(GROUPS):
        groups = np.full(len(asked), group)
        offsets = (of.model.offsets.as_of(groups, submit_s) for of in (a, b))
        np.testing.assert_array_equal(*offsets)
    ours, theirs = a.model.live, b.model.live
    assert ours.jobs == theirs.jobs
    np.testing.assert_array_equal(ours.sums, theirs.sums)
    np.testing.assert_array_equal(ours.counts, theirs.counts)
    assert len(a.model.offsets) == len(b.model.offsets)
    assert a.model.offsets.arrived == b.model.offsets.arrived


def again(known: Fold, path: Path, keeper: FoldKeeper = KEEPER) -> Fold:
    """What another process knows from the snapshot."""
    save_snapshot(path, KEEPER.stored(known), KEEPER.origin())
    found = load_snapshot(path, keeper.origin())
    assert isinstance(found, Stored), found
    return keeper.restored(found)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "var" / "history.snapshot"


@settings(
    max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(batches=batches_of_jobs, more=batches_of_jobs)
def test_what_is_loaded_goes_on_as_if_nothing_had_happened(
    batches: list[list[dict[str, object]]], more: list[list[dict[str, object]]], path: Path
) -> None:
    original = KEEPER.empty()
    for batch in batches:
        fold(original, frame(*batch))
    restored = again(original, path)
    asked = pl.concat([frame(*batch) for batch in (*batches, *more)])
    asked = pl.concat([asked, asked.with_columns(submit_time=pl.lit(1e6))])
    assert_same(original, restored, asked)
    for batch in more:
        fold(original, frame(*batch))
        fold(restored, frame(*batch))
    assert_same(original, restored, asked)


def test_limits_may_be_smaller_than_what_was_saved(path: Path) -> None:
    whole = fold(KEEPER.empty(), generate_jobs(30, seed=1))
    found = again(whole, path, FoldKeeper(FakeJudge(), max_events=10, max_keys=1000))
    assert len(found.store) <= 10
    assert len(found.model.losses) <= 10


def test_no_name_is_in_it(path: Path) -> None:
    events = generate_jobs(30, seed=1).with_columns(user=pl.lit("a-user-name"))
    again(fold(KEEPER.empty(), events), path)
    assert b"a-user-name" not in path.read_bytes()


@pytest.mark.parametrize(
    "judge",
    [
        FakeJudge(model_version="fake-2"),
        FakeJudge(experts=3),
        FakeJudge(limits_enforced=True),
        FakeJudge(decays=Decays(0.9, 0.9)),
    ],
)
def test_what_depends_on_the_model_is_part_of_the_origin(judge: FakeJudge) -> None:
    assert FoldKeeper(judge, 1000).origin() != KEEPER.origin()


def test_history_keys_are_part_of_the_origin(monkeypatch: pytest.MonkeyPatch) -> None:
    before = KEEPER.origin()
    monkeypatch.setattr(module, "keys_fingerprint", lambda: "other")
    assert KEEPER.origin() != before


def test_arrays_of_another_type_are_refused() -> None:
    stored = KEEPER.stored(fold(KEEPER.empty(), generate_jobs(30, seed=1)))
    odd = {**stored.arrays, "runs.end_s": stored.arrays["runs.end_s"].astype(np.float32)}
    with pytest.raises(TypeError, match=r"runs\.end_s"):
        KEEPER.restored(Stored(stored.position, stored.facts, odd))
