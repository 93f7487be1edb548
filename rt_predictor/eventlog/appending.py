"""Events into the tables, one transaction at a time: each is new, known, or known otherwise."""

import sqlite3
from collections.abc import Sequence
from operator import itemgetter
from typing import Any, TypeAlias

import polars as pl

from rt_predictor.eventlog import tables
from rt_predictor.eventlog.port import Appended, Fate
from rt_predictor.eventlog.reading import pruned_before_s
from rt_predictor.jobs.events import EVENT_IDENTITY, QUARANTINE
from rt_predictor.jobs.states import normal_state

Row: TypeAlias = tuple[Any, ...]
"""One event, as `STORED_COLUMNS`."""


def _picks(names: Sequence[str]) -> "itemgetter[Any]":
    return itemgetter(*map(tables.EVENT_COLUMNS.index, names))


_outcome_of = _picks(tables.OUTCOME_COLUMNS)
_source_of = _picks(tables.SOURCE_COLUMNS)
_identity_of = _picks(EVENT_IDENTITY)
_job_of = _picks(("job_id", "submit_time"))
_content_of = _picks(tables.CONTENT_COLUMNS)
_KIND = tables.EVENT_COLUMNS.index("kind")
_EVENT_TIME = tables.EVENT_COLUMNS.index("event_time")
_CLIENT = tables.EVENT_COLUMNS.index("client")
_STATE = tables.CONTENT_COLUMNS.index("state")
_DOUBT = tables.STORED_COLUMNS.index(QUARANTINE)


def rows_of(events: pl.DataFrame) -> list[Row]:
    """Events, as `EventLog.append` takes them, for the statements: an identity holds no null."""
    filled = [pl.col("cluster", "client").fill_null(""), pl.col("attempt").fill_null(0.0)]
    if QUARANTINE not in events.columns:
        filled.append(pl.lit(None, pl.String).alias(QUARANTINE))
    return events.with_columns(filled).select(tables.STORED_COLUMNS).rows()


class Appending:
    """Adds events within the transaction that a connection is in."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._cursor = connection.cursor()
        run = self._cursor.execute
        (position,) = run(tables.SELECT_LAST_OUTCOME).fetchone()
        self._last_outcome = int(position or 0)
        self._last_ordinal = int((run(tables.SELECT_LAST_EVENT).fetchone() or (0, 0))[1])
        self._has_ended_event = bool(run(tables.HAS_ENDED_EVENT).fetchone()[0])
        self._sources: list[Row] = []
        """Of outcomes that were added, not written yet"""
        pruned_s = pruned_before_s(connection)
        self._pruned_before_s = float("-inf") if pruned_s is None else pruned_s

    def add(self, rows: Sequence[Row]) -> Appended:
        """Add events, in their order."""
        appended = Appended(bytes(map(self._add, rows)))
        self._write_sources()
        return appended

    def _add(self, row: Row) -> Fate:
        if row[_EVENT_TIME] < self._pruned_before_s:
            return Fate.PRUNED
        if row[_KIND] == tables.ENDED:
            return self._add_ended(row)
        return self._add_event(row)

    def _add_ended(self, row: Row) -> Fate:
        cursor = self._cursor
        if self._has_ended_event:
            same = cursor.execute(tables.SELECT_SAME_EVENT, _identity_of(row)).fetchone()
            if same is not None:
                return self._known(row, same[1:])
        if row[_DOUBT] is None:
            cursor.execute(tables.INSERT_OUTCOME, _outcome_of(row))
            if cursor.rowcount:
                self._last_outcome = position = int(cursor.lastrowid or 0)
                self._sources.append((position, *_source_of(row)))
                return Fate.RECORDED
        self._write_sources()
        same = cursor.execute(tables.SELECT_SAME_OUTCOME, _job_of(row)).fetchone()
        if same is not None and _identity_of(same[1:]) == _identity_of(row):
            return self._known(row, same[1:])
        # This is doubtful, or another cluster's job or another attempt has the place in `outcome`.
        self._has_ended_event = True
        return self._add_event(row)

    def _write_sources(self) -> None:
        """Write the sources of outcomes together, which costs half."""
        if self._sources:
            self._cursor.executemany(tables.INSERT_SOURCE, self._sources)
            self._sources.clear()

    def _add_event(self, row: Row) -> Fate:
        cursor, ordinal = self._cursor, self._last_ordinal + 1
        cursor.execute(tables.INSERT_EVENT, (*row, self._last_outcome + ordinal, ordinal))
        if cursor.rowcount:
            self._last_ordinal = ordinal
            return Fate.RECORDED if row[_DOUBT] is None else Fate.QUARANTINED
        same = cursor.execute(tables.SELECT_SAME_EVENT, _identity_of(row)).fetchone()
        return self._known(row, same[1:])

    def _known(self, row: Row, same: Row) -> Fate:
        contradicts = _contradict(_content_of(row), _content_of(same))
        # Of those whose client is not known, nobody can be withdrawn but all.
        if contradicts or same[_CLIENT] not in (row[_CLIENT], ""):
            self._cursor.execute(tables.INSERT_VERSION, (*row, contradicts))
        return Fate.CONFLICT if contradicts else Fate.DUPLICATE


def _contradict(new: Row, known: Row) -> bool:
    """Return whether two events say different things of one field; a missing one says nothing."""
    if new == known:
        return False
    return any(
        a is not None and b is not None and a != b
        for a, b in zip(_comparable(new), _comparable(known), strict=True)
    )


def _comparable(content: Row) -> Row:
    """Edition 1.0 wrote states as they came."""
    return (*content[:_STATE], normal_state(content[_STATE]), *content[_STATE + 1 :])
