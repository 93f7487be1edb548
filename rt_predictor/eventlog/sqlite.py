"""The event log in one SQLite file, in WAL mode: one writer at a time, readers never wait.

A commit is on disk when `append` returns (synchronous = FULL), so that an acknowledged event
survives `kill -9` and a power cut alike. Every process, and every thread in it, opens its own.
"""

import os
import sqlite3
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from weakref import WeakSet

import polars as pl

from rt_predictor.errors import DamagedLogError, HistoryError
from rt_predictor.eventlog import tables
from rt_predictor.eventlog.appending import Appending, rows_of
from rt_predictor.eventlog.home import is_home, take_home
from rt_predictor.eventlog.port import Appended, Tail
from rt_predictor.eventlog.reading import last_position, pruned_before_s, read_after
from rt_predictor.eventlog.removing import (
    Removed,
    Selection,
    begin_anew,
    count_selected,
    prune,
    quarantined,
    release,
    remove,
)

_BUSY_TIMEOUT_S = 10.0
_DAMAGED = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
_PRIMARY_CODE = 0xFF

SIDE_FILES = ("-wal", "-shm")
"""Ends of the names of files that lie beside a log while anybody has it open."""


_OPEN: "WeakSet[SQLiteEventLog]" = WeakSet()
"""Logs that this process has open."""
_OPEN_LOCK = Lock()


@dataclass(frozen=True)
class ClientShare:
    """Share of the events that one client has sent."""

    client: str
    """"" where it is not known: edition 1.0 did not write it down."""
    events: int
    first_s: float
    """Time when the first came in, Unix s; when it happened where that was not written down."""
    last_s: float


