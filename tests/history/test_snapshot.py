import os
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rt_predictor.errors import HistoryError
from rt_predictor.history import snapshot as module
from rt_predictor.history.experts import Decays, ExpertLosses, losses_of
from rt_predictor.history.judge import NO_OFFSETS, Told
from rt_predictor.history.key_ids import USER_KEY, key_ids
from rt_predictor.history.live import LiveSums
from rt_predictor.history.offsets import Scored, TailOffsets
from rt_predictor.history.snapshot import (
    Origin,
    Rejected,
    Snapshot,
    load_snapshot,
    save_snapshot,
)
from rt_predictor.history.store import EventStore
from rt_predictor.model.bounds import GROUPS, LEVELS, MISS_SHARES, TAILS
from rt_predictor.model.reference import BINS
from rt_predictor.traces.generate import generate_jobs
from tests.history.jobs import batches_of_jobs, frame

ORIGIN = Origin("log-1", "1.0.0", experts=2, decays=Decays(0.99, 0.9), limits_enforced=False)


def fold(snapshot: Snapshot, events: pl.DataFrame) -> Snapshot:
    """The snapshot with more events in it; the experts' losses are made up."""
    snapshot.store.add(events)
    runtime = events["runtime"].to_numpy().astype(np.float32)
    snapshot.losses.fold(
        key_ids(events)[:, USER_KEY],
        events["end_time"].to_numpy(),
        losses_of(np.column_stack((runtime * 2, runtime / 3)), runtime),
    )
    snapshot.offsets.fold(
        Scored(
            np.arange(len(events)) % GROUPS,
            events["submit_time"].to_numpy(),
            events["end_time"].to_numpy(),
            np.log(runtime.astype(np.float64))[:, None] - np.arange(TAILS),
            np.ones(len(events)),
        )
    )
    predicted_s = np.full(len(events), 7.0)
    ends_s = np.tile(np.arange(1.0, 1 + len(LEVELS)), (len(events), 1))
    live = snapshot.live.after(
        Told(predicted_s, predicted_s[:, None] - ends_s, predicted_s[:, None] + ends_s),
        runtime.astype(np.float64),
        np.arange(2 * len(events)).reshape(-1, 2) % BINS,
    )
    return replace(snapshot, position=snapshot.position + len(events), live=live)


def empty() -> Snapshot:
    return Snapshot(
        EventStore(1000),
        ExpertLosses(2, 1000, ORIGIN.decays),
        TailOffsets(NO_OFFSETS, MISS_SHARES, 1000),
        LiveSums.none(2),
        0,
    )


def assert_same(a: Snapshot, b: Snapshot, asked: pl.DataFrame) -> None:
    np.testing.assert_array_equal(a.store.features(asked), b.store.features(asked))
    users, submit_s = key_ids(asked)[:, USER_KEY], asked["submit_time"].to_numpy()
    np.testing.assert_array_equal(a.losses.as_of(users, submit_s), b.losses.as_of(users, submit_s))
    assert (a.position, a.store.arrived) == (b.position, b.store.arrived)
    assert (len(a.store), len(a.losses)) == (len(b.store), len(b.losses))
    for group in range(GROUPS):
        groups = np.full(len(asked), group)
        offsets = (of.offsets.as_of(groups, submit_s) for of in (a, b))
        np.testing.assert_array_equal(*offsets)
    assert a.live.jobs == b.live.jobs
    np.testing.assert_array_equal(a.live.sums, b.live.sums)
    np.testing.assert_array_equal(a.live.counts, b.live.counts)
    assert (len(a.offsets), a.offsets.arrived) == (len(b.offsets), b.offsets.arrived)


def loaded(path: Path) -> Snapshot:
    found = load_snapshot(path, ORIGIN, 1000)
    assert isinstance(found, Snapshot), found
    return found


def why_not(path: Path, origin: Origin = ORIGIN) -> str:
    found = load_snapshot(path, origin, 1000)
    assert isinstance(found, Rejected)
    return found.reason


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "var" / "history.snapshot"


@pytest.fixture
def saved(path: Path) -> Path:
    save_snapshot(path, fold(empty(), generate_jobs(30, seed=1)), ORIGIN)
    return path


