"""Rules of finished jobs: one set for every way in.

A record is plausible, or it is refused for a reason, or it is quarantined: it contradicts what the
site says of itself and may be true all the same, so that a person should look. Reasons are the same
words everywhere, so that they can be counted.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

import polars as pl

from rt_predictor.errors import InvalidJobError
from rt_predictor.jobs.rules import (
    MAX_RUNTIME_S,
    MAX_TIME_S,
    RULES,
    NumberRule,
    TextRule,
    broken_rules,
    rule_reason,
    with_presence,
)
from rt_predictor.jobs.states import ACTIVE, WAITING

MAX_AHEAD_S = 600.0
"""Tolerance for a job's end ahead of our clock. More is no skew of clocks but a wrong unit or
zone, and the experts' losses wait for the latest end that they know of."""

CLOCK_TOLERANCE_S = 60.0
"""Tolerance between times of one job: clocks of hosts differ, times are rounded."""

ROUNDING_S = 1.0
"""Tolerance between a runtime and the start and end that it lies between: one clock tells all
three, and each is rounded to seconds."""

LONG_OVER_FACTOR = 2.0
LONG_OVER_S = 3600.0
"""A job is long over its limit beyond both: a grace and a slow end take minutes."""


class Skip(StrEnum):
    """Why a record tells of no job that ran and ended."""

    JOB_STEP = "job step"
    PARTIAL = "partial execution"
    NEVER_STARTED = "never started"
    STILL_RUNNING = "still running"
    NO_RUNTIME = "no runtime"
    NO_START = "no start time"
    START_BEFORE_SUBMIT = "start before submit"
    END_BEFORE_SUBMIT = "end before submit"
    RUNTIME_TOO_LONG = "runtime longer than from submit to end"
    END_BEFORE_START = "end before start"
    LONGER_THAN_RUN = "runtime longer than from start to end"
    FUTURE = "end in the future"


class Quarantine(StrEnum):
    """Why a record is set aside until a person has looked."""

    OVER_LIMIT = "long over an enforced limit"


ATTEMPT_RULE = NumberRule("attempt", 0, 1e6, "requeues before", required=False, whole=True)

OUTCOME_RULES: tuple[NumberRule | TextRule, ...] = (
    *with_presence(RULES, {"submit_time"}),
    TextRule("job_id", required=True),
    NumberRule("start_time", 0, MAX_TIME_S, "Unix s, 1970 to 2100", required=False),
    NumberRule("end_time", 0, MAX_TIME_S, "Unix s, 1970 to 2100", required=True),
    NumberRule("runtime", 0, MAX_RUNTIME_S, "s", required=True),
    TextRule("state", required=False),
    ATTEMPT_RULE,
)
"""A runtime of 0 is valid: the job ended as soon as it started. Nothing is learned from it."""

_LOG_RULES = tuple(rule for rule in OUTCOME_RULES if rule.field != "job_id")
"""Records of logs may lack an id: `identity.with_ids` gives one."""


_FIRST_DAY_S = 86400.0
"""Times of the first day of 1970, in whatever zone, stand for "never"."""
_NO_VALUE, _INFINITE = 4294967294.0, 4294967295.0
"""Values of Slurm's database for a number that is not set."""


def is_no_time(name: str) -> pl.Expr:
    """Return whether a time stands for "never": 0 (in whatever zone), -1, or Slurm's "no value"."""
    time = pl.col(name)
    first_day = (time <= _FIRST_DAY_S) & (time < pl.col("submit_time") - CLOCK_TOLERANCE_S)
    no_value = (time == _NO_VALUE) | (time == _INFINITE)
    return ((time < 0) | no_value | first_day).fill_null(value=False)


@dataclass(frozen=True)
class _Rule:
    """A rule about a field of a job beside others of it."""

    reason: Skip
    field: str
    breaks: pl.Expr
    text: str
    other: pl.Expr
    """The number that the text names."""


_NOT_ENDED = "is the state of a job that has not ended: send its end once it has"


def _not_ended(reason: Skip, states: Collection[str]) -> _Rule:
    return _Rule(reason, "state", pl.col("state").is_in([*states]), _NOT_ENDED, pl.lit(None))


_UNENDED = (
    _Rule(
        Skip.NEVER_STARTED,
        "start_time",
        is_no_time("start_time"),
        "is no start: the job never started (submitted at {!r} Unix s)",
        pl.col("submit_time"),
    ),
    _not_ended(Skip.NEVER_STARTED, WAITING),
    _not_ended(Skip.STILL_RUNNING, ACTIVE),
)
"""Come before all others: a job that has not run to its end has no outcome that could be wrong."""


