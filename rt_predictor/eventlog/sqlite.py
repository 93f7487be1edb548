"""The outcome log in one SQLite file, in WAL mode: one writer at a time, readers never wait.

A commit is on disk when `append` returns (synchronous = FULL), so that an acknowledged event
survives `kill -9` and a power cut alike. Every process, and every thread in it, opens its own.
"""

import os
import sqlite3
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import polars as pl

from rt_predictor.errors import DamagedLogError, HistoryError
from rt_predictor.eventlog.port import EVENT_SCHEMA, Appended, Tail
from rt_predictor.jobs.schema import JOB_SCHEMA

_FORMAT = 1
_BUSY_TIMEOUT_S = 10.0
_COLUMNS = tuple(EVENT_SCHEMA)
_TYPES = {pl.Float64: "REAL", pl.String: "TEXT"}
_REQUIRED = frozenset({"job_id", "submit_time", "end_time", "runtime"})

_CREATE = "CREATE TABLE IF NOT EXISTS outcome (position INTEGER PRIMARY KEY, {}, {})".format(
    ", ".join(
        f"{name} {_TYPES[kind]}{' NOT NULL' if name in _REQUIRED else ''}"
        for name, kind in EVENT_SCHEMA.items()
    ),
    "UNIQUE (job_id, submit_time)",
)
_INSERT = "INSERT INTO outcome ({}) VALUES ({}) ON CONFLICT DO NOTHING".format(
    ", ".join(_COLUMNS), ", ".join("?" * len(_COLUMNS))
)
_SELECT = "SELECT position, {} FROM outcome WHERE position > ? ORDER BY position LIMIT ?".format(
    ", ".join(_COLUMNS)
)
_CREATE_ID = "CREATE TABLE IF NOT EXISTS log (id TEXT NOT NULL)"
_INSERT_ID = "INSERT INTO log SELECT ? WHERE NOT EXISTS (SELECT 1 FROM log)"

_DAMAGED = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
_PRIMARY_CODE = 0xFF


class SQLiteEventLog:
    """An `EventLog` in a file. Open it with `place.open_log`."""

    def __init__(self, path: Path) -> None:
        """Opens the log, making it where there is none.

        Raises DamagedLogError where the file is no database, or one that is damaged, and
        HistoryError where it cannot be opened or has another format.
        """
        self._path = path
        _create_private(path)
        with self._reporting("opened"):
            self._connection = sqlite3.connect(
                path, timeout=_BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False
            )
            try:
                self.log_id = self._prepare()
                self._file = _identity(path)
            except BaseException:
                self._connection.close()
                raise

    def _prepare(self) -> str:
        run = self._connection.execute
        (found,) = run("PRAGMA user_version").fetchone()
        if found not in (0, _FORMAT):
            raise HistoryError(
                f"history log {self._path} has format {found}, this program reads {_FORMAT}: "
                "point history.path at another file"
            )
        run("PRAGMA journal_mode = WAL")
        run("PRAGMA synchronous = FULL")
        if not found:
            run(_CREATE)
            run(_CREATE_ID)
            run(_INSERT_ID, (uuid.uuid4().hex,))
            run(f"PRAGMA user_version = {_FORMAT}")
        (log_id,) = run("SELECT id FROM log").fetchone()
        return str(log_id)

    def append(self, events: pl.DataFrame) -> Appended:
        """See `EventLog.append`."""
        (appended,) = self.append_all([events])
        return appended

    def append_all(self, batches: Sequence[pl.DataFrame]) -> list[Appended]:
        """See `EventLog.append_all`."""
        rows = [events.select(_COLUMNS).rows() for events in batches]
        with self._reporting("written"):
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                appended = [self._insert(batch) for batch in rows]
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise
        if not self.is_in_place():
            raise HistoryError(f"history log {self._path} was replaced meanwhile: try again")
        return appended

    def _insert(self, rows: Sequence[tuple[object, ...]]) -> Appended:
        before = self._connection.total_changes
        self._connection.executemany(_INSERT, rows)
        recorded = self._connection.total_changes - before
        return Appended(recorded, len(rows) - recorded)

    def read_after(self, position: int, limit: int) -> Tail:
        """See `EventLog.read_after`."""
        with self._reporting("read"):
            rows = self._connection.execute(_SELECT, (position, limit)).fetchall()
        schema: dict[str, type[pl.DataType]] = {"position": pl.Int64, **EVENT_SCHEMA}
        try:
            frame = pl.DataFrame(rows, schema=schema, orient="row")
        except (TypeError, pl.exceptions.PolarsError) as error:
            raise DamagedLogError(f"history log {self._path} is damaged: {error}") from error
        last = int(frame["position"][-1]) if len(frame) else position
        later = (
            pl.lit(None, JOB_SCHEMA[name]).alias(name) for name in JOB_SCHEMA if name not in frame
        )
        return Tail(frame.with_columns(later).select(*JOB_SCHEMA), last)

    def last_position(self) -> int:
        """See `EventLog.last_position`."""
        with self._reporting("read"):
            (found,) = self._connection.execute("SELECT max(position) FROM outcome").fetchone()
        return int(found or 0)

    def is_in_place(self) -> bool:
        """See `EventLog.is_in_place`."""
        try:
            return _identity(self._path) == self._file
        except OSError:
            return False

    def count(self) -> int:
        """See `EventLog.count`."""
        with self._reporting("read"):
            (found,) = self._connection.execute("SELECT count(*) FROM outcome").fetchone()
        return int(found)

    def close(self) -> None:
        """See `EventLog.close`."""
        self._connection.close()

    @contextmanager
    def _reporting(self, what: str) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            kind = DamagedLogError if _tells_of_damage(error) else HistoryError
            raise kind(f"history log {self._path} cannot be {what}: {error}") from error


def _tells_of_damage(error: sqlite3.Error) -> bool:
    # Texts that are not UTF-8 are found by Python, which gives its error no code.
    code: int = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT)
    return code & _PRIMARY_CODE in _DAMAGED


def _create_private(path: Path) -> None:
    """Makes a file that only its owner may read, if there is none: it will hold names.

    A file that is there is never opened. To close it would drop all of this process's POSIX locks
    on it, also those of other connections; then the next process that closes the log would take
    itself for the last one, and delete what is written ahead from under us.
    """
    with suppress(OSError):  # it is there, or SQLite says it better
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600))


def _identity(path: Path) -> tuple[int, int]:
    found = os.stat(path)  # noqa: PTH116 - before every commit: quicker than Path.stat
    return found.st_dev, found.st_ino