class SQLiteEventLog:
    """An `EventLog` in a file. Open it with `files.open_log`."""

    def __init__(self, path: Path) -> None:
        """Open the log, making it where there is none.

        Raises DamagedLogError where the file is no database, or one that is damaged, and
        HistoryError where it cannot be opened or has another format.
        """
        self._path = path
        _check_undisplaced(path)
        _create_private(path)
        with self._reporting("opened"):
            self._connection = sqlite3.connect(
                path, timeout=_BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False
            )
            try:
                self.log_id = self._prepare()
                # Nothing is read or written ahead before this, and the side files are made.
                with self._transaction():
                    pass
                self._files = self._identities()
                _track(self)
            except BaseException:
                self._connection.close()
                raise

    def _prepare(self) -> str:
        run = self._connection.execute
        (found,) = run("PRAGMA user_version").fetchone()
        if found not in (0, tables.FORMAT_OF_1_0):
            raise self._foreign(found, tables.FORMAT_OF_1_0)
        run("PRAGMA journal_mode = WAL")
        run("PRAGMA synchronous = FULL")
        if not found or not run(tables.HAS_FACTS).fetchone():
            with self._transaction():
                self._create()
        if not run(tables.HAS_QUARANTINE).fetchone():
            with self._transaction():
                self._add_quarantine()
        (format_,) = run(tables.SELECT_FACT, (tables.FORMAT_FACT,)).fetchone()
        if format_ != tables.FORMAT:
            raise self._foreign(f"{tables.FORMAT_OF_1_0}.{format_}", tables.FORMAT)
        (log_id,) = run(tables.SELECT_ID).fetchone()
        return str(log_id)

    def _create(self) -> None:
        """Make all tables that are not there; the user version last."""
        run = self._connection.execute
        for statement in (*tables.CREATE_AS_1_0, *tables.CREATE):
            run(statement)
        if run(tables.HAS_QUARANTINE).fetchone():
            run(tables.INDEX_QUARANTINE)
        run(tables.INSERT_ID, (uuid.uuid4().hex,))
        run(tables.PUT_FACT, (tables.FORMAT_FACT, tables.FORMAT))
        run(f"PRAGMA user_version = {tables.FORMAT_OF_1_0}")

    def _add_quarantine(self) -> None:
        """Make room for reasons in a log that was made without, unless another just has."""
        run = self._connection.execute
        if not run(tables.HAS_QUARANTINE).fetchone():
            for statement in (*tables.ADD_QUARANTINE, tables.INDEX_QUARANTINE):
                run(statement)

    def _foreign(self, found: object, known: object) -> HistoryError:
        return HistoryError(
            f"history log {self._path} has format {found}, this program reads {known}: "
            "point history.path at another file"
        )

    def append(self, events: pl.DataFrame) -> Appended:
        """See `EventLog.append`."""
        (appended,) = self.append_all([events])
        return appended

    def append_all(self, batches: Sequence[pl.DataFrame]) -> list[Appended]:
        """See `EventLog.append_all`."""
        rows = [rows_of(events) for events in batches]
        with self._reporting("written"), self._transaction():
            appending = Appending(self._connection)
            appended = [appending.add(batch) for batch in rows]
        if not self.is_in_place():
            raise HistoryError(f"history log {self._path} was replaced meanwhile: try again")
        return appended

    def read_after(self, position: int, limit: int) -> Tail:
        """See `EventLog.read_after`."""
        with self._reporting("read"), self._transaction("BEGIN"):
            try:
                return read_after(self._connection, position, limit)
            except (TypeError, pl.exceptions.PolarsError) as error:
                raise DamagedLogError(f"history log {self._path} is damaged: {error}") from error

    def last_position(self) -> int:
        """See `EventLog.last_position`."""
        with self._reporting("read"), self._transaction("BEGIN"):
            return last_position(self._connection)

    def is_in_place(self) -> bool:
        """See `EventLog.is_in_place`."""
        try:
            return self._identities() == self._files
        except OSError:
            return False

    def settle(self) -> bool:
        """Brings what was written ahead into the log where files beside it were deleted under us.

        Who opens the log then makes new ones, and knows nothing of what is in these. Returns
        whether there was need. Call it while nobody else can open the log. Raises HistoryError.
        """
        if _identity(self._path) != self._files[0] or all(map(os.path.lexists, self._side_files)):
            return False
        with self._reporting("settled"):
            (busy, *_) = self._connection.execute("PRAGMA wal_checkpoint(FULL)").fetchone()
        if busy:
            raise HistoryError(
                f"files beside history log {self._path} were deleted, and it is being read: events "
                "may be lost: import the last hours anew"
            )
        return True

    def is_of(self, path: Path) -> bool:
        """Whether it is the log at a path."""
        return self._path == path

    def is_displaced(self) -> bool:
        """Whether the file is in its place, and files beside it are not those of before."""
        try:
            return _identity(self._path) == self._files[0] and not self.is_in_place()
        except OSError:
            return False

    @property
    def _side_files(self) -> tuple[str, ...]:
        return tuple(f"{self._path}{end}" for end in SIDE_FILES)

    def _identities(self) -> tuple[tuple[int, int], ...]:
        return tuple(_identity(path) for path in (str(self._path), *self._side_files))

    def count(self) -> int:
        """See `EventLog.count`."""
        return sum(self.count_by_kind().values())

    def count_by_kind(self) -> Mapping[str, int]:
        """Events of each kind."""
        with self._reporting("read"):
            found = self._connection.execute(tables.COUNT_BY_KIND).fetchall()
        counts: dict[str, int] = {}
        for kind, count in found:
            counts[kind] = counts.get(kind, 0) + count
        return counts

    def count_conflicts(self) -> int:
        """Events that contradict what is recorded, and are kept apart."""
        with self._reporting("read"):
            (found,) = self._connection.execute(tables.COUNT_CONFLICTS).fetchone()
        return int(found)

    def count_quarantined(self) -> int:
        """Events that wait for an operator to look at them."""
        with self._reporting("read"):
            (found,) = self._connection.execute(tables.COUNT_QUARANTINED).fetchone()
        return int(found)

    def quarantined(self, selection: Selection) -> pl.DataFrame:
        """Selected events in quarantine, in the order of arrival: `EVENT_SCHEMA` and the reason."""
        with self._reporting("read"):
            return quarantined(self._connection, selection)

    def release(self, selection: Selection) -> int:
        """Take selected events out of quarantine, as if they had come in without doubt.

        Returns how many; where it is any, the log has another id then.
        """
        with self._reporting("changed"):
            with self._transaction():
                released = release(self._connection, selection)
            (self.log_id,) = self._connection.execute(tables.SELECT_ID).fetchone()
        return released

    def clients(self) -> list[ClientShare]:
        """Clients that sent the events, those who sent most first."""
        with self._reporting("read"):
            found = self._connection.execute(tables.COUNT_BY_CLIENT).fetchall()
        return [ClientShare(*row) for row in found]

    def count_selected(self, selection: Selection) -> Removed:
        """Counts of the events that `remove` would take out."""
        with self._reporting("read"), self._transaction("BEGIN"):
            return count_selected(self._connection, selection)

    def remove(self, selection: Selection) -> Removed:
        """Take events out for good; the log has another id then. See `removing`."""
        return self._change(lambda: remove(self._connection, selection))

    def prune(self, before_s: float) -> Removed:
        """Take out what happened before a time, and let none of it in again."""
        return self._change(lambda: prune(self._connection, before_s))

    def take_home(self, cluster: str) -> int:
        """Make the jobs of a cluster those that name none. See `home`."""
        with self._reporting("changed"):
            if is_home(self._connection, cluster):
                return 0
            with self._transaction():
                renamed = take_home(self._connection, cluster)
            (self.log_id,) = self._connection.execute(tables.SELECT_ID).fetchone()
        return renamed

    def begin_anew(self) -> None:
        """Give the log another id: what was made from it before is worth nothing."""
        with self._reporting("changed"):
            self.log_id = begin_anew(self._connection)

    def pruned_before_s(self) -> float | None:
        """No event from before this time comes in any more; None where all do."""
        with self._reporting("read"):
            return pruned_before_s(self._connection)

    def compact(self) -> None:
        """Write the file anew, without what has been taken out of it and without gaps.

        Needs as much space as the log has, and holds up those who write meanwhile. Raises
        HistoryError; also where somebody reads for so long that the rest of what was written ahead
        cannot be cleared.
        """
        with self._reporting("compacted"):
            self._connection.execute("VACUUM")
            (busy, *_) = self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        if busy:
            raise HistoryError(
                f"history log {self._path} is being read, so {self._path.name}-wal could not be "
                "cleared: try again"
            )

    def copy_to(self, path: Path) -> None:
        """Write a copy of the log as it is at this moment into a new file. Raises HistoryError."""
        with self._reporting("copied"), closing(sqlite3.connect(path)) as copy:
            self._connection.backup(copy)
            copy.execute("PRAGMA journal_mode = DELETE")
            (found,) = copy.execute("PRAGMA quick_check").fetchone()
        if found != "ok":
            raise DamagedLogError(f"history log {self._path} is damaged: {found}")

    def _change(self, change: Callable[[], Removed]) -> Removed:
        with self._reporting("changed"):
            # What is taken out is written over.
            self._connection.execute("PRAGMA secure_delete = ON")
            with self._transaction():
                removed = change()
            (self.log_id,) = self._connection.execute(tables.SELECT_ID).fetchone()
        return removed

    def close(self) -> None:
        """See `EventLog.close`."""
        # First: the last to close takes files beside the log away, and nobody misses them.
        with _OPEN_LOCK:
            _OPEN.discard(self)
        self._connection.close()

    @contextmanager
    def _transaction(self, begin: str = "BEGIN IMMEDIATE") -> Iterator[None]:
        self._connection.execute(begin)
        try:
            yield
            self._connection.execute("COMMIT")
        except BaseException:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise

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


