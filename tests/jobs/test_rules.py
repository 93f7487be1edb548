"""What a valid job is. One job and a frame of jobs are judged alike."""

import math
from collections.abc import Mapping

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rt_predictor.errors import InvalidJobError
from rt_predictor.jobs.rules import (
    MAX_TEXT_CHARS,
    NUMBER_RULES,
    RULES,
    TEXT_RULES,
    NumberRule,
    TextRule,
    check_job,
    invalid_jobs,
    null_invalid,
)
from rt_predictor.jobs.schema import REQUEST_SCHEMA

Job = dict[str, float | str | None]

REQUIRED = tuple(rule.field for rule in RULES if rule.required)

GOOD: Job = {
    "processors_req": 32,
    "nodes_req": 4,
    "mem_req": 128_000.0,
    "time_req": 3600.0,
    "partition": "normal",
    "qos": "normal",
    "user": "alice",
    "account": "physics",
    "job_name": "relax",
    "cluster": "alpha",
    "array_job_id": "70",
    "array_task_id": "3",
    "het_job_id": "71",
    "gpu_type": "a100",
    "gpus_req": 0,
    "submit_time": 1_700_000_000.0,
}


def _error(job: Mapping[str, float | str | None], *, partial: bool = False) -> str | None:
    try:
        check_job(job, partial=partial)
    except InvalidJobError as error:
        return str(error)
    return None


def _frame(*jobs: Job) -> pl.DataFrame:
    return pl.DataFrame(list(jobs), schema=REQUEST_SCHEMA)


def test_every_field_of_a_request_has_one_rule() -> None:
    assert sorted(rule.field for rule in RULES) == sorted(REQUEST_SCHEMA)
    for rule in RULES:
        numeric = REQUEST_SCHEMA[rule.field] == pl.Float64
        assert isinstance(rule, NumberRule if numeric else TextRule)


def test_the_required_fields_are_the_six_of_the_original_service() -> None:
    assert set(REQUIRED) == {
        "processors_req", "nodes_req", "mem_req", "time_req", "partition", "qos"
    }  # fmt: skip


def test_a_good_job_is_valid() -> None:
    assert _error(GOOD) is None
    assert invalid_jobs(_frame(GOOD), partial=False) == {}


def test_the_required_fields_are_enough() -> None:
    assert _error({name: GOOD[name] for name in REQUIRED}) is None


@pytest.mark.parametrize("field", REQUIRED)
def test_a_missing_required_field_is_an_error_unless_partial(field: str) -> None:
    job = {**GOOD, field: None}
    assert _error(job) == f"{field} is missing: required; set `partial` to predict without it"
    assert _error({name: value for name, value in GOOD.items() if name != field}) == _error(job)
    assert str(invalid_jobs(_frame(job), partial=False)[0]) == _error(job)
    assert _error(job, partial=True) is None
    assert invalid_jobs(_frame(job), partial=True) == {}


@pytest.mark.parametrize("field", ["partition", "qos"])
def test_empty_text_counts_as_missing(field: str) -> None:
    job = {**GOOD, field: ""}
    assert _error(job) == _error({**GOOD, field: None})
    assert _error(job, partial=True) is None
    assert list(invalid_jobs(_frame(job), partial=False)) == [0]
    assert invalid_jobs(_frame(job), partial=True) == {}


def test_a_job_without_any_field_is_valid_only_if_partial() -> None:
    assert _error({}) is not None
    assert _error({}, partial=True) is None


@pytest.mark.parametrize("rule", NUMBER_RULES, ids=lambda rule: rule.field)
@pytest.mark.parametrize("partial", [False, True])
def test_the_ends_of_a_range_are_in_and_just_outside_is_out(
    rule: NumberRule, partial: bool
) -> None:
    step = 1.0 if rule.whole else 0.0
    below = rule.minimum - step if step else math.nextafter(rule.minimum, -math.inf)
    above = rule.maximum + step if step else math.nextafter(rule.maximum, math.inf)
    for value in (rule.minimum, rule.maximum):
        assert _error({**GOOD, rule.field: value}, partial=partial) is None
    for value in (below, above, -1.0, math.nan, math.inf, -math.inf):
        job = {**GOOD, rule.field: value}
        message = _error(job, partial=partial)
        assert message is not None
        assert message.startswith(f"{rule.field} = {value!r}")
        assert message.endswith(f": {rule.text}")
        assert str(invalid_jobs(_frame(job), partial=partial)[0]) == message


@pytest.mark.parametrize("field", ["processors_req", "nodes_req", "gpus_req"])
def test_counts_are_whole(field: str) -> None:
    job = {**GOOD, field: 1.5}
    assert "must be a whole number from" in (_error(job) or "")
    assert list(invalid_jobs(_frame(job), partial=False)) == [0]


@pytest.mark.parametrize("rule", TEXT_RULES, ids=lambda rule: rule.field)
def test_text_is_counted_in_characters_not_bytes(rule: TextRule) -> None:
    longest = {**GOOD, rule.field: "é" * MAX_TEXT_CHARS}
    over = {**GOOD, rule.field: "é" * (MAX_TEXT_CHARS + 1)}
    assert _error(longest) is None
    assert f"must be text of at most {MAX_TEXT_CHARS} characters" in (_error(over) or "")
    assert list(invalid_jobs(_frame(longest, over), partial=False)) == [1]


def test_an_invalid_row_does_not_touch_its_neighbours() -> None:
    frame = _frame(GOOD, {**GOOD, "nodes_req": 0}, GOOD, {**GOOD, "mem_req": math.nan}, GOOD)
    errors = invalid_jobs(frame, partial=False)
    assert {row: error.field for row, error in errors.items()} == {1: "nodes_req", 3: "mem_req"}


def test_a_frame_without_rows_has_no_invalid_rows() -> None:
    assert invalid_jobs(_frame(), partial=False) == {}


def test_numbers_of_a_log_that_break_a_rule_become_missing() -> None:
    bad = {rule.field: rule.minimum - 1 for rule in NUMBER_RULES}
    frame = _frame(GOOD, {**GOOD, **bad}, {**GOOD, "mem_req": math.nan, "time_req": None})
    good, nothing, some = null_invalid(frame).to_dicts()
    assert good == GOOD
    assert all(nothing[rule.field] is None for rule in NUMBER_RULES)
    assert all(nothing[rule.field] == GOOD[rule.field] for rule in TEXT_RULES)
    assert some == {**GOOD, "mem_req": None, "time_req": None}


_numbers = st.one_of(
    st.none(),
    st.floats(width=64),
    st.sampled_from([0.0, 1.0, 1.5, 1e6, 1e6 + 1, 1e12, 2e12, 4_102_444_800.0]),
)
_texts = st.one_of(st.none(), st.sampled_from(["", "normal", "x" * 256, "x" * 257]))
_jobs = st.fixed_dictionaries(
    {name: _numbers if dtype == pl.Float64 else _texts for name, dtype in REQUEST_SCHEMA.items()}
)


@given(st.lists(_jobs, max_size=5), st.booleans())
def test_a_frame_is_judged_as_its_jobs_are_one_by_one(jobs: list[Job], partial: bool) -> None:
    one_by_one = {
        row: message
        for row, job in enumerate(jobs)
        if (message := _error(job, partial=partial)) is not None
    }
    together = {row: str(e) for row, e in invalid_jobs(_frame(*jobs), partial=partial).items()}
    assert together == one_by_one
