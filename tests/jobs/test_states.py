"""States of jobs: one set of words, and what they say of an end."""

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rt_predictor.jobs.states import (
    ACTIVE,
    CODES,
    ENDINGS,
    SWF_STATES,
    WAITING,
    Ending,
    ending_of,
    endings,
    normal_state,
    normal_states,
    unknown_states,
)


@pytest.mark.parametrize(
    ("said", "word"),
    [
        ("COMPLETED", "COMPLETED"),
        (" completed ", "COMPLETED"),
        ("CANCELLED by 1000", "CANCELLED"),
        ("CANCELLED+", "CANCELLED"),
        ("Canceled", "CANCELLED"),
        ("OUT_OF_ME+", "OUT_OF_MEMORY"),
        ("DONE", "DONE"),
        ("", None),
        ("  ", None),
        (None, None),
    ],
)
def test_a_state_is_one_word(said: str | None, word: str | None) -> None:
    assert normal_state(said) == word


@given(st.one_of(st.none(), st.text(alphabet="aB +\t_", max_size=6), st.sampled_from([*ENDINGS])))
def test_a_column_is_read_as_each_of_its_states(said: str | None) -> None:
    column = pl.DataFrame({"state": pl.Series([said], dtype=pl.String)})
    found = column.select(word=normal_states(pl.col("state")))
    assert found["word"].to_list() == [normal_state(said)]
    assert found.select(endings(pl.col("word"))).item() == ending_of(normal_state(said))


@pytest.mark.parametrize(
    ("state", "ending"),
    [
        ("COMPLETED", Ending.COMPLETED),
        ("OUT_OF_MEMORY", Ending.FAILED),
        ("TIMEOUT", Ending.TIMEOUT),
        ("PREEMPTED", Ending.LOST),
        ("NODE_FAIL", Ending.LOST),
        ("REQUEUED", Ending.LOST),
        ("RUNNING", Ending.UNKNOWN),
        ("SOMETHING", Ending.UNKNOWN),
        (None, Ending.UNKNOWN),
    ],
)
def test_a_state_says_how_the_job_ended(state: str | None, ending: Ending) -> None:
    assert ending_of(state) == ending


def test_no_job_waits_runs_and_has_ended_at_once() -> None:
    assert not WAITING & ACTIVE
    assert not (WAITING | ACTIVE) & ENDINGS.keys()
    assert set(CODES.values()) <= WAITING | ACTIVE | ENDINGS.keys()
    assert set(SWF_STATES.values()) <= ENDINGS.keys()


def test_words_that_are_no_state_are_counted() -> None:
    states = pl.Series(["FOO", "COMPLETED", "BAR", "FOO", None, "RUNNING"])
    assert unknown_states(states) == {"FOO": 2, "BAR": 1}
    assert unknown_states(pl.Series([], dtype=pl.String)) == {}
