"""Events out of the tables, in one order over both."""

import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import polars as pl
from numpy.typing import NDArray

from rt_predictor.eventlog import tables
from rt_predictor.eventlog.port import Tail
from rt_predictor.jobs.events import EVENT_SCHEMA

Row: TypeAlias = tuple[Any, ...]
"""An event as it is read: its position in its table, `STORED_COLUMNS`, and the ordinal it has."""

_POSITION = "position"
_ALL = (1 << 63) - 1
"""The largest integer of SQLite."""
_DOUBT = -2
"""Column of the reason of quarantine in a row."""
_READ_SCHEMA: Mapping[str, type[pl.DataType]] = {_POSITION: pl.Int64, **EVENT_SCHEMA}


def pruned_before_s(connection: sqlite3.Connection) -> float | None:
    """Time before which no event comes in any more; None where all do."""
    found = connection.execute(tables.SELECT_FACT, (tables.PRUNED_FACT,)).fetchone()
    return float(found[0]) if found else None


def last_position(connection: sqlite3.Connection) -> int:
    """Position of the event that arrived last; 0 where there is none."""
    (outcome,) = connection.execute(tables.SELECT_LAST_OUTCOME).fetchone()
    last_outcome = int(outcome or 0)
    position, ordinal = connection.execute(tables.SELECT_LAST_EVENT).fetchone() or (0, 0)
    return last_outcome + ordinal if last_outcome > position - ordinal else int(position)


def read_after(connection: sqlite3.Connection, position: int, limit: int) -> Tail:
    """At most `limit` events after a position, within the transaction that a connection is in.

    Those in quarantine count, and are left out.

    Raises what Polars raises for values that are not of their column's type.
    """
    run = connection.execute
    (log_id,) = run(tables.SELECT_ID).fetchone()
    (ordinal,) = run(tables.SELECT_ORDINAL, (position,)).fetchone() or (0,)
    events = run(tables.SELECT_EVENTS, (position, limit)).fetchall()
    # Where events alone are enough, no outcome behind the last of them is needed.
    until = _last_outcome_before(events[-1]) if 0 < limit == len(events) else _ALL
    outcomes = run(tables.SELECT_OUTCOMES, (position - ordinal, until, limit)).fetchall()
    positions = np.concatenate(
        (
            _common_positions(outcomes, events, ordinal),
            np.array([row[0] for row in events], dtype=np.int64),
        )
    )
    rows = [*outcomes, *events]
    order = np.argsort(positions)[:limit]
    plain = [row[:_DOUBT] for row in (rows[index] for index in order) if row[_DOUBT] is None]
    found = pl.DataFrame(plain, schema=_READ_SCHEMA, orient="row")
    last = int(positions[order[-1]]) if len(order) else position
    return Tail(found.drop(_POSITION), last, str(log_id))


def _last_outcome_before(event: Row) -> int:
    return int(event[0] - event[-1])


def _common_positions(
    outcomes: Sequence[Row], events: Sequence[Row], ordinal: int
) -> NDArray[np.int64]:
    """Positions over all kinds of outcomes; `events` follow an event of this ordinal."""
    own = np.array([row[0] for row in outcomes], dtype=np.int64)
    ordinals = np.array([ordinal, *(row[-1] for row in events)], dtype=np.int64)
    last_outcomes = np.array([_last_outcome_before(event) for event in events], dtype=np.int64)
    return own + ordinals[np.searchsorted(last_outcomes, own, side="left")]
