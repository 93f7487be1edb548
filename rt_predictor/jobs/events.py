"""Events: what happened to a job, and when; all that history is made of.

A job is submitted, may start, and ends; or it is cancelled without ever having started. Each event
is known by `EVENT_IDENTITY` and says of its job all that was known then, so that events may come in
any order and more than once.
"""

from collections.abc import Mapping, Sequence

import polars as pl

from rt_predictor.errors import InvalidJobError
from rt_predictor.jobs.event_kind import EventKind
from rt_predictor.jobs.identity import JOB_IDENTITY, with_ids
from rt_predictor.jobs.outcomes import (
    ATTEMPT_RULE,
    CLOCK_TOLERANCE_S,
    MAX_AHEAD_S,
    broken_outcomes,
    broken_states,
    quarantine_reason,
)
from rt_predictor.jobs.rules import (
    MAX_TIME_S,
    RULES,
    NumberRule,
    TextRule,
    broken_rules,
    null_invalid,
    with_presence,
)
from rt_predictor.jobs.schema import JOB_SCHEMA, OUTCOME_SCHEMA

EVENT_IDENTITY = (*JOB_IDENTITY, "kind")
"""Two events with the same values of these are one."""

EVENT_SCHEMA: Mapping[str, type[pl.DataType]] = {
    "kind": pl.String,
    "event_time": pl.Float64,
    **JOB_SCHEMA,
    "client": pl.String,
    "arrived_s": pl.Float64,
}
"""One event: column name -> Polars type.

event_time: when it happened: the submit, start or end time of the job, or when it was cancelled.
client: who sent it: the name of a caller, or the way it came in (`Unnamed`); null where unknown.
arrived_s: when it came in, Unix s by our clock.
"""

QUARANTINE = "quarantine"
"""Column that events have beside, where some are doubtful: `Quarantine`, or null."""

_COLUMN_OF_KIND: Mapping[EventKind, str] = {
    EventKind.SUBMITTED: "submit_time",
    EventKind.STARTED: "start_time",
    EventKind.ENDED: "end_time",
    EventKind.CANCELLED: "end_time",
}
"""Column with the time of each kind of event."""

_KNOWN_AT: Mapping[EventKind, frozenset[str]] = {
    EventKind.SUBMITTED: frozenset({"job_id", "attempt"}),
    EventKind.STARTED: frozenset({"job_id", "attempt", "start_time"}),
    EventKind.ENDED: frozenset(OUTCOME_SCHEMA),
    EventKind.CANCELLED: frozenset({"job_id", "attempt", "end_time", "state"}),
}
"""Columns of an outcome that are known at each kind of event; the others stay null."""

_KINDS = tuple(kind.value for kind in EventKind)
_ORDER = {kind: index for index, kind in enumerate(_KINDS)}
_EVENT_RULES: tuple[NumberRule | TextRule, ...] = (
    *with_presence(RULES, {"submit_time"}),
    TextRule("job_id", required=True),
    ATTEMPT_RULE,
    NumberRule("event_time", 0, MAX_TIME_S, "Unix s, 1970 to 2100", required=True),
    TextRule("state", required=False),
)


def job_events(
    finished: pl.DataFrame, cancelled: pl.DataFrame | None = None, open_: pl.DataFrame | None = None
) -> pl.DataFrame:
    """Make the events of the jobs of a log, in the order in which they happened.

    finished: jobs that ran and ended (`JOB_SCHEMA`): three events each, two without a start time.
    cancelled: jobs that never started and will not, with an `end_time`.
    open_: jobs that the log left waiting, or running where they have a `start_time`.

    Returns `EVENT_SCHEMA`, without `client` and `arrived_s`. Jobs without an id get one.
    """
    started = EventKind.SUBMITTED, EventKind.STARTED
    return _in_order(
        (finished, (*started, EventKind.ENDED)),
        (cancelled, (EventKind.SUBMITTED, EventKind.CANCELLED)),
        (open_, started),
    )


