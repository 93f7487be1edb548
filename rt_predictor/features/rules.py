"""What a valid job is: one rule for each field, checked one job or one frame at a time.

Missing is None in a job and null in a frame. NaN and infinity are values, and never valid ones.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from rt_predictor.errors import InvalidJobError

MAX_TEXT_CHARS = 256
_YEAR_S = 366 * 86400.0


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
        """The rule in words, e.g. "must be a whole number from 1 to 1e+06 (count)"."""
        kind = "a whole number" if self.whole else "a number"
        return f"must be {kind} from {self.minimum:g} to {self.maximum:g} ({self.unit})"

    def admits(self, value: float) -> bool:
        """Whether a present value keeps the rule; False for NaN and infinity."""
        return self.minimum <= value <= self.maximum and (not self.whole or value == int(value))


@dataclass(frozen=True)
class TextRule:
    """The length of one text of a job; "" counts as missing."""

    field: str
    required: bool
    max_chars: int = MAX_TEXT_CHARS

    @property
    def text(self) -> str:
        """The rule in words."""
        return f"must be text of at most {self.max_chars} characters"

    def admits(self, value: str) -> bool:
        """Whether a present value keeps the rule."""
        return len(value) <= self.max_chars


NUMBER_RULES: tuple[NumberRule, ...] = (
    NumberRule("processors_req", 1, 1e8, "cores of the whole job", required=True, whole=True),
    NumberRule("nodes_req", 1, 1e6, "nodes", required=True, whole=True),
    NumberRule("mem_req", 1e-3, 1e12, "MB of the whole job", required=True),
    NumberRule("time_req", 1, 10 * _YEAR_S, "s", required=True),
    NumberRule("gpus_req", 0, 1e7, "GPUs of the whole job", required=False, whole=True),
    NumberRule("submit_time", 0, 4_102_444_800, "Unix s, 1970 to 2100", required=False),
)

TEXT_RULES: tuple[TextRule, ...] = (
    TextRule("partition", required=True),
    TextRule("qos", required=True),
    TextRule("user", required=False),
    TextRule("account", required=False),
    TextRule("job_name", required=False),
)

RULES: tuple[NumberRule | TextRule, ...] = NUMBER_RULES + TEXT_RULES

REQUIRED_FIELDS: tuple[str, ...] = tuple(rule.field for rule in RULES if rule.required)

_MISSING = "required; set `partial` to predict without it"


def missing_error(field: str) -> InvalidJobError:
    """The error for a required field that is absent."""
    return InvalidJobError(field, None, _MISSING)


def check_job(job: Mapping[str, float | str | None], *, partial: bool) -> None:
    """Checks one job given as field -> value; an absent field, None and "" are missing.

    Raises InvalidJobError for the first rule that is broken.
    """
    for rule in RULES:
        value = job.get(rule.field)
        if value is None or value == "":
            if rule.required and not partial:
                raise missing_error(rule.field)
        elif not rule.admits(value):  # type: ignore[arg-type]
            raise InvalidJobError(rule.field, value, rule.text)


def invalid_jobs(jobs: pl.DataFrame, *, partial: bool) -> dict[int, InvalidJobError]:
    """Checks every row of a frame with the columns of `REQUEST_SCHEMA`.

    Returns row number -> the first rule that the row breaks; rows not in it are valid.
    """
    errors: dict[int, InvalidJobError] = {}
    for number_rule in NUMBER_RULES:
        _collect(errors, jobs, number_rule, ~_admitted(number_rule), partial=partial)
    for text_rule in TEXT_RULES:
        bad = pl.col(text_rule.field).str.len_chars() > text_rule.max_chars
        _collect(errors, jobs, text_rule, bad, partial=partial)
    return errors


def _admitted(rule: NumberRule) -> pl.Expr:
    """`NumberRule.admits` of a column; null where the value is missing."""
    column = pl.col(rule.field)
    within = column.is_between(rule.minimum, rule.maximum)
    return within & (column == column.floor()) if rule.whole else within


def _collect(
    errors: dict[int, InvalidJobError],
    jobs: pl.DataFrame,
    rule: NumberRule | TextRule,
    bad: pl.Expr,
    *,
    partial: bool,
) -> None:
    column = jobs[rule.field]
    for row in jobs.select(bad.fill_null(value=False).arg_true()).to_series().to_list():
        errors.setdefault(row, InvalidJobError(rule.field, column[row], rule.text))
    if rule.required and not partial:
        missing = column.is_null()
        if isinstance(rule, TextRule):
            missing = missing | (column == "")
        for row in missing.fill_null(value=True).arg_true().to_list():
            errors.setdefault(row, missing_error(rule.field))


def null_invalid(jobs: pl.DataFrame) -> pl.DataFrame:
    """Makes numbers of the request that break their rule null, as logs hold 0 for "not asked"."""
    return jobs.with_columns(
        pl.when(_admitted(rule)).then(pl.col(rule.field)).alias(rule.field) for rule in NUMBER_RULES
    )
