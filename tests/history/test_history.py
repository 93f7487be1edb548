"""Outcomes go in, on disk before they are acknowledged; what is known comes out."""

import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import closing
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from rt_predictor.errors import HistoryError, HistoryOffError
from rt_predictor.eventlog import follower, recorder, sqlite
from rt_predictor.eventlog.files import logs_set_aside, open_log
from rt_predictor.eventlog.port import Appended
from rt_predictor.eventlog.recorder import Recorder
from rt_predictor.eventlog.removing import Selection
from rt_predictor.eventlog.snapshots import snapshot_age_s, snapshot_path
from rt_predictor.history.columns import job_columns
from rt_predictor.history.history import History
from rt_predictor.history.learner import EndedJobs
from rt_predictor.history.log_tokens import log_tokens
from rt_predictor.history.token_keys import slots_of
from rt_predictor.jobs.events import ended_events
from rt_predictor.settings import HistorySettings
from rt_predictor.traces.generate import generate_jobs
from tests.eventlog.events import counted
from tests.history.fakes import FakeLearned, FakeLearner
from tests.history.token_logs import frame, job
from tests.waiting import PATIENCE_S, until

EVENTS = generate_jobs(300, seed=1).sort("end_time")
ENDS = ended_events(EVENTS)
LATER = EVENTS.with_columns(submit_time=pl.lit(1e10))

Start = Callable[..., History]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "var" / "history.sqlite"


@pytest.fixture(autouse=True)
def _hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(follower, "RETRY_S", 0.05)
    monkeypatch.setattr(follower, "POLL_S", 0.02)


@pytest.fixture
def start(path: Path) -> Iterator[Start]:
    """Starts history as one worker has it; all are stopped in the end."""
    started: list[History] = []

    def start(learner: FakeLearner | None = None, **settings: object) -> History:
        history = History(HistorySettings.model_validate({"path": path, **settings}))
        if learner is not None:
            history.use_learner(learner)
        history.start()
        started.append(history)
        history.wait_until_read()
        return history

    yield start
    for history in started:
        history.stop()


def record(history: History, events: pl.DataFrame) -> Appended:
    return history.record(ended_events(events)).result(PATIENCE_S)


def folded(history: History, events: int) -> None:
    until(lambda: history.state().position == events)
    assert history.state().events == events


def known(history: History, jobs: pl.DataFrame) -> np.ndarray:
    """Runtimes of the jobs that each of some jobs looks at: [n, SLOTS]."""
    asked = job_columns(jobs)
    return history.fold.store.tokens_of(asked, asked.submit_s).columns[:, :, 0]


def expected(events: pl.DataFrame, jobs: pl.DataFrame) -> np.ndarray:
    """The same by the whole log at once."""
    log = job_columns(events)
    log.told[:] &= 4  # ended
    return log_tokens(log, job_columns(jobs)).gather(np.arange(len(jobs))).columns[:, :, 0]


def knows_user(history: History, jobs: pl.DataFrame) -> np.ndarray:
    return np.isfinite(known(history, jobs)[:, slots_of("own").start])


def test_what_is_recorded_is_known_soon(start: Start) -> None:
    history = start()
    before = history.version
    assert counted(record(history, EVENTS)) == (300, 0)
    folded(history, 300)
    until(lambda: history.version > before)
    np.testing.assert_array_equal(known(history, LATER), expected(EVENTS, LATER))
    assert knows_user(history, LATER).all()
    assert not knows_user(history, frame([job(user="nobody", submit_time=1e10)])).any()
    assert not knows_user(history, frame([job(user="user1", submit_time=0.0)])).any()


def test_another_worker_knows_it_too_and_the_same(start: Start) -> None:
    one, other = (start(FakeLearner()) for _ in range(2))
    for piece in EVENTS.iter_slices(37):
        record(one, piece[::2])
        record(other, piece[1::2])
    for history in (one, other):
        folded(history, 300)
    for asked in (EVENTS, LATER):
        np.testing.assert_array_equal(known(one, asked), known(other, asked))
    learned = (history.fold.learned for history in (one, other))
    ours, theirs = (one.seen for one in learned if isinstance(one, FakeLearned))
    np.testing.assert_array_equal(ours, theirs)