def _track(log: SQLiteEventLog) -> None:
    with _OPEN_LOCK:
        _OPEN.add(log)


def _check_undisplaced(path: Path) -> None:
    """Raises HistoryError while another of this process has the log open with files of before.

    SQLite would have both share them, while other processes use the new ones.
    """
    with _OPEN_LOCK:
        others = [log for log in _OPEN if log.is_of(path)]
    displaced = [log for log in others if log.is_displaced()]
    with _OPEN_LOCK:  # one that was closed meanwhile has taken its files away itself
        still_open = any(log in _OPEN for log in displaced)
    if still_open:
        raise HistoryError(
            f"files beside history log {path} were deleted while it was open: it is opened anew "
            "once all have closed it: try again"
        )


def _create_private(path: Path) -> None:
    """Make a file that only its owner may read, if there is none: it will hold names.

    A file that is there is never opened. To close it would drop all of this process's POSIX locks
    on it, also those of other connections; then the next process that closes the log would take
    itself for the last one, and delete what is written ahead from under us.
    """
    with suppress(OSError):  # it is there, or SQLite says it better
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600))


def _identity(path: str | Path) -> tuple[int, int]:
    found = os.stat(path)  # noqa: PTH116 - before every commit: quicker than Path.stat
    return found.st_dev, found.st_ino