@settings(
    max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(batches=batches_of_jobs, more=batches_of_jobs)
def test_what_is_loaded_goes_on_as_if_nothing_had_happened(
    batches: list[list[dict[str, object]]], more: list[list[dict[str, object]]], path: Path
) -> None:
    original = empty()
    for batch in batches:
        original = fold(original, frame(*batch))
    save_snapshot(path, original, ORIGIN)
    again = loaded(path)
    asked = pl.concat([frame(*batch) for batch in (*batches, *more)])
    asked = pl.concat([asked, asked.with_columns(submit_time=pl.lit(1e6))])
    assert_same(original, again, asked)
    for batch in more:
        original, again = fold(original, frame(*batch)), fold(again, frame(*batch))
    assert_same(original, again, asked)


def test_limits_may_be_smaller_than_what_was_saved(saved: Path) -> None:
    found = load_snapshot(saved, ORIGIN, max_events=10, max_keys=1000)
    assert isinstance(found, Snapshot)
    assert len(found.store) <= 10
    assert len(found.losses) <= 10


def test_only_its_owner_may_read_it(saved: Path) -> None:
    save_snapshot(saved, empty(), ORIGIN)
    assert saved.stat().st_mode & 0o777 == 0o600


def test_no_name_is_in_it(path: Path) -> None:
    events = generate_jobs(30, seed=1).with_columns(user=pl.lit("a-user-name"))
    save_snapshot(path, fold(empty(), events), ORIGIN)
    assert b"a-user-name" not in path.read_bytes()


def test_a_file_that_is_not_there_is_a_reason(path: Path) -> None:
    assert why_not(path) == f"{path} cannot be read: No such file or directory"


@pytest.mark.parametrize("content", [b"", b"SQLite format 3\0" * 100])
def test_a_foreign_file_is_ignored(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "file").write_bytes(content)
    assert why_not(tmp_path / "file").endswith("is no history snapshot")


@settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(share=st.floats(0, 1, exclude_max=True), flipped=st.integers(1, 255))
def test_a_file_with_any_byte_changed_is_ignored(saved: Path, share: float, flipped: int) -> None:
    content = bytearray(saved.read_bytes())
    content[int(share * len(content))] ^= flipped
    damaged = saved.with_name("damaged")
    damaged.write_bytes(content)
    assert why_not(damaged)


@settings(
    max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(share=st.floats(0, 1, exclude_max=True))
def test_a_file_that_is_cut_short_is_ignored(saved: Path, share: float) -> None:
    content = saved.read_bytes()
    damaged = saved.with_name("damaged")
    damaged.write_bytes(content[: int(share * len(content))])
    assert why_not(damaged)


def test_a_file_that_is_too_long_is_ignored(saved: Path) -> None:
    saved.write_bytes(saved.read_bytes() + b"\0")
    assert why_not(saved).endswith("is damaged: its checksum is wrong")


@pytest.mark.parametrize(
    ("origin", "reason"),
    [
        (replace(ORIGIN, log_id="log-2"), "was made for log_id log-1, not for log-2"),
        (
            replace(ORIGIN, model_version="1.0.1"),
            "was made for model_version 1.0.0, not for 1.0.1",
        ),
        (replace(ORIGIN, experts=3), "was made for experts 2, not for 3"),
        (replace(ORIGIN, limits_enforced=True), "was made for limits_enforced False, not for True"),
        (replace(ORIGIN, decays=Decays(0.9, 0.9)), "was made for decays {'overall': 0.99, "),
    ],
)
def test_what_was_made_for_something_else_is_ignored(
    saved: Path, origin: Origin, reason: str
) -> None:
    assert reason in why_not(saved, origin)


def test_what_was_made_for_other_keys_is_ignored(
    saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "keys_fingerprint", lambda: "other")
    assert why_not(saved).endswith("was made for other history keys")


def test_another_format_is_ignored(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_FORMAT", b"9999")
    assert why_not(saved).endswith("has format 0004, not 9999")


def test_a_save_that_fails_leaves_the_file_of_before(
    saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    before = saved.read_bytes()
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(HistoryError, match=r"history\.snapshot cannot be written: .*No space left"):
        save_snapshot(saved, empty(), ORIGIN)
    assert [entry.name for entry in saved.parent.iterdir()] == [saved.name]
    assert saved.read_bytes() == before


def test_what_a_killed_process_left_is_deleted_when_it_is_old(saved: Path) -> None:
    old, new = (saved.with_name(f".{saved.name}.{end}") for end in ("old", "new"))
    for leftover in (old, new):
        leftover.write_bytes(b"half")
    os.utime(old, (0, time.time() - 2 * module._ABANDONED_S))
    save_snapshot(saved, empty(), ORIGIN)
    assert (old.exists(), new.exists()) == (False, True)