def last_events(
    finished: pl.DataFrame, cancelled: pl.DataFrame | None = None, open_: pl.DataFrame | None = None
) -> pl.DataFrame:
    """The last event of each job of a log, in the order in which they happened.

    It says of the job all that the earlier ones would: the end, when it was submitted and started.
    Arguments and result are those of `job_events`.
    """
    has_started = pl.col("start_time").is_not_null()
    running, waiting = (
        None if open_ is None else open_.filter(some) for some in (has_started, ~has_started)
    )
    return _in_order(
        (finished, (EventKind.ENDED,)),
        (cancelled, (EventKind.CANCELLED,)),
        (running, (EventKind.STARTED,)),
        (waiting, (EventKind.SUBMITTED,)),
    )


def _in_order(*sources: tuple[pl.DataFrame | None, Sequence[EventKind]]) -> pl.DataFrame:
    """Events of these kinds that jobs tell of, in the order in which they happened."""
    parts = []
    for jobs, kinds in sources:
        if jobs is not None and not jobs.is_empty():
            parts += [_events_of(kind, with_ids(jobs)) for kind in kinds]
    events = pl.concat(parts) if parts else pl.DataFrame(schema=EVENT_SCHEMA)
    order = pl.col("kind").replace_strict(_ORDER, return_dtype=pl.Int8)
    return events.sort("event_time", order, maintain_order=True)


def _events_of(kind: EventKind, jobs: pl.DataFrame) -> pl.DataFrame:
    """The events of one kind that the jobs tell of."""
    time = pl.col(_COLUMN_OF_KIND[kind])
    unknown = OUTCOME_SCHEMA.keys() - _KNOWN_AT[kind]
    return jobs.filter(time.is_not_null()).select(
        pl.lit(kind.value).alias("kind"),
        time.alias("event_time"),
        *(
            pl.lit(None, dtype).alias(name) if name in unknown else pl.col(name)
            for name, dtype in JOB_SCHEMA.items()
        ),
        pl.lit(None, pl.String).alias("client"),
        pl.lit(None, pl.Float64).alias("arrived_s"),
    )


def with_event_times(events: pl.DataFrame) -> pl.DataFrame:
    """Fill `event_time` and the job's own time of the event from each other.

    events: `EVENT_SCHEMA`, valid or not.
    """
    own_time = pl.coalesce(
        *(
            pl.when(pl.col("kind") == kind.value).then(pl.col(column))
            for kind, column in _COLUMN_OF_KIND.items()
        )
    )
    filled = events.with_columns(event_time=pl.coalesce("event_time", own_time))
    return filled.with_columns(
        pl.when(pl.col("kind").is_in(_kinds_of(column)))
        .then(pl.coalesce(column, "event_time"))
        .otherwise(column)
        .alias(column)
        for column in ("start_time", "end_time")
    )


def _kinds_of(column: str) -> list[str]:
    return [kind.value for kind, name in _COLUMN_OF_KIND.items() if name == column]


def broken_events(
    events: pl.DataFrame, *, now_s: float | None = None
) -> dict[int, InvalidJobError]:
    """Check every row of a frame of `EVENT_SCHEMA`, as `with_event_times` gives it.

    `now_s` is the time by our clock; without it, events in the future are let pass. Returns row
    number -> the first rule that the row breaks; rows not in it are valid.
    """
    kind, time, submit = (events[name] for name in ("kind", "event_time", "submit_time"))
    errors: dict[int, InvalidJobError] = {}
    for row in _row_numbers(~kind.is_in(_KINDS).fill_null(value=False)):
        rule = f"must be one of {', '.join(_KINDS)}"
        errors[row] = InvalidJobError("kind", kind[row], rule)
    _add(errors, broken_rules(events, _EVENT_RULES, "required"))
    if row_numbers := _row_numbers(kind == EventKind.ENDED.value):
        outcomes = broken_outcomes(events[row_numbers].select(*JOB_SCHEMA), now_s=now_s)
        _add(errors, {row_numbers[row]: error for row, error in outcomes.items()})
    if row_numbers := _row_numbers(kind == EventKind.CANCELLED.value):
        states = broken_states(events[row_numbers])
        _add(errors, {row_numbers[row]: error for row, error in states.items()})
    for row in _row_numbers(time < submit - CLOCK_TOLERANCE_S):
        rule = f"must not be before submit_time = {submit[row]!r} (Unix s)"
        errors.setdefault(row, InvalidJobError("event_time", time[row], rule))
    if now_s is not None:
        for row in _row_numbers(time > now_s + MAX_AHEAD_S):
            rule = f"must not be in the future: it is {now_s:.0f} (Unix s, UTC)"
            errors.setdefault(row, InvalidJobError("event_time", time[row], rule))
    return errors


