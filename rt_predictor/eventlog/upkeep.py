"""Upkeep of the files of a log by an operator: forget a user in all of them, back up, restore.

A service may run meanwhile: it notices, and folds what the log holds then.
"""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from rt_predictor.errors import HistoryError
from rt_predictor.eventlog.files import logs_replaced, logs_set_aside, open_log, put_in_place
from rt_predictor.eventlog.removing import Removed, Selection
from rt_predictor.eventlog.sqlite import SQLiteEventLog


@dataclass(frozen=True)
class Forgotten:
    """Files that named a user, and their fates."""

    removed: Removed
    """From the log"""
    cleaned: tuple[Path, ...]
    """Logs that lie beside it, from which the user's events were taken too"""
    deleted: tuple[Path, ...]
    """Snapshots, which are made anew"""
    out_of_reach: tuple[Path, ...]
    """Logs beside it that could not be read, and may name the user"""


def forget_user(path: Path, user: str) -> Forgotten:
    """Take all events of a user out of a log, and out of those that lie beside it.

    Raises HistoryError where the log itself cannot be cleaned.
    """
    removed = _cleaned(open_log(path), user)
    deleted = tuple(_delete_snapshots(path))
    cleaned, out_of_reach = [], []
    for beside in (*logs_set_aside(path), *logs_replaced(path)):
        try:
            _cleaned(SQLiteEventLog(beside), user)
        except HistoryError:
            out_of_reach.append(beside)
        else:
            cleaned.append(beside)
    return Forgotten(removed, tuple(cleaned), deleted, tuple(out_of_reach))


def back_up(path: Path, target: Path) -> int:
    """Write a log as it is at this moment into a new file; how many bytes that has.

    Raises HistoryError where it cannot, or there is such a file.
    """
    if target.exists():
        raise HistoryError(f"{target} is there already: name another file")
    with closing(open_log(path)) as log, _new_file(target) as copy:
        log.copy_to(copy)
    return target.stat().st_size


def restore(source: Path, path: Path) -> Path | None:
    """Put a backup in the place of a log: where that log lies now, if there was one.

    The log that was there stays beside it. Raises HistoryError where the backup is no sound log, or
    cannot be put there; then all is as before.
    """
    if not source.is_file():
        raise HistoryError(f"there is no backup {source}: name another")
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f".{path.name}.restored")
    with _new_file(new) as copy:
        try:
            with (
                closing(sqlite3.connect(f"{source.resolve().as_uri()}?mode=ro", uri=True)) as old,
                closing(sqlite3.connect(copy)) as fresh,
            ):
                old.backup(fresh)
                (found,) = fresh.execute("PRAGMA quick_check").fetchone()
        except sqlite3.Error as error:
            raise HistoryError(f"{source} is no sound history log: {error}") from error
        if found != "ok":
            raise HistoryError(f"{source} is no sound history log: {found}")
        with closing(SQLiteEventLog(copy)) as log:
            # What was folded from the log of before, after the backup, must not be used.
            log.begin_anew()
    try:
        return put_in_place(new, path)
    finally:
        new.unlink(missing_ok=True)


def _cleaned(log: SQLiteEventLog, user: str) -> Removed:
    with closing(log):
        removed = log.remove(Selection(user=user))
        # Also what the file keeps of rows that were moved within it.
        log.compact()
    return removed


def _delete_snapshots(path: Path) -> Iterator[Path]:
    for found in (
        *path.parent.glob(f"{path.name}*.snapshot"),
        *path.parent.glob(f".{path.name}*.snapshot.*"),
    ):
        with suppress(FileNotFoundError):
            found.unlink()
            yield found


@contextmanager
def _new_file(path: Path) -> Iterator[Path]:
    """A file to be filled, which is there under its name once it is whole and on disk.

    Only its owner may read it. Raises HistoryError where it cannot be written.
    """
    part = path.with_name(f".{path.name}.part")
    try:
        part.unlink(missing_ok=True)
        os.close(os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600))
        yield part
        with part.open("rb") as file:
            os.fsync(file.fileno())
        part.rename(path)
    except OSError as error:
        raise HistoryError(f"{path} cannot be written: {error}") from error
    finally:
        part.unlink(missing_ok=True)
