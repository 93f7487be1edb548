import multiprocessing
import os
import signal
import sqlite3
from pathlib import Path

import polars as pl
import pytest

from rt_predictor.errors import HistoryError
from rt_predictor.eventlog.files import open_log
from tests.eventlog.events import counted, some_ends, some_kinds


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "var" / "history.db"


@pytest.fixture
def events() -> pl.DataFrame:
    return some_ends(50)


def test_what_is_appended_is_read_in_the_order_of_arrival(path: Path, events: pl.DataFrame) -> None:
    log = open_log(path)
    assert counted(log.append(events[20:])) == (30, 0)
    assert counted(log.append(events[:20])) == (20, 0)
    tail = log.read_after(0, 1000)
    assert tail.events.equals(pl.concat([events[20:], events[:20]]))
    assert log.read_after(tail.position, 1000).events.is_empty()
    log.close()


def test_a_tail_is_read_in_pieces(path: Path, events: pl.DataFrame) -> None:
    log = open_log(path)
    log.append(events)
    position, pieces = 0, []
    while len((tail := log.read_after(position, 7)).events):
        position = tail.position
        pieces.append(tail.events)
    assert pl.concat(pieces).equals(events)
    log.close()


def test_an_event_is_counted_once(path: Path, events: pl.DataFrame) -> None:
    log = open_log(path)
    log.append(events[:30])
    assert counted(log.append(events[20:])) == (20, 10)
    assert counted(log.append(pl.concat([events[:1], events[:1]]))) == (0, 2)
    assert log.count() == 50
    log.close()


def test_the_same_job_id_at_another_submit_time_is_another_job(
    path: Path, events: pl.DataFrame
) -> None:
    log = open_log(path)
    log.append(events[:1])
    later = events[:1].with_columns(pl.col("submit_time") + 1)
    assert counted(log.append(later)) == (1, 0)
    log.close()


def test_a_bad_event_leaves_none_of_its_batch(path: Path, events: pl.DataFrame) -> None:
    log = open_log(path)
    bad = events[1:2].with_columns(runtime=pl.lit(None, dtype=pl.Float64))
    with pytest.raises(HistoryError, match="cannot be written"):
        log.append(pl.concat([events[:1], bad]))
    assert log.count() == 0
    assert counted(log.append(events)) == (50, 0)
    log.close()


def test_another_process_sees_new_events(path: Path, events: pl.DataFrame) -> None:
    writer, reader = open_log(path), open_log(path)
    writer.append(events[:5])
    position = reader.read_after(0, 100).position
    writer.append(events[5:])
    assert reader.read_after(position, 100).events.equals(events[5:])
    writer.close()
    reader.close()


def _append_until_killed(path: Path, acknowledged: "multiprocessing.connection.Connection") -> None:
    log = open_log(path)
    events = some_kinds(100_000, seed=3)
    for start in range(0, len(events), 20):
        log.append(events[start : start + 20])
        acknowledged.send(start + 20)


def test_no_event_is_lost_when_another_process_closes_the_log(
    path: Path, events: pl.DataFrame
) -> None:
    reader, writer = open_log(path), open_log(path)  # as in a service: two of one process
    writer.append(events[:10])
    assert _kept_by_another_process(path) == 10
    writer.append(events[10:])
    assert _kept_by_another_process(path) == 50
    reader.close()
    writer.close()
    assert _kept_by_another_process(path) == 50


def _kept_by_another_process(path: Path) -> int:
    """Events that a process finds which opens the log, and closes it as it should."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_count, (path,))


def _count(path: Path) -> int:
    log = open_log(path)
    count = log.count()
    log.close()
    return count


def test_no_acknowledged_event_is_lost_to_kill_9(path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_append_until_killed, args=(path, theirs))
    process.start()
    theirs.close()
    acknowledged = 0
    while acknowledged < 100:
        acknowledged = ours.recv()
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    while True:
        try:
            acknowledged = ours.recv()
        except EOFError:
            break
    log = open_log(path)
    assert log.count() >= acknowledged >= 100
    log.close()


def test_a_damaged_file_is_reported(path: Path, events: pl.DataFrame) -> None:
    path.parent.mkdir()
    path.write_bytes(b"this is no database" * 100)
    with pytest.raises(HistoryError, match=r"history.db cannot be opened"):
        open_log(path)


def test_a_folder_that_cannot_be_made_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(HistoryError, match=r"history.db cannot be opened: .*file"):
        open_log(tmp_path / "file" / "history.db")


def test_a_log_of_a_later_format_is_left_alone(path: Path) -> None:
    open_log(path).close()
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 9")
    connection.close()
    with pytest.raises(HistoryError, match="has format 9"):
        open_log(path)