def with_doubts(events: pl.DataFrame, *, limits_enforced: bool) -> pl.DataFrame:
    """Add why events (`EVENT_SCHEMA`, valid) are doubtful, as column `QUARANTINE`.

    `limits_enforced` says whether the site ends jobs at their time limit.
    """
    reason = quarantine_reason(limits_enforced=limits_enforced)
    ended = pl.col("kind") == EventKind.ENDED.value
    return events.with_columns(pl.when(ended).then(reason).alias(QUARANTINE))


def _add(errors: dict[int, InvalidJobError], more: Mapping[int, InvalidJobError]) -> None:
    for row, error in more.items():
        errors.setdefault(row, error)


def _row_numbers(rows: pl.Series) -> list[int]:
    """Return the numbers of the rows that are true; in most frames none is, which is quick."""
    return rows.arg_true().to_list() if rows.any() else []


def ended_events(
    finished: pl.DataFrame, client: str | None = None, arrived_s: float | None = None
) -> pl.DataFrame:
    """The ends of finished jobs (`JOB_SCHEMA`) as events, one for each job, in their order.

    `client` and `arrived_s` say where they came from, as in `EVENT_SCHEMA`.
    """
    ends = finished.select(
        pl.lit(EventKind.ENDED.value).alias("kind"),
        pl.col("end_time").alias("event_time"),
        *JOB_SCHEMA,
    )
    return with_origin(ends, client, arrived_s)


def with_origin(events: pl.DataFrame, client: str | None, arrived_s: float | None) -> pl.DataFrame:
    """The same events, sent by a client and come in at a time."""
    return events.with_columns(
        pl.lit(client, pl.String).alias("client"), pl.lit(arrived_s, pl.Float64).alias("arrived_s")
    )


def finished_jobs(events: pl.DataFrame) -> pl.DataFrame:
    """The jobs (`JOB_SCHEMA`) whose ends are among events, in the order of these."""
    return events.filter(pl.col("kind") == EventKind.ENDED.value).select(*JOB_SCHEMA)


def log_events(
    finished: pl.DataFrame,
    cancelled: pl.DataFrame | None = None,
    open_: pl.DataFrame | None = None,
    *,
    now_s: float | None = None,
) -> tuple[pl.DataFrame, tuple[InvalidJobError, ...]]:
    """The last event of each job of a log that can be recorded, in the order of their times.

    What a log puts for "not asked for" is left out, and a job without an id gets one.

    Args:
        finished: jobs that ran and ended (`JOB_SCHEMA`).
        cancelled: jobs that never started and will not, likewise.
        open_: jobs that wait, or run where they have a `start_time`, likewise.
        now_s: the time by our clock; without it, events in the future are let pass.

    Returns `EVENT_SCHEMA`, and why other jobs cannot be recorded.
    """
    events = last_events(
        null_invalid(finished),
        None if cancelled is None else null_invalid(cancelled),
        None if open_ is None else null_invalid(open_),
    )
    broken = broken_events(events, now_s=now_s)
    keep = ~pl.int_range(pl.len()).is_in(list(broken))
    return events.filter(keep), tuple(broken.values())
