"""Rules of a valid job: one for each field, checked one job or one frame at a time.

Missing is None in a job and null in a frame. NaN and infinity are values, and never valid ones.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import polars as pl

from rt_predictor.errors import InvalidJobError
from rt_predictor.jobs.bounds import MAX_TEXT_CHARS

MAX_RUNTIME_S = 10 * 366 * 86400.0
MAX_TIME_S = 4_102_444_800.0
"""The year 2100, in Unix s."""


def encodable(text: str) -> str:
    """The text without halves of surrogate pairs: JSON may hold them, UTF-8 may not."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


@dataclass(frozen=True)
class NumberRule:
    """The range of one number of a job, ends included."""

    field: str
    minimum: float
    maximum: float
    unit: str
    required: bool
    whole: bool = False

    @property
    def text(self) -> str:
        """Return the rule in words: "must be a whole number from 1 to 1,000,000 (nodes)"."""
        kind = "a whole number" if self.whole else "a number"
        span = f"{self.minimum:,.15g} to {self.maximum:,.15g}"
        return f"must be {kind} from {span} ({self.unit})"

    def admits(self, value: float) -> bool:
        """Return whether a present value keeps the rule; False for NaN and infinity."""
        return self.minimum <= value <= self.maximum and (not self.whole or value == int(value))


@dataclass(frozen=True)
class TextRule:
    """The length of one text of a job; "" counts as missing."""

    field: str
    required: bool
    max_chars: int = MAX_TEXT_CHARS

    @property
    def text(self) -> str:
        """Return the rule in words."""
        return f"must be text of at most {self.max_chars} characters"

    def admits(self, value: str) -> bool:
        """Return whether a present value keeps the rule."""
        return len(value) <= self.max_chars


NUMBER_RULES: tuple[NumberRule, ...] = (
    NumberRule("processors_req", 1, 1e8, "cores of the whole job", required=True, whole=True),
    NumberRule("nodes_req", 1, 1e6, "nodes", required=True, whole=True),
    NumberRule("mem_req", 1e-3, 1e12, "MB of the whole job", required=True),
    NumberRule("time_req", 1, MAX_RUNTIME_S, "s", required=True),
    NumberRule("gpus_req", 0, 1e7, "GPUs of the whole job", required=False, whole=True),
    NumberRule("submit_time", 0, MAX_TIME_S, "Unix s, 1970 to 2100", required=False),
)

TEXT_RULES: tuple[TextRule, ...] = (
    TextRule("partition", required=True),
    TextRule("qos", required=True),
    TextRule("user", required=False),
    TextRule("account", required=False),
    TextRule("job_name", required=False),
    TextRule("cluster", required=False),
    TextRule("array_job_id", required=False),
    TextRule("array_task_id", required=False),
    TextRule("het_job_id", required=False),
    TextRule("gpu_type", required=False),
)

RULES: tuple[NumberRule | TextRule, ...] = NUMBER_RULES + TEXT_RULES


def with_presence(
    rules: Sequence[NumberRule | TextRule], required: Collection[str]
) -> tuple[NumberRule | TextRule, ...]:
    """The same rules, but of all fields these are required, and no others."""
    return tuple(replace(rule, required=rule.field in required) for rule in rules)


_PARTIAL_RULES = with_presence(RULES, ())

_MISSING = "required; set `partial` to predict without it"


def missing_error(field: str) -> InvalidJobError:
    """The error for a required field that is absent."""
    return InvalidJobError(field, None, _MISSING)


def check_job(job: Mapping[str, float | str | None], *, partial: bool) -> None:
    """Check one job given as field -> value; an absent field, None and "" are missing.

    Raises InvalidJobError for the first rule that is broken.
    """
    if _is_plain(job):
        return
    for rule in RULES:
        value = job.get(rule.field)
        if value is None or value == "":
            if rule.required and not partial:
                raise missing_error(rule.field)
        elif not rule.admits(value):  # type: ignore[arg-type]
            raise InvalidJobError(rule.field, value, rule.text)


_PLAIN_NUMBERS = tuple(
    (rule.field, rule.minimum, rule.maximum, rule.whole) for rule in NUMBER_RULES
)
_PLAIN_TEXTS = tuple((rule.field, rule.max_chars) for rule in TEXT_RULES)


def _is_plain(job: Mapping[str, float | str | None]) -> bool:
    """Return whether a job has all required fields and keeps all rules, as most do; quick."""
    value: Any
    for field, minimum, maximum, whole in _PLAIN_NUMBERS:
        value = job.get(field)
        if value is None or value == "":
            if field in _REQUIRED:
                return False
        elif not minimum <= value <= maximum or (whole and value != int(value)):
            return False
    for field, most in _PLAIN_TEXTS:
        value = job.get(field)
        if not value:
            if field in _REQUIRED:
                return False
        elif len(value) > most:
            return False
    return True


_REQUIRED = frozenset(rule.field for rule in RULES if rule.required)


def invalid_jobs(jobs: pl.DataFrame, *, partial: bool) -> dict[int, InvalidJobError]:
    """Check every row of a frame with the columns of `REQUEST_SCHEMA`.

    Returns row number -> the first rule that the row breaks; rows not in it are valid.
    """
    return broken_rules(jobs, _PARTIAL_RULES if partial else RULES, _MISSING)


def broken_rules(
    jobs: pl.DataFrame, rules: Sequence[NumberRule | TextRule], missing: str
) -> dict[int, InvalidJobError]:
    """Check every row of a frame; optional fields need not be columns of it.

    Returns row number -> the first rule that the row breaks; `missing` is what is said of a
    required field that is absent.
    """
    rules = [rule for rule in rules if rule.required or rule.field in jobs.columns]
    broken = jobs.select(*map(_broken, rules))
    errors: dict[int, InvalidJobError] = {}
    for rule, rows in zip(rules, broken.iter_columns(), strict=True):
        if not rows.any():
            continue
        for row in rows.arg_true().to_list():
            value = jobs[rule.field][row]
            absent = value is None or value == ""
            text = missing if absent else rule.text
            errors.setdefault(row, InvalidJobError(rule.field, None if absent else value, text))
    return errors


def rule_reason(rule: NumberRule | TextRule) -> pl.Expr:
    """Why a row breaks a rule, as `InvalidJobError.reason` says it; null where it does not."""
    column = pl.col(rule.field)
    absent = column.is_null() if isinstance(rule, NumberRule) else column.fill_null("") == ""
    reason = (
        pl.when(absent).then(pl.lit(f"no {rule.field}")).otherwise(pl.lit(f"invalid {rule.field}"))
    )
    return pl.when(_broken(rule)).then(reason)


@cache
def _broken(rule: NumberRule | TextRule) -> pl.Expr:
    """Return whether a row breaks a rule."""
    column = pl.col(rule.field)
    if isinstance(rule, NumberRule):
        return ~_admitted(rule).fill_null(value=not rule.required)
    length = column.str.len_chars().fill_null(0)
    too_long = length > rule.max_chars
    return too_long | (length == 0) if rule.required else too_long


def _admitted(rule: NumberRule) -> pl.Expr:
    """`NumberRule.admits` of a column; null where the value is missing."""
    column = pl.col(rule.field)
    within = column.is_between(rule.minimum, rule.maximum)
    return within & (column == column.floor()) if rule.whole else within


def null_invalid(jobs: pl.DataFrame) -> pl.DataFrame:
    """Make numbers of the request that break their rule null, as logs hold 0 for "not asked"."""
    return jobs.with_columns(
        pl.when(_admitted(rule)).then(pl.col(rule.field)).alias(rule.field) for rule in NUMBER_RULES
    )
