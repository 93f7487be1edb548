"""What may be asked of a job beside what it is."""

import polars as pl
import pytest

from rt_predictor.errors import InvalidJobError
from rt_predictor.jobs.asked import (
    ASKED_SCHEMA,
    NOTHING_ASKED,
    asked_frame,
    check_asked,
    frame_of,
    with_moments,
)
from rt_predictor.jobs.schema import REQUEST_SCHEMA

ROW = {**dict.fromkeys(REQUEST_SCHEMA), **NOTHING_ASKED, "submit_time": 100.0}


@pytest.mark.parametrize(
    "question",
    [
        {},
        {"confidence_level": 0.001, "quantiles": (0.5, 0.999)},
        {"as_of": 100.0},
        {"as_of": 160.0, "elapsed": 60.5},
        {"as_of": 160.0, "elapsed": 0.0},
        {"explain": True},
    ],
)
def test_a_question_that_makes_sense_is_let_pass(question: dict[str, object]) -> None:
    check_asked({**ROW, **question})


@pytest.mark.parametrize(
    ("question", "field", "rule"),
    [
        ({"confidence_level": 1.0}, "confidence_level", "must lie between 0 and 1"),
        ({"quantiles": (0.5, 0.0)}, "quantiles", "must lie between 0 and 1"),
        ({"quantiles": (0.5,) * 101}, "quantiles", "at most 100 levels"),
        ({"elapsed": 5.0}, "as_of", "required with elapsed"),
        ({"elapsed": float("nan"), "as_of": 200.0}, "elapsed", "must be a number from 0"),
        ({"as_of": float("inf")}, "as_of", "must be a number from 0"),
        ({"as_of": 99.0}, "as_of", "must not be before submit_time = 100.0"),
        ({"as_of": 160.0, "elapsed": 62.0}, "elapsed", "must not be more than as_of - submit_time"),
    ],
)
def test_one_that_does_not_names_the_field(
    question: dict[str, object], field: str, rule: str
) -> None:
    with pytest.raises(InvalidJobError, match=rule) as raised:
        check_asked({**ROW, **question})
    assert raised.value.field == field


def test_rows_become_a_frame_with_what_is_asked() -> None:
    plain = frame_of([ROW, ROW])
    assert plain.columns == list(REQUEST_SCHEMA)
    assert frame_of([dict.fromkeys(REQUEST_SCHEMA)]).columns == list(REQUEST_SCHEMA)
    asked = frame_of([ROW, {**ROW, "quantiles": (0.1, 0.5), "elapsed": 3.0}])
    assert asked.columns == [*REQUEST_SCHEMA, "elapsed", "quantiles"]
    assert asked["quantiles"].to_list() == [None, [0.1, 0.5]]
    assert asked.schema["quantiles"] == ASKED_SCHEMA["quantiles"]
    assert frame_of(asked) is asked


def test_columns_in_which_nothing_is_asked_are_left_out() -> None:
    jobs = pl.DataFrame({"submit_time": [1.0], "elapsed": [None], "explain": [True]})
    assert asked_frame(jobs).columns == ["submit_time", "explain"]


def test_times_that_are_not_said_follow_from_those_that_are() -> None:
    jobs = pl.DataFrame(
        {
            "submit_time": [None, None, None, None, 40.0],
            "elapsed": [None, None, 30.0, 30.0, None],
            "as_of": [None, 100.0, 100.0, None, 100.0],
        },
        schema=dict.fromkeys(("submit_time", "elapsed", "as_of"), pl.Float64),
    )
    filled = with_moments(jobs, now_s=500.0)
    assert filled["submit_time"].to_list() == [None, 100.0, 70.0, 470.0, 40.0]
    assert filled["as_of"].to_list() == [None, 100.0, 100.0, 500.0, 100.0]
