"""One place for the log: opened together, cleared of a damaged file by exactly one."""

import multiprocessing
import os
import sqlite3
import threading
from pathlib import Path

import pytest

from rt_predictor.errors import DamagedLogError, HistoryError
from rt_predictor.eventlog.files import (
    logs_set_aside,
    open_log,
    open_or_replace_log,
    set_aside_damaged,
    try_lock,
)
from tests.eventlog.events import counted, some_ends
from tests.waiting import PATIENCE_S

EVENTS = some_ends(60)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "var" / "history.sqlite"


@pytest.fixture
def damaged(path: Path) -> Path:
    path.parent.mkdir()
    path.write_bytes(b"this is no database" * 1000)
    return path


def test_a_new_log_may_be_read_by_its_owner_alone(path: Path) -> None:
    log = open_log(path)
    log.append(EVENTS)
    assert {file.stat().st_mode & 0o777 for file in path.parent.iterdir()} == {0o600}
    log.close()


def test_every_log_has_an_id_of_its_own_and_keeps_it(path: Path) -> None:
    first, again = open_log(path), open_log(path)
    other = open_log(path.with_name("other.sqlite"))
    assert first.log_id == again.log_id != other.log_id
    for log in (first, again, other):
        log.close()


def test_a_damaged_log_is_set_aside_and_a_new_one_begun(damaged: Path) -> None:
    content = damaged.read_bytes()
    log = open_or_replace_log(damaged)
    assert counted(log.append(EVENTS)) == (60, 0)
    log.close()
    (aside,) = logs_set_aside(damaged)
    assert aside.read_bytes() == content


def test_who_must_not_replace_a_damaged_log_is_told_of_it(damaged: Path) -> None:
    with pytest.raises(DamagedLogError, match=r"history\.sqlite cannot be opened"):
        open_log(damaged)
    assert logs_set_aside(damaged) == []


def test_two_logs_set_aside_in_one_second_are_both_kept(
    damaged: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.strftime", lambda *_: "20260101T000000Z")
    for content in (b"first", b"second"):
        damaged.write_bytes(content * 1000)
        open_or_replace_log(damaged).close()
    kept = [file.read_bytes()[:6] for file in logs_set_aside(damaged)]
    assert kept == [b"firstf", b"second"]


def test_a_log_that_was_set_aside_by_another_is_left_alone(path: Path) -> None:
    ours, theirs = open_log(path), open_log(path)
    set_aside_damaged(path, theirs, "found first")
    new = open_log(path)
    assert not ours.is_in_place()
    assert new.is_in_place()
    set_aside_damaged(path, ours, "found second")
    assert new.is_in_place()
    assert len(logs_set_aside(path)) == 1
    for log in (ours, theirs, new):
        log.close()


def test_nothing_is_acknowledged_that_went_into_a_log_set_aside(path: Path) -> None:
    log = open_log(path)
    set_aside_damaged(path, log, "a reason")
    with pytest.raises(HistoryError, match="was replaced meanwhile"):
        log.append(EVENTS)
    log.close()


def test_closing_a_log_set_aside_takes_nothing_from_the_new_one(path: Path) -> None:
    old = open_log(path)
    old.append(EVENTS[:30])
    set_aside_damaged(path, old, "a reason")
    new = open_log(path)
    new.append(EVENTS[30:])
    old.close()
    again = open_log(path)
    assert new.count() == again.count() == 30
    (aside,) = logs_set_aside(path)
    assert open_log(aside).count() == 30
    for log in (new, again):
        log.close()


def _replace(path: Path, start: "multiprocessing.synchronize.Barrier", ids: object) -> None:
    start.wait(PATIENCE_S)
    log = open_or_replace_log(path)
    log.append(EVENTS[:1])
    ids.put(log.log_id)
    log.close()


def test_of_many_processes_exactly_one_sets_a_damaged_log_aside(damaged: Path) -> None:
    context = multiprocessing.get_context("spawn")
    start, ids = context.Barrier(3), context.Queue()
    workers = [context.Process(target=_replace, args=(damaged, start, ids)) for _ in range(3)]
    for worker in workers:
        worker.start()
    found = {ids.get(timeout=PATIENCE_S) for _ in workers}
    for worker in workers:
        worker.join()
    assert len(found) == len(logs_set_aside(damaged)) == 1
    ids.close()
    ids.join_thread()


def test_damage_within_a_log_is_told_from_other_trouble(path: Path) -> None:
    log = open_log(path)
    log.append(some_ends(5000))
    log.close()
    with path.open("r+b") as file:
        for page in range(8, path.stat().st_size // 4096):
            file.seek(page * 4096)
            file.write(os.urandom(2000))
    log = open_log(path)
    with pytest.raises(DamagedLogError):
        log.read_after(0, 10_000)
    log.close()


@pytest.mark.parametrize(
    ("column", "value"),
    [("mem_req", "'a word'"), ("mem_req", "x'ff'"), ("user", "CAST(x'ff' AS TEXT)")],
)
def test_a_value_that_cannot_be_is_damage(path: Path, column: str, value: str) -> None:
    log = open_log(path)
    log.append(EVENTS)
    connection = sqlite3.connect(path)
    connection.execute(f"UPDATE outcome SET {column} = {value} WHERE position = 9")
    connection.commit()
    connection.close()
    with pytest.raises(DamagedLogError, match=r"is damaged|cannot be read"):
        log.read_after(0, 100)
    log.close()


def test_a_full_disk_is_no_damage_and_leaves_none_of_the_events(path: Path) -> None:
    log = open_log(path)
    log._connection.execute("PRAGMA max_page_count = 20")
    with pytest.raises(HistoryError, match="cannot be written: database or disk is full") as caught:
        log.append(some_ends(5000))
    assert not isinstance(caught.value, DamagedLogError)
    assert (log.count(), log.last_position()) == (0, 0)
    log._connection.execute("PRAGMA max_page_count = 100000")
    log.append_all([EVENTS[:10], EVENTS[5:]])
    assert log.last_position() == 60
    log.close()


def test_several_batches_are_one_commit_and_are_counted_apart(path: Path) -> None:
    log = open_log(path)
    counts = log.append_all([EVENTS[:10], EVENTS[:0], EVENTS[5:20]])
    assert [counted(each) for each in counts] == [(10, 0), (0, 0), (10, 5)]
    log.close()


def test_a_lock_is_held_by_one_at_a_time(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    with try_lock(lock) as first, try_lock(lock) as second:
        assert (first, second) == (True, False)
    with try_lock(lock) as held:
        assert held


def test_a_place_that_cannot_be_is_told_in_words(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for open_it in (open_log, open_or_replace_log):
        with pytest.raises(
            HistoryError, match=r"cannot be opened: .*(Not a directory|File exists)"
        ):
            open_it(tmp_path / "file" / "history.sqlite")


def test_opening_at_the_same_time_gives_one_log(path: Path) -> None:
    found: list[str] = []
    start = threading.Barrier(6)

    def open_it() -> None:
        start.wait()
        log = open_log(path)
        found.append(log.log_id)
        log.close()

    threads = [threading.Thread(target=open_it) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 6
    assert len(set(found)) == 1
