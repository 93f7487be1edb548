"""What an operator does with a log and all that lies beside it."""

from contextlib import closing
from pathlib import Path

import polars as pl
import pytest

from rt_predictor.errors import HistoryError
from rt_predictor.eventlog.files import logs_replaced, logs_set_aside, open_log, set_aside_damaged
from rt_predictor.eventlog.snapshots import snapshot_path
from rt_predictor.eventlog.upkeep import back_up, forget_user, restore
from rt_predictor.jobs.event_kind import EventKind
from tests.eventlog.events import an_event, some_kinds

EVENTS = some_kinds(40)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "var" / "history.sqlite"
    with closing(open_log(path)) as log:
        log.append(EVENTS)
    return path


def events_of(path: Path) -> pl.DataFrame:
    with closing(open_log(path)) as log:
        return log.read_after(0, 1000).events


def test_a_user_is_forgotten_wherever_events_lie(path: Path) -> None:
    ada = pl.concat([an_event(kind, user="ada-lovelace", job_id="a") for kind in EventKind])
    with closing(open_log(path)) as log:
        log.append(pl.concat([ada, an_event(job_id="b")]))
        set_aside_damaged(path, log, "a reason")
    unreadable = path.with_name(f"{path.name}.damaged-1")
    unreadable.write_bytes(b"this is no database" * 100)
    with closing(open_log(path)) as log:
        log.append(pl.concat([ada, an_event(job_id="c")]))
    for name in ("", "shadow"):
        snapshot_path(path, name).write_bytes(b"x")
    forgotten = forget_user(path, "ada-lovelace")
    assert forgotten.removed.events == 4
    (aside,) = (file for file in logs_set_aside(path) if file != unreadable)
    assert forgotten.cleaned == (aside,)
    assert forgotten.out_of_reach == (unreadable,)
    assert set(forgotten.deleted) == {snapshot_path(path), snapshot_path(path, "shadow")}
    assert events_of(path)["job_id"].to_list() == ["c"]
    assert len(events_of(aside)) == len(EVENTS) + 1
    for file in path.parent.iterdir():
        assert b"ada-lovelace" not in file.read_bytes(), file


def test_a_backup_is_restored(path: Path, tmp_path: Path) -> None:
    copy = tmp_path / "backup.sqlite"
    assert back_up(path, copy) == copy.stat().st_size > 0
    assert copy.stat().st_mode & 0o777 == 0o600
    with closing(open_log(path)) as running:
        running.append(an_event())
        before = restore(copy, path)
        assert not running.is_in_place()
        with closing(open_log(path)) as log:
            assert log.log_id != running.log_id
            with closing(open_log(copy)) as backup:
                assert log.log_id != backup.log_id
    assert events_of(path).equals(EVENTS)
    assert logs_replaced(path) == [before]
    assert before is not None
    assert len(events_of(before)) == len(EVENTS) + 1
    assert not list(path.parent.glob(".*"))


def test_a_backup_is_restored_where_nothing_is(path: Path, tmp_path: Path) -> None:
    back_up(path, tmp_path / "copy")
    new = tmp_path / "elsewhere" / "history.sqlite"
    assert restore(tmp_path / "copy", new) is None
    assert events_of(new).equals(EVENTS)


def test_a_backup_overwrites_nothing(path: Path, tmp_path: Path) -> None:
    (tmp_path / "copy").write_text("precious")
    with pytest.raises(HistoryError, match="copy is there already: name another"):
        back_up(path, tmp_path / "copy")
    assert (tmp_path / "copy").read_text() == "precious"


@pytest.mark.parametrize("content", [b"this is no database" * 100, None])
def test_what_is_no_log_is_not_restored(path: Path, tmp_path: Path, content: bytes | None) -> None:
    source = tmp_path / "source"
    if content is not None:
        source.write_bytes(content)
    with pytest.raises(HistoryError, match=r"source is no sound history log|there is no backup"):
        restore(source, path)
    assert events_of(path).equals(EVENTS)
    assert logs_replaced(path) == []
    assert not list(path.parent.glob(".*"))


def test_a_damaged_backup_is_not_restored(path: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    back_up(path, copy)
    content = bytearray(copy.read_bytes())
    for page in range(3, len(content) // 4096):
        content[page * 4096 + 8 : page * 4096 + 60] = b"\xff" * 52
    copy.write_bytes(content)
    with pytest.raises(HistoryError, match="copy is no sound history log"):
        restore(copy, path)
    assert events_of(path).equals(EVENTS)


def test_a_backup_into_a_folder_that_is_not_there_is_reported(path: Path, tmp_path: Path) -> None:
    with pytest.raises(HistoryError, match="cannot be written"):
        back_up(path, tmp_path / "none" / "copy")