def test_duplicates_are_counted_and_not_folded(start: Start) -> None:
    history = start()
    assert counted(record(history, pl.concat([EVENTS[:5], EVENTS[:2]]))) == (5, 2)
    assert counted(record(history, EVENTS[:6])) == (1, 5)
    folded(history, 6)


def test_callers_that_wait_together_share_a_commit(path: Path) -> None:
    recorder = Recorder(path, lambda: None)
    answers = [recorder.record(ENDS[n : n + 2]) for n in range(20)]
    recorder.start()
    assert [answer.result(PATIENCE_S).recorded for answer in answers] == [2, *[1] * 19]
    assert recorder.commits == 1
    recorder.stop()


def test_a_commit_does_not_grow_without_bound(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorder, "_GROUP_EVENTS", 10)
    many = Recorder(path, lambda: None)
    answers = [many.record(ENDS[n * 4 : n * 4 + 4]) for n in range(9)]
    many.start()
    many.stop()
    assert sum(answer.result(0).recorded for answer in answers) == 36
    assert many.commits == 3


def test_what_nobody_waits_for_any_more_is_not_recorded(path: Path) -> None:
    recorder = Recorder(path, lambda: None)
    given_up: Future[Appended] = recorder.record(ENDS[:5])
    assert given_up.cancel()
    wanted = recorder.record(ENDS[5:6])
    recorder.start()
    assert counted(wanted.result(PATIENCE_S)) == (1, 0)
    recorder.stop()
    log = open_log(path)
    assert log.count() == 1
    log.close()


def test_a_restart_knows_the_same_from_its_snapshot(start: Start, path: Path) -> None:
    first = start(FakeLearner())
    record(first, EVENTS[:200])
    folded(first, 200)
    before = known(first, LATER)
    first.stop()
    assert snapshot_path(path).exists()
    second = start(FakeLearner())
    assert second.state().events == 200
    assert second.state().folded == 0, "the log was read anew"
    np.testing.assert_array_equal(known(second, LATER), before)
    assert isinstance(second.fold.learned, FakeLearned)
    assert (len(second.fold.learned.seen), second.fold.learned.together) == (200, [])
    record(second, EVENTS[200:])
    folded(second, 300)
    until(lambda: second.state().folded == 100)


def test_a_snapshot_of_another_model_is_not_used(start: Start) -> None:
    first = start(FakeLearner())
    record(first, EVENTS)
    folded(first, 300)
    first.stop()
    second = start(FakeLearner(model_version="fake-2"))
    assert (second.state().events, second.state().folded) == (300, 300)


def test_a_worker_of_the_old_model_leaves_the_new_ones_snapshot_alone(
    start: Start, path: Path
) -> None:
    old, new = start(FakeLearner()), start(FakeLearner(model_version="fake-2"))
    record(old, EVENTS)
    for history in (old, new):
        folded(history, 300)
    snapshot_path(path).unlink(missing_ok=True)
    new.stop()
    content = snapshot_path(path).read_bytes()
    old.stop()
    assert snapshot_path(path).read_bytes() == content


def test_a_fold_of_another_name_has_a_snapshot_of_its_own(start: Start, path: Path) -> None:
    first = start(FakeLearner())
    record(first, EVENTS)
    folded(first, 300)
    beside = [History(HistorySettings(path=path), "shadow") for _ in range(2)]
    for history in beside:
        history.use_learner(FakeLearner(model_version="fake-2"))
        assert history.read, "there is nothing to read before it starts"
        history.start()
        until(lambda history=history: history.read)
        history.stop()
    assert [history.state().folded for history in beside] == [300, 0]
    assert not snapshot_path(path).exists()
    assert beside[1].state().snapshot_age_s is not None
    assert first.state().snapshot_age_s is None


def test_a_snapshot_that_goes_further_than_the_log_is_not_used(start: Start, path: Path) -> None:
    first = start()
    record(first, EVENTS)
    folded(first, 300)
    first.stop()
    connection = sqlite3.connect(path)
    connection.execute("DELETE FROM outcome WHERE position > 100")
    connection.commit()
    connection.close()
    second = start()
    assert (second.state().events, second.state().folded) == (100, 100)


