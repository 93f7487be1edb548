"""What a valid finished job is: the rules of the request, and those of the outcome."""

import polars as pl

from rt_predictor.errors import InvalidJobError
from rt_predictor.jobs.rules import (
    MAX_RUNTIME_S,
    MAX_TIME_S,
    RULES,
    NumberRule,
    TextRule,
    broken_rules,
    with_presence,
)

MAX_AHEAD_S = 600.0
"""How far a job's end may lie ahead of our clock. More is no skew of clocks but a wrong unit or
zone, and the experts' losses wait for the latest end that they know of."""

CLOCK_TOLERANCE_S = 60.0
"""How far times of one job may contradict each other: clocks of hosts differ, times are rounded."""

ATTEMPT_RULE = NumberRule("attempt", 0, 1e6, "requeues before", required=False, whole=True)

OUTCOME_RULES: tuple[NumberRule | TextRule, ...] = (
    *with_presence(RULES, {"submit_time"}),
    TextRule("job_id", required=True),
    NumberRule("start_time", 0, MAX_TIME_S, "Unix s, 1970 to 2100", required=False),
    NumberRule("end_time", 0, MAX_TIME_S, "Unix s, 1970 to 2100", required=True),
    NumberRule("runtime", 1e-3, MAX_RUNTIME_S, "s", required=True),
    TextRule("state", required=False),
    ATTEMPT_RULE,
)


def broken_outcomes(
    events: pl.DataFrame, *, now_s: float | None = None
) -> dict[int, InvalidJobError]:
    """Checks every row of a frame with the columns of `JOB_SCHEMA`.

    `now_s` is the time by our clock; without it, ends in the future are let pass. Returns row
    number -> the first rule that the row breaks; rows not in it are valid.
    """
    errors = broken_rules(events, OUTCOME_RULES, "required")
    end_s, submit_s = events["end_time"], events["submit_time"]
    for row in (end_s <= submit_s).arg_true().to_list():
        rule = f"must be after submit_time = {submit_s[row]!r} (Unix s)"
        errors.setdefault(row, InvalidJobError("end_time", end_s[row], rule))
    if now_s is not None:
        for row in (end_s > now_s + MAX_AHEAD_S).arg_true().to_list():
            rule = f"must not be in the future: it is {now_s:.0f} (Unix s, UTC)"
            errors.setdefault(row, InvalidJobError("end_time", end_s[row], rule))
    return errors
