"""Events out of the tables for good: withdrawn, forgotten with their user, or pruned; and those out
of quarantine that an operator believes.

The log gets a new id, so that every process folds all of it again, and no snapshot of before is
used: what is known then equals what a log would tell that never had these events. So what another
client said of the same event takes the place of one that is withdrawn.
"""

import sqlite3
import uuid
from dataclasses import dataclass
from typing import TypeAlias

import polars as pl

from rt_predictor.eventlog import tables
from rt_predictor.eventlog.appending import Appending
from rt_predictor.eventlog.reading import pruned_before_s
from rt_predictor.jobs.events import EVENT_SCHEMA, QUARANTINE

_Values: TypeAlias = list[str | float]


@dataclass(frozen=True)
class Selection:
    """Selection of events: all criteria that are given must hold."""

    client: str | None = None
    """Client that sent it; "" selects events of unknown clients."""
    user: str | None = None
    since_s: float | None = None
    """It came in at this time or later, Unix s. Edition 1.0 did not write down when events came in:
    for those it is when they happened."""
    until_s: float | None = None
    """It came in before this time."""
    before_s: float | None = None
    """It happened before this time, Unix s."""
    job_ids: tuple[str, ...] = ()
    """It is of one of these jobs; none means any."""
    quarantined: bool = False
    """It is in quarantine."""

    @property
    def is_everything(self) -> bool:
        """Return whether nothing is given."""
        return self == Selection()

    def condition(self, columns: "_Columns") -> tuple[str, _Values]:
        """The same in SQL, and the values of its marks."""
        parts = (
            (f"{columns.client} = ?", self.client),
            (f"{columns.user} = ?", self.user),
            (f"{columns.arrived_s} >= ?", self.since_s),
            (f"{columns.arrived_s} < ?", self.until_s),
            (f"{columns.event_time} < ?", self.before_s),
        )
        given = [(text, value) for text, value in parts if value is not None]
        texts, values = [text for text, _ in given], [value for _, value in given]
        if self.job_ids:
            texts.append(f"job_id IN ({', '.join('?' for _ in self.job_ids)})")
            values += self.job_ids
        if self.quarantined:
            texts.append(columns.quarantined)
        return " AND ".join(["1", *texts]), values


@dataclass(frozen=True)
class Removed:
    """Counts of the events that were taken out."""

    events: int
    """Of all kinds."""
    versions: int
    """Versions kept apart, since another client had been first with the same event."""
    restored: int = 0
    """Events that are in the log now in the place of those taken out, from other clients."""


@dataclass(frozen=True)
class _Columns:
    client: str = "client"
    user: str = "user"
    event_time: str = "event_time"
    arrived_s: str = "coalesce(arrived_s, event_time)"
    quarantined: str = f"{QUARANTINE} IS NOT NULL"


_OF_EVENTS = _Columns()
_OF_OUTCOMES = _Columns(
    client="coalesce(client, '')",
    event_time="end_time",
    arrived_s="coalesce(arrived_s, end_time)",
    quarantined="0",
)
_SOURCED = "outcome LEFT JOIN outcome_source USING (position)"
_HAS_EVENT = (
    "EXISTS (SELECT 1 FROM event WHERE event.job_id = version.job_id "
    "AND event.submit_time = version.submit_time AND event.kind = version.kind "
    "AND event.cluster = version.cluster AND event.attempt = version.attempt)"
)
_HAS_OUTCOME = (
    f"version.kind = '{tables.ENDED}' AND EXISTS (SELECT 1 FROM {_SOURCED} "
    "WHERE outcome.job_id = version.job_id AND outcome.submit_time = version.submit_time "
    "AND coalesce(outcome_source.cluster, '') = version.cluster "
    "AND coalesce(outcome_source.attempt, 0) = version.attempt)"
)
_ORPHANED = f"NOT ({_HAS_EVENT}) AND NOT ({_HAS_OUTCOME})"


