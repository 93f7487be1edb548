"""The tables of the log in SQLite, and the statements that write and read them.

Finished jobs lie in `outcome`, which is as edition 1.0 made it: that edition opens the file, reads
it and writes it, before and after. What it has no columns for lies beside it in `outcome_source`.
Other kinds lie in `event`, and so does the end of a job for which `outcome` has no room: it tells
jobs apart by id and submit time, not by cluster and attempt. What other clients than the first said
of the same event lies in `version`: it takes the place of one that is withdrawn.

An event in quarantine lies in `event` too, at its place in the order of arrival, with the reason;
readers pass it over. So a released one stands where it would have stood.

**One order of arrival.** An outcome's `position` is the number of outcomes up to it. An event's
`ordinal` is the number of events up to it, and its `position` is that of the last outcome before it
plus its ordinal. So the common position of an outcome is its own plus the ordinal of the last event
that came before it: a log of edition 1.0 keeps its positions, and an outcome that 1.0 adds later
comes after all that is there, without any table having been told of it.
"""

from collections.abc import Callable, Iterable, Mapping

import polars as pl

from rt_predictor.jobs.event_kind import EventKind
from rt_predictor.jobs.events import EVENT_IDENTITY, EVENT_SCHEMA, QUARANTINE

FORMAT_OF_1_0 = 1
"""`user_version`, by which edition 1.0 knows its own logs."""
FORMAT = 1
"""Facts of the tables that are new since then."""

OUTCOME_COLUMNS = (
    "submit_time",
    "processors_req",
    "nodes_req",
    "mem_req",
    "gpus_req",
    "time_req",
    "partition",
    "qos",
    "user",
    "account",
    "job_name",
    "job_id",
    "start_time",
    "end_time",
    "runtime",
    "state",
)
"""The columns of edition 1.0, never to be changed."""
_REQUIRED_OF_OUTCOME = frozenset({"job_id", "submit_time", "end_time", "runtime"})

EVENT_COLUMNS = tuple(EVENT_SCHEMA)
STORED_COLUMNS = (*EVENT_COLUMNS, QUARANTINE)
"""Columns of `event` and `version`; the reason is null where there is nothing to doubt."""
SOURCE_COLUMNS = tuple(
    name for name in EVENT_COLUMNS if name not in {*OUTCOME_COLUMNS, "kind", "event_time"}
)
"""Fields that `outcome` has no columns for."""
CONTENT_COLUMNS = tuple(
    name for name in EVENT_COLUMNS if name not in {*EVENT_IDENTITY, "client", "arrived_s"}
)
"""Fields in which events of the same identity may differ."""
_FILLED = {"cluster": "''", "attempt": "0", "client": "''"}
"""Null is no value of an identity in SQLite: what stands for it."""
_REQUIRED = frozenset({"kind", "event_time", "submit_time", "job_id", *_FILLED})
_TYPES = {pl.Float64: "REAL", pl.String: "TEXT"}
_SCHEMA: Mapping[str, type[pl.DataType]] = {**EVENT_SCHEMA, QUARANTINE: pl.String}
ENDED = EventKind.ENDED.value


def _declared(columns: Iterable[str], required: frozenset[str]) -> str:
    return ", ".join(
        f"{name} {_TYPES[_SCHEMA[name]]}{' NOT NULL' if name in required else ''}"
        for name in columns
    )


def _listed(columns: Iterable[str]) -> str:
    return ", ".join(columns)


def _marks(columns: Iterable[str]) -> str:
    return ", ".join("?" for _ in columns)


def _read(name: str) -> str:
    """A column as it is read: what stands for null is null again."""
    return f"nullif({name}, {_FILLED[name]})" if name in _FILLED else name


def _filled(name: str) -> str:
    """A column of a table that has no row for every outcome, as an identity holds it."""
    return f"coalesce({name}, {_FILLED[name]})" if name in _FILLED else name


_UNIQUE_EVENT = "job_id, submit_time, kind, cluster, attempt"

CREATE_AS_1_0 = (
    f"CREATE TABLE IF NOT EXISTS outcome (position INTEGER PRIMARY KEY, "
    f"{_declared(OUTCOME_COLUMNS, _REQUIRED_OF_OUTCOME)}, UNIQUE (job_id, submit_time))",
    "CREATE TABLE IF NOT EXISTS log (id TEXT NOT NULL)",
)
CREATE = (
    "CREATE TABLE IF NOT EXISTS fact (name TEXT PRIMARY KEY, value) WITHOUT ROWID",
    f"CREATE TABLE IF NOT EXISTS outcome_source (position INTEGER PRIMARY KEY, "
    f"{_declared(SOURCE_COLUMNS, _REQUIRED)})",
    f"CREATE TABLE IF NOT EXISTS event (position INTEGER PRIMARY KEY, ordinal INTEGER NOT NULL, "
    f"{_declared(STORED_COLUMNS, _REQUIRED)}, UNIQUE ({_UNIQUE_EVENT}))",
    f"CREATE INDEX IF NOT EXISTS event_ended ON event (kind) WHERE kind = '{ENDED}'",
    "CREATE TABLE IF NOT EXISTS version (number INTEGER PRIMARY KEY, contradicts INTEGER NOT NULL, "
    f"{_declared(STORED_COLUMNS, _REQUIRED)}, UNIQUE ({_UNIQUE_EVENT}, client))",
)
HAS_QUARANTINE = f"SELECT 1 FROM pragma_table_info('event') WHERE name = '{QUARANTINE}'"
ADD_QUARANTINE = tuple(
    f"ALTER TABLE {table} ADD COLUMN {QUARANTINE} TEXT" for table in ("event", "version")
)
"""For a log that was made before there was a quarantine."""
INDEX_QUARANTINE = (
    f"CREATE INDEX IF NOT EXISTS event_quarantine ON event ({QUARANTINE}) "
    f"WHERE {QUARANTINE} IS NOT NULL"
)
HAS_FACTS = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'fact'"
SELECT_ID = "SELECT id FROM log"
INSERT_ID = "INSERT INTO log SELECT ? WHERE NOT EXISTS (SELECT 1 FROM log)"
SET_ID = "UPDATE log SET id = ?"
SELECT_FACT = "SELECT value FROM fact WHERE name = ?"
PUT_FACT = "INSERT OR REPLACE INTO fact VALUES (?, ?)"
FORMAT_FACT = "format"
PRUNED_FACT = "pruned_before_s"
"""No event from before this time comes in again."""

