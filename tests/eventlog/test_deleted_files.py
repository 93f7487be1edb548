"""Files beside the log that somebody deletes while it is open: nothing acknowledged is lost."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from rt_predictor.errors import HistoryError
from rt_predictor.eventlog.files import close_log, open_log
from rt_predictor.eventlog.sqlite import SQLiteEventLog
from rt_predictor.history.history import History
from rt_predictor.jobs.events import ended_events
from rt_predictor.settings import HistorySettings
from rt_predictor.traces.generate import generate_jobs
from tests.waiting import PATIENCE_S, until

EVENTS = ended_events(generate_jobs(300, seed=1))
DELETED = [("-wal", "-shm"), ("-wal",), ("-shm",)]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "history.sqlite"


@pytest.fixture
def logs(path: Path) -> Iterator[list[SQLiteEventLog]]:
    opened = [open_log(path), open_log(path)]
    yield opened
    for log in opened:
        log.close()


def delete(path: Path, ends: tuple[str, ...]) -> None:
    for end in ends:
        path.with_name(path.name + end).unlink()


def kept(path: Path) -> int:
    """Events in the log, as a process finds them that comes later."""
    with closing(sqlite3.connect(path)) as later:
        assert later.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    with closing(open_log(path)) as log:
        return log.count()


@pytest.mark.parametrize("ends", DELETED)
def test_what_was_acknowledged_is_saved_and_what_comes_then_is_refused(
    path: Path, logs: list[SQLiteEventLog], ends: tuple[str, ...]
) -> None:
    one, other = logs
    one.append(EVENTS[:100])
    other.append(EVENTS[100:200])
    assert one.is_in_place()
    assert other.is_in_place()
    delete(path, ends)
    assert not one.is_in_place()
    with pytest.raises(HistoryError, match="replaced meanwhile: try again"):
        one.append(EVENTS[200:])
    close_log(path, one)
    with pytest.raises(HistoryError, match="once all have closed it"):
        open_log(path)
    close_log(path, other)
    assert 200 <= kept(path) <= 300


@pytest.mark.parametrize("ends", DELETED)
def test_a_service_goes_on_and_has_lost_nothing(path: Path, ends: tuple[str, ...]) -> None:
    history = History(HistorySettings(path=path))
    history.start()
    history.wait_until_read()
    history.record(EVENTS[:200]).result(PATIENCE_S)
    delete(path, ends)

    def recorded() -> bool:
        try:
            history.record(EVENTS[200:]).result(PATIENCE_S)
        except HistoryError:
            return False
        return True

    until(recorded)
    until(lambda: not history.state().problems and history.state().events == 300)
    history.stop()
    assert kept(path) == 300
