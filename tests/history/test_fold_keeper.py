"""What is folded goes into arrays and comes back as if nothing had happened."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rt_predictor.eventlog.snapshot_file import Stored, load_snapshot, save_snapshot
from rt_predictor.history import fold_keeper as module
from rt_predictor.history.fold import Fold
from rt_predictor.history.fold_keeper import FoldKeeper
from rt_predictor.jobs.events import ended_events
from rt_predictor.traces.generate import generate_jobs
from tests.history.event_logs import event_logs
from tests.history.fakes import FakeLearner
from tests.history.test_fold import knowledge

KEEPER = FoldKeeper(FakeLearner(), max_events=1000, max_keys=1000)


def fold(known: Fold, events: pl.DataFrame) -> Fold:
    known.take(events, known.position + len(events))
    return known


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
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(events=event_logs(), cut=st.integers(0, 80))
def test_what_is_loaded_goes_on_as_if_nothing_had_happened(
    events: pl.DataFrame, cut: int, path: Path
) -> None:
    original = fold(KEEPER.empty(), events[:cut])
    restored = again(original, path)
    assert knowledge(restored, events) == knowledge(original, events)
    for known in (original, restored):
        fold(known, events[cut:])
    assert knowledge(restored, events) == knowledge(original, events)
    assert (restored.position, restored.store.arrived) == (len(events), original.store.arrived)


def test_limits_may_be_smaller_than_what_was_saved(path: Path) -> None:
    whole = fold(KEEPER.empty(), ended_events(generate_jobs(30, seed=1)))
    found = again(whole, path, FoldKeeper(FakeLearner(), max_events=10, max_keys=1000))
    assert len(found.store) <= 10


def test_no_name_is_in_it(path: Path) -> None:
    events = generate_jobs(30, seed=1).with_columns(
        user=pl.lit("a-user-name"), partition=pl.lit("a-partition")
    )
    again(fold(KEEPER.empty(), ended_events(events)), path)
    assert b"a-user-name" not in path.read_bytes()
    assert b"a-partition" not in path.read_bytes()


def test_what_depends_on_the_model_is_part_of_the_origin() -> None:
    other = FoldKeeper(FakeLearner(model_version="fake-2"), 1000, 1000)
    assert other.origin() != KEEPER.origin()


def test_how_jobs_are_remembered_is_part_of_the_origin(monkeypatch: pytest.MonkeyPatch) -> None:
    before = KEEPER.origin()
    monkeypatch.setattr(module, "history_fingerprint", lambda: "other")
    assert KEEPER.origin() != before


def test_arrays_that_are_not_there_are_refused() -> None:
    stored = KEEPER.stored(fold(KEEPER.empty(), ended_events(generate_jobs(30, seed=1))))
    names = [name for name in stored.arrays if name.startswith("jobs.")]
    assert np.concatenate([stored.arrays[name].ravel() for name in names]).size
    odd = {name: array for name, array in stored.arrays.items() if name != names[0]}
    with pytest.raises(KeyError):
        KEEPER.restored(Stored(stored.position, stored.facts, odd))
