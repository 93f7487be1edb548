"""The outcome log in one SQLite file, in WAL mode: one writer at a time, readers never wait.

A commit is on disk when `append` returns (synchronous = FULL), so that an acknowledged event
survives `kill -9` and a power cut alike. Every process, and every thread in it, opens its own.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import polars as pl

from rt_predictor.errors import HistoryError
from rt_predictor.history.log import EVENT_SCHEMA, Appended, Tail

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


class SQLiteOutcomeLog:
    """An `OutcomeLog` in a file."""

    def __init__(self, path: Path) -> None:
        """Opens the log, making it where there is none.

        Raises HistoryError where the file cannot be opened, is damaged or is no outcome log.
        """
        self._path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise HistoryError(f"{path.parent} cannot be made: {error.strerror}") from error
        with self._reporting("opened"):
            self._connection = sqlite3.connect(
                path, timeout=_BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False
            )
            self._prepare()

    def _prepare(self) -> None:
        run = self._connection.execute
        (found,) = run("PRAGMA user_version").fetchone()
        if found not in (0, _FORMAT):
            raise HistoryError(
                f"history log {self._path} has format {found}, this program reads {_FORMAT}: "
                "point history.path at another file"
            )
        run("PRAGMA journal_mode = WAL")
        run("PRAGMA synchronous = FULL")
        run(_CREATE)
        run(f"PRAGMA user_version = {_FORMAT}")

    def append(self, events: pl.DataFrame) -> Appended:
        """See `OutcomeLog.append`."""
        rows = events.select(_COLUMNS).rows()
        with self._reporting("written"):
            before = self._connection.total_changes
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                self._connection.executemany(_INSERT, rows)
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise
            recorded = self._connection.total_changes - before
        return Appended(recorded, len(rows) - recorded)

    def read_after(self, position: int, limit: int) -> Tail:
        """See `OutcomeLog.read_after`."""
        with self._reporting("read"):
            rows = self._connection.execute(_SELECT, (position, limit)).fetchall()
        schema: dict[str, type[pl.DataType]] = {"position": pl.Int64, **EVENT_SCHEMA}
        frame = pl.DataFrame(rows, schema=schema, orient="row")
        last = int(frame["position"][-1]) if len(frame) else position
        return Tail(frame.drop("position"), last)

    def count(self) -> int:
        """See `OutcomeLog.count`."""
        with self._reporting("read"):
            (found,) = self._connection.execute("SELECT count(*) FROM outcome").fetchone()
        return int(found)

    def close(self) -> None:
        """See `OutcomeLog.close`."""
        self._connection.close()

    @contextmanager
    def _reporting(self, what: str) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise HistoryError(f"history log {self._path} cannot be {what}: {error}") from error