def count_selected(connection: sqlite3.Connection, selection: Selection) -> Removed:
    """Counts of the events that `remove` would take out."""
    outcomes = _count(connection, _SOURCED, *selection.condition(_OF_OUTCOMES))
    where = selection.condition(_OF_EVENTS)
    events = _count(connection, "event", *where)
    return Removed(outcomes + events, _count(connection, "version", *where))


def remove(connection: sqlite3.Connection, selection: Selection) -> Removed:
    """Take events out, within the transaction that a connection is in."""
    removed = _delete(connection, selection)
    columns = ", ".join(tables.STORED_COLUMNS)
    orphans = connection.execute(
        f"SELECT {columns} FROM version WHERE {_ORPHANED} ORDER BY number"
    ).fetchall()
    connection.execute(f"DELETE FROM version WHERE {_ORPHANED}")
    restored = Appending(connection).add(orphans).recorded
    begin_anew(connection)
    return Removed(removed.events, removed.versions, restored)


def prune(connection: sqlite3.Connection, before_s: float) -> Removed:
    """Take out what happened before a time, and let nothing from before it in again."""
    removed = _delete(connection, Selection(before_s=before_s))
    connection.execute(f"DELETE FROM version WHERE {_ORPHANED}")
    known_s = pruned_before_s(connection)
    mark_s = before_s if known_s is None else max(before_s, known_s)
    connection.execute(tables.PUT_FACT, (tables.PRUNED_FACT, mark_s))
    begin_anew(connection)
    return removed


def quarantined(connection: sqlite3.Connection, selection: Selection) -> pl.DataFrame:
    """Selected events in quarantine, in the order of arrival: `EVENT_SCHEMA` and the reason."""
    where, values = selection.condition(_OF_EVENTS)
    found = connection.execute(tables.SELECT_QUARANTINED.format(where), values).fetchall()
    return pl.DataFrame(found, schema={**EVENT_SCHEMA, QUARANTINE: pl.String}, orient="row")


def release(connection: sqlite3.Connection, selection: Selection) -> int:
    """Take events out of quarantine, within the transaction that a connection is in."""
    where, values = selection.condition(_OF_EVENTS)
    released = connection.execute(tables.RELEASE.format(where), values).rowcount
    if released:
        begin_anew(connection)
    return released


def _count(connection: sqlite3.Connection, table: str, where: str, values: _Values) -> int:
    (found,) = connection.execute(f"SELECT count(*) FROM {table} WHERE {where}", values).fetchone()
    return int(found)


def _delete(connection: sqlite3.Connection, selection: Selection) -> Removed:
    run = connection.execute
    where, values = selection.condition(_OF_OUTCOMES)
    # Once, since the source of an outcome may be what selects it.
    run(f"CREATE TEMP TABLE removed AS SELECT position FROM {_SOURCED} WHERE {where}", values)
    run("DELETE FROM outcome_source WHERE position IN (SELECT position FROM removed)")
    events = run("DELETE FROM outcome WHERE position IN (SELECT position FROM removed)").rowcount
    run("DROP TABLE removed")
    where, values = selection.condition(_OF_EVENTS)
    events += run(f"DELETE FROM event WHERE {where}", values).rowcount
    versions = run(f"DELETE FROM version WHERE {where}", values).rowcount
    # What comes next must come after all that is left: `tables` says what positions are.
    (last,) = run(tables.SELECT_LAST_OUTCOME).fetchone()
    last = int(last or 0)
    run("UPDATE event SET position = ? + ordinal WHERE position - ordinal > ?", (last, last))
    return Removed(events, versions)


def begin_anew(connection: sqlite3.Connection) -> str:
    """Give the log another id, and return it: what was made from it before is worth nothing."""
    log_id = uuid.uuid4().hex
    connection.execute(tables.SET_ID, (log_id,))
    return log_id