def test_snapshots_are_written_now_and_then_by_one_worker(start: Start, path: Path) -> None:
    workers = [start(FakeLearner(), snapshot_interval_s=0.05) for _ in range(2)]
    record(workers[0], EVENTS)
    until(snapshot_path(path).exists)
    age_s = snapshot_age_s(path)
    assert age_s is not None
    assert all(worker.state().snapshot_age_s is not None for worker in workers)
    assert all(not worker.state().problems for worker in workers)


def test_a_snapshot_of_the_future_holds_no_other_up(start: Start, path: Path) -> None:
    history = start(snapshot_interval_s=0.05)
    record(history, EVENTS[:100])
    until(snapshot_path(path).exists)
    in_a_year_s = time.time() + 365 * 86_400  # the clock was a year ahead, and was put right
    os.utime(snapshot_path(path), (in_a_year_s, in_a_year_s))
    record(history, EVENTS[100:])
    until(lambda: snapshot_path(path).stat().st_mtime < in_a_year_s)


def test_a_snapshot_that_cannot_be_written_is_told_of(start: Start, path: Path) -> None:
    snapshot_path(path).mkdir(parents=True)
    history = start(snapshot_interval_s=0.02)
    record(history, EVENTS)
    until(lambda: "snapshot" in "".join(history.state().problems))
    folded(history, 300)
    snapshot_path(path).rmdir()
    until(lambda: not history.state().problems)


def test_memory_is_bounded(start: Start) -> None:
    history = start(max_events=1000, max_keys=1000)
    record(history, generate_jobs(20_000, seed=2).sort("end_time"))
    until(lambda: history.state().folded == 20_000)
    assert history.state().events <= 1000 + 8192


def test_history_that_is_off_knows_nothing_and_takes_nothing(path: Path) -> None:
    history = History.off()
    history.start()
    assert history.wait_until_read()
    assert not knows_user(history, EVENTS).any()
    with pytest.raises(HistoryOffError, match=r"switched off \(history.enabled\)"):
        history.record(ENDS)
    state = history.state()
    assert (state.enabled, state.in_step, state.problems, state.events) == (False, True, (), 0)
    history.stop()


def test_what_is_withdrawn_is_known_no_more(start: Start, path: Path) -> None:
    workers = [start(FakeLearner()) for _ in range(2)]
    good, bad = EVENTS[::2], EVENTS[1::2].with_columns(runtime=pl.col("runtime") / 3)
    for client, jobs in (("good", good), ("bad", bad)):
        workers[0].record(ended_events(jobs, client, 1.0)).result(PATIENCE_S)
    for worker in workers:
        folded(worker, 300)
    log = open_log(path)
    log.remove(Selection(client="bad"))
    log.close()
    never = start_beside(path, good)
    for worker in workers:
        until(lambda worker=worker: worker.state().events == len(good))
        np.testing.assert_array_equal(known(worker, LATER), known(never, LATER))
        learned = (history.fold.learned for history in (worker, never))
        ours, theirs = (one.seen for one in learned if isinstance(one, FakeLearned))
        assert [row[0] for row in ours] == [row[0] for row in theirs]
    assert record(workers[1], bad).recorded == len(bad)
    for worker in workers:
        until(lambda worker=worker: worker.state().events == 300)
        worker.stop()
    never.stop()
    again = start(FakeLearner())
    assert (again.state().events, again.state().folded) == (300, 0), "no snapshot is used"


def start_beside(path: Path, jobs: pl.DataFrame) -> History:
    """History of a log of its own that holds these jobs."""
    history = History(HistorySettings(path=path.with_name("other.sqlite")))
    history.use_learner(FakeLearner())
    history.start()
    record(history, jobs)
    folded(history, len(jobs))
    return history