_SAME_EVENT = " AND ".join(f"{name} = ?" for name in EVENT_IDENTITY)

HAS_ENDED_EVENT = f"SELECT EXISTS (SELECT 1 FROM event WHERE kind = '{ENDED}')"
INSERT_OUTCOME = (
    f"INSERT INTO outcome ({_listed(OUTCOME_COLUMNS)}) VALUES ({_marks(OUTCOME_COLUMNS)}) "
    "ON CONFLICT DO NOTHING"
)
INSERT_SOURCE = (
    f"INSERT OR REPLACE INTO outcome_source (position, {_listed(SOURCE_COLUMNS)}) "
    f"VALUES ({_marks(('position', *SOURCE_COLUMNS))})"
)
INSERT_EVENT = (
    f"INSERT INTO event ({_listed(STORED_COLUMNS)}, position, ordinal) "
    f"VALUES ({_marks(STORED_COLUMNS)}, ?, ?) ON CONFLICT DO NOTHING"
)
INSERT_VERSION = (
    f"INSERT INTO version ({_listed(STORED_COLUMNS)}, contradicts) "
    f"VALUES ({_marks(STORED_COLUMNS)}, ?) "
    "ON CONFLICT DO UPDATE SET contradicts = max(contradicts, excluded.contradicts)"
)
"""The first version of each client is kept; that it contradicted later on is kept too."""


def _ended(of_source: Callable[[str], str]) -> str:
    """Finished jobs as events; `of_source` gives an expression for a column of their source."""
    expressions = {
        "kind": f"'{ENDED}'",
        "event_time": "end_time",
        **{name: name for name in OUTCOME_COLUMNS},
        **{name: of_source(name) for name in SOURCE_COLUMNS},
    }
    columns = _listed(expressions[name] for name in EVENT_COLUMNS)
    source = "outcome LEFT JOIN outcome_source USING (position)"
    return f"outcome.position, {columns}, NULL, NULL FROM {source}"


SELECT_SAME_OUTCOME = f"SELECT {_ended(_filled)} WHERE job_id = ? AND submit_time = ?"
SELECT_SAME_EVENT = f"SELECT position, {_listed(STORED_COLUMNS)} FROM event WHERE {_SAME_EVENT}"

SELECT_LAST_OUTCOME = "SELECT max(position) FROM outcome"
SELECT_LAST_EVENT = "SELECT position, ordinal FROM event ORDER BY position DESC LIMIT 1"
SELECT_ORDINAL = "SELECT ordinal FROM event WHERE position <= ? ORDER BY position DESC LIMIT 1"
SELECT_OUTCOMES = (
    f"SELECT {_ended(_read)} WHERE outcome.position > ? AND outcome.position <= ? "
    "ORDER BY outcome.position LIMIT ?"
)
SELECT_EVENTS = (
    f"SELECT position, {_listed(map(_read, STORED_COLUMNS))}, ordinal FROM event "
    "WHERE position > ? ORDER BY position LIMIT ?"
)
COUNT_BY_KIND = (
    f"SELECT '{ENDED}', count(*) FROM outcome UNION ALL "
    f"SELECT kind, count(*) FROM event WHERE {QUARANTINE} IS NULL GROUP BY kind"
)
COUNT_QUARANTINED = f"SELECT count(*) FROM event WHERE {QUARANTINE} IS NOT NULL"
SELECT_QUARANTINED = (
    f"SELECT {_listed(map(_read, STORED_COLUMNS))} FROM event WHERE {QUARANTINE} IS NOT NULL "
    "AND {} ORDER BY position"
)
RELEASE = f"UPDATE event SET {QUARANTINE} = NULL WHERE {QUARANTINE} IS NOT NULL AND {{}}"
COUNT_CONFLICTS = "SELECT count(*) FROM version WHERE contradicts"
COUNT_BY_CLIENT = (
    "SELECT client, count(*), min(arrived_s), max(arrived_s) FROM ("
    "SELECT coalesce(client, '') AS client, coalesce(arrived_s, end_time) AS arrived_s "
    "FROM outcome LEFT JOIN outcome_source USING (position) UNION ALL "
    "SELECT client, coalesce(arrived_s, event_time) FROM event"
    ") GROUP BY client ORDER BY count(*) DESC, client"
)