_SUBMIT, _START, _END, _RUNTIME = (
    pl.col(name) for name in ("submit_time", "start_time", "end_time", "runtime")
)
_TIME_RULES = (
    _Rule(
        Skip.START_BEFORE_SUBMIT,
        "start_time",
        _START < _SUBMIT - CLOCK_TOLERANCE_S,
        "must not be before submit_time = {!r} (Unix s)",
        _SUBMIT,
    ),
    _Rule(
        Skip.END_BEFORE_SUBMIT,
        "end_time",
        (_END < _SUBMIT) | ((_END == _SUBMIT) & (_RUNTIME > 0)),
        "must be after submit_time = {!r} (Unix s)",
        _SUBMIT,
    ),
    _Rule(
        Skip.RUNTIME_TOO_LONG,
        "runtime",
        _RUNTIME > _END - _SUBMIT + CLOCK_TOLERANCE_S,
        "must not be longer than the {:g} s from submit_time to end_time",
        _END - _SUBMIT,
    ),
    _Rule(
        Skip.END_BEFORE_START,
        "end_time",
        _END < _START - ROUNDING_S,
        "must not be before start_time = {!r} (Unix s)",
        _START,
    ),
    _Rule(
        Skip.LONGER_THAN_RUN,
        "runtime",
        _RUNTIME > _END - _START + ROUNDING_S,
        "must not be longer than the {:g} s from start_time to end_time",
        _END - _START,
    ),
)


def _time_rules(now_s: float | None) -> tuple[_Rule, ...]:
    if now_s is None:
        return _TIME_RULES
    future = _Rule(
        Skip.FUTURE,
        "end_time",
        now_s + MAX_AHEAD_S < _END,
        "must not be in the future: it is {:.0f} (Unix s, UTC)",
        pl.lit(now_s),
    )
    return (*_TIME_RULES, future)


def broken_outcomes(
    events: pl.DataFrame, *, now_s: float | None = None
) -> dict[int, InvalidJobError]:
    """Check every row of a frame with the columns of `JOB_SCHEMA`.

    `now_s` is the time by our clock; without it, ends in the future are let pass. Returns row
    number -> the first rule that the row breaks; rows not in it are plausible.
    """
    errors = _broken(events, _UNENDED)
    for row, error in broken_rules(events, OUTCOME_RULES, "required").items():
        errors.setdefault(row, error)
    for row, error in _broken(events, _time_rules(now_s)).items():
        errors.setdefault(row, error)
    return errors


def broken_states(events: pl.DataFrame) -> dict[int, InvalidJobError]:
    """Check that no state says that a job waits or runs; as `broken_outcomes`."""
    return _broken(events, _UNENDED[1:])


def _broken(events: pl.DataFrame, rules: Sequence[_Rule]) -> dict[int, InvalidJobError]:
    errors: dict[int, InvalidJobError] = {}
    found = events.select(
        rule.breaks.fill_null(value=False).alias(str(at)) for at, rule in enumerate(rules)
    )
    for at, rule in enumerate(rules):
        if not found[str(at)].any():
            continue
        rows = found[str(at)].arg_true()
        values = events.select(rule.field, rule.other.alias(" other "))[rows]
        for row, (value, other) in zip(rows.to_list(), values.iter_rows(), strict=True):
            error = InvalidJobError(rule.field, value, rule.text.format(other), rule.reason)
            errors.setdefault(row, error)
    return errors


def skip_reason(now_s: float | None) -> pl.Expr:
    """Why rows of a log (`JOB_SCHEMA`) cannot be finished jobs: the first reason, else null.

    The reasons are those of the errors of `broken_outcomes`; an id is not asked for.
    """

    def broken(rule: _Rule) -> pl.Expr:
        return pl.when(rule.breaks).then(pl.lit(rule.reason.value))

    return pl.coalesce(
        *(broken(rule) for rule in _UNENDED),
        *(rule_reason(rule) for rule in _LOG_RULES),
        *(broken(rule) for rule in _time_rules(now_s)),
    )


def quarantine_reason(*, limits_enforced: bool) -> pl.Expr:
    """Why rows that no rule refuses are to be looked at, else null."""
    limit, runtime = pl.col("time_req"), pl.col("runtime")
    over = (runtime > LONG_OVER_FACTOR * limit) & (runtime > limit + LONG_OVER_S)
    return pl.when(over & pl.lit(limits_enforced)).then(pl.lit(Quarantine.OVER_LIMIT.value))


@dataclass(frozen=True)
class Screened:
    """Jobs of a log held against the rules."""

    plausible: pl.DataFrame
    """In their order"""
    quarantined: pl.DataFrame
    reasons: Mapping[str, int] = field(default_factory=dict)
    """Why jobs are refused or quarantined -> how many"""


def screened(
    jobs: pl.DataFrame, *, now_s: float | None = None, limits_enforced: bool = False
) -> Screened:
    """Divide jobs of a log (`JOB_SCHEMA`) into plausible, refused and quarantined ones."""
    refused = jobs.select(skip_reason(now_s)).to_series()
    doubted = jobs.select(quarantine_reason(limits_enforced=limits_enforced)).to_series()
    allowed = refused.is_null()
    set_aside = allowed & doubted.is_not_null()
    counts = Counter(refused.drop_nulls().to_list())
    counts.update(doubted.filter(set_aside).to_list())
    if not counts:
        return Screened(jobs, jobs.clear())
    return Screened(jobs.filter(allowed & ~set_aside), jobs.filter(set_aside), dict(counts))


def reasons_of(errors: Sequence[InvalidJobError]) -> dict[str, int]:
    """Count errors by reason, the commonest first."""
    return dict(Counter(error.reason for error in errors).most_common())