def test_a_withdrawal_is_folded_before_it_is_shown(
    start: Start, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    history = start()
    record(history, EVENTS)
    folded(history, 300)
    monkeypatch.setattr(follower, "_READ_EVENTS", 10)
    seen: set[int] = set()
    in_step = follower.LogFollower._folded

    def listen(self: follower.LogFollower, *arguments: int) -> None:
        seen.add(len(self.fold.store))
        in_step(self, *arguments)

    monkeypatch.setattr(follower.LogFollower, "_folded", listen)
    log = open_log(path)
    log.prune(float(EVENTS["end_time"][100]))
    log.close()
    until(lambda: history.state().events == 200)
    assert seen == {300}, "while it is read anew, what was known can be asked"


# what can go wrong with the log


def test_a_damaged_log_is_replaced_and_the_service_goes_on(start: Start, path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"this is no database" * 1000)
    workers = [start() for _ in range(3)]
    assert counted(record(workers[0], EVENTS)) == (300, 0)
    for worker in workers:
        folded(worker, 300)
    (aside,) = logs_set_aside(path)
    assert all(worker.state().set_aside == (aside.name,) for worker in workers)


def test_damage_that_is_found_later_begins_history_anew(start: Start, path: Path) -> None:
    with_it = start()
    record(with_it, EVENTS[:100])
    folded(with_it, 100)
    connection = sqlite3.connect(path)
    connection.execute("UPDATE outcome SET mem_req = 'a word' WHERE position = 9")
    connection.commit()
    connection.close()
    with_it.stop()
    snapshot_path(path).unlink()
    without = start()
    until(lambda: len(without.state().set_aside) == 1 and not without.state().problems)
    assert without.state().errors >= 1
    assert counted(record(without, EVENTS)) == (300, 0)
    folded(without, 300)


def test_damage_that_the_recorder_finds_is_no_ones_loss(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: list[str] = []
    append_all = sqlite.SQLiteEventLog.append_all

    def damaged_once(log: sqlite.SQLiteEventLog, batches: list[pl.DataFrame]) -> object:
        if not found:
            found.append(log.log_id)
            raise sqlite.DamagedLogError("malformed")
        return append_all(log, batches)

    monkeypatch.setattr(sqlite.SQLiteEventLog, "append_all", damaged_once)
    recorder = Recorder(path, lambda: None)
    recorder.start()
    assert counted(recorder.record(ENDS).result(PATIENCE_S)) == (300, 0)
    recorder.stop()
    assert len(logs_set_aside(path)) == 1
    log = open_log(path)
    assert log.count() == 300
    assert log.log_id != found[0]
    log.close()


def test_a_log_that_is_taken_away_is_begun_anew(start: Start, path: Path) -> None:
    history = start()
    record(history, EVENTS)
    folded(history, 300)
    # All of it at once: one by one, files of the new log could be among the last.
    path.parent.rename(path.parent.with_name("away"))
    until(lambda: history.state().events == 0)
    assert counted(record(history, EVENTS[:7])) == (7, 0)
    folded(history, 7)


def test_a_log_that_cannot_be_is_told_of_and_used_once_it_can(start: Start, path: Path) -> None:
    path.parent.write_text("a file where a folder should be")
    history = start()
    assert "cannot be opened" in history.state().problems[0]
    assert not knows_user(history, EVENTS).any()
    with pytest.raises(HistoryError, match="cannot be opened"):
        record(history, EVENTS)
    path.parent.unlink()
    until(lambda: not history.wait_until_read() or history.state().events == 0)
    assert counted(record(history, EVENTS)) == (300, 0)
    folded(history, 300)
    until(lambda: not history.state().problems)
    assert history.state().in_step


def test_a_disk_that_is_full_harms_nothing_and_is_used_again(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    history = start()
    record(history, EVENTS[:100])
    append_all = sqlite.SQLiteEventLog.append_all

    def full(log: sqlite.SQLiteEventLog, batches: list[pl.DataFrame]) -> object:
        log._connection.execute("PRAGMA max_page_count = 12")
        return append_all(log, batches)

    monkeypatch.setattr(sqlite.SQLiteEventLog, "append_all", full)
    with pytest.raises(HistoryError, match="database or disk is full"):
        record(history, EVENTS)
    assert "is full" in history.state().problems[0]
    folded(history, 100)
    monkeypatch.setattr(sqlite.SQLiteEventLog, "append_all", append_all)
    assert counted(record(history, EVENTS)) == (200, 100)
    assert history.state().problems == ()
    folded(history, 300)


def test_an_unforeseen_error_does_not_end_the_follower(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    history = start()
    read_after = sqlite.SQLiteEventLog.read_after

    def broken(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(sqlite.SQLiteEventLog, "read_after", broken)
    until(lambda: history.state().problems == ("ZeroDivisionError",))
    monkeypatch.setattr(sqlite.SQLiteEventLog, "read_after", read_after)
    record(history, EVENTS)
    folded(history, 300)


def test_no_event_is_folded_twice_when_folding_fails_half_way(start: Start) -> None:
    failing, failed = threading.Event(), threading.Event()

    def fails_once(ended: EndedJobs) -> None:
        if failing.is_set() and not failed.is_set():
            failed.set()
            raise MemoryError("no room")

    history = start(FakeLearner(on_learn=fails_once))
    record(history, EVENTS[:100])
    folded(history, 100)
    failing.set()
    record(history, EVENTS[100:])
    assert failed.wait(PATIENCE_S)
    folded(history, 300)
    np.testing.assert_array_equal(known(history, LATER), expected(EVENTS, LATER))


def test_no_thread_is_left(start: Start) -> None:
    before = threading.enumerate()  # those of other tests may still be on their way out
    start().stop()
    left = [t.name for t in threading.enumerate() if t not in before]
    assert not [name for name in left if name.startswith("rt-predictor-")]


def test_a_start_does_not_wait_longer_than_it_may(start: Start, path: Path) -> None:
    log = open_log(path)
    log.append(ENDS)
    log.close()
    held = threading.Event()

    slow = FakeLearner(on_learn=lambda _: held.wait(PATIENCE_S))
    history = start(slow, catch_up_timeout_s=0.01)
    assert not history.wait_until_read()
    held.set()
    folded(history, 300)


def test_released_events_are_known_as_if_nobody_had_doubted_them(
    path: Path, tmp_path: Path
) -> None:
    some = pl.int_range(pl.len()) % 7 == 3
    too_long_s = 3 * pl.col("time_req") + 7200.0
    events = EVENTS.with_columns(
        pl.when(some).then(too_long_s).otherwise("runtime").alias("runtime"),
        pl.when(some)
        .then(pl.max_horizontal("end_time", pl.coalesce("start_time", "submit_time") + too_long_s))
        .otherwise("end_time")
        .alias("end_time"),
    )
    plain = History(HistorySettings(path=tmp_path / "plain.sqlite"))
    plain.use_learner(FakeLearner())
    plain.start()
    doubting = History(HistorySettings(path=path), limits_enforced=True)
    doubting.use_learner(FakeLearner())
    doubting.start()
    try:
        assert record(plain, events).recorded == 300
        appended = record(doubting, events)
        assert (appended.recorded, appended.quarantined) == (257, 43)
        folded(plain, 300)
        until(lambda: doubting.state().position == 300)
        assert doubting.state().events == 257
        with closing(open_log(path)) as log:
            assert log.release(Selection(quarantined=True)) == 43
        until(lambda: doubting.state().events == 300)
        np.testing.assert_array_equal(known(doubting, LATER), known(plain, LATER))
        seen = (history.fold.learned.arrays()["seen"] for history in (doubting, plain))
        np.testing.assert_array_equal(*seen)
    finally:
        plain.stop()
        doubting.stop()


def test_what_came_in_under_the_name_of_home_is_renamed_before_it_is_read(
    path: Path, start: Start
) -> None:
    path.parent.mkdir()
    with closing(open_log(path)) as log:
        log.append(ENDS.with_columns(cluster=pl.lit("alpha")))
    history = start(home_cluster="alpha")
    folded(history, 300)
    assert counted(record(history, EVENTS)) == (0, 300)
    np.testing.assert_array_equal(known(history, LATER), expected(EVENTS, LATER))
