"""Numbers and flags as people say them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rt_predictor.cli.answer_lines import answer_lines
from rt_predictor.cli.words import (
    aligned,
    duration,
    flag_words,
    moment,
    percent,
    reasons,
    time_left,
    time_limit,
)
from rt_predictor.client import Job, Prediction
from rt_predictor.model.answer_flags import Flag, flag_names


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.04, "0.0 s"),
        (3.21, "3.2 s"),
        (9.94, "9.9 s"),
        (9.96, "10 s"),
        (45.4, "45 s"),
        (59.4, "59 s"),
        (59.6, "1 min"),
        (90.0, "1 min 30 s"),
        (599.4, "9 min 59 s"),
        (599.6, "10 min"),
        (2820.0, "47 min"),
        (3569.0, "59 min"),
        (3571.0, "1 h"),
        (6600.0, "1 h 50 min"),
        (86_369.0, "23 h 59 min"),
        (86_371.0, "1 d"),
        (183_600.0, "2 d 3 h"),
        (30 * 86_400.0, "30 d"),
    ],
)
def test_a_duration_has_two_units_at_most_and_rounds_into_the_next(
    seconds: float, text: str
) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (0.0, "0 %"),
        (0.0004, "under 0.1 %"),
        (0.004, "0.4 %"),
        (0.01, "1 %"),
        (0.124, "12 %"),
        (0.99, "99 %"),
        (0.996, "99.6 %"),
        (0.9996, "over 99.9 %"),
        (1.0, "100 %"),
    ],
)
def test_a_small_chance_is_never_shown_as_none_nor_a_large_one_as_certain(
    share: float, text: str
) -> None:
    assert percent(share) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0 s"),
        (90.0, "1 min 30 s"),
        (3900.0, "1 h 5 min"),
        (173_100.0, "2 d 5 min"),
        (90_061.0, "1 d 1 h 1 min 1 s"),
    ],
)
def test_a_time_limit_is_exact(seconds: float, text: str) -> None:
    assert time_limit(seconds) == text


def test_a_moment_is_utc() -> None:
    assert moment(1_735_689_600.0) == "2025-01-01 00:00 UTC"


def test_every_flag_has_a_name_and_words() -> None:
    every = Flag((1 << len(Flag)) - 1)
    assert flag_names(every) == [
        "cold_start_user",
        "unseen_partition",
        "unseen_qos",
        "no_time_limit",
        "out_of_training_range",
        "partition_limit_too_short",
        "time_limit_too_short",
    ]
    assert len(set(flag_words(every))) == len(Flag)
    assert flag_names(Flag(0)) == flag_words(Flag(0)) == []


def test_texts_stand_under_each_other() -> None:
    assert aligned([("a", "1"), ("long", "2")]) == "a     1\nlong  2"


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (Flag.TIME_LIMIT_TOO_SHORT, "a longer limit: this one is too short for a chance of 90 %"),
        (
            Flag.PARTITION_LIMIT_TOO_SHORT,
            "the partition allows no limit that is enough with a chance of 90 %",
        ),
    ],
)
def test_where_no_limit_is_recommended_the_reason_is_told(flags: Flag, words: str) -> None:
    answer = Prediction(
        predicted_runtime=60.0, confidence_lower=30.0, confidence_upper=90.0, confidence_level=0.9,
        timeout_probability=0.2, recommended_time_req=None, recommendation_confidence=0.9,
        model_predictions={}, model_version="m", request_id="", flags=flags,
    )  # fmt: skip
    lines = dict(answer_lines(Job(time_req=90.0, processors_req=1), answer, ()))
    assert lines["ask for"] == words


def test_reasons_that_are_things_are_counted_as_such() -> None:
    assert reasons({"job step": 1, "no runtime": 1}) == "1 job step, 1 no runtime"
    assert reasons({"job step": 3, "no runtime": 2}) == "3 job steps, 2 no runtime"
    assert reasons({"partial execution": 2_000}) == "2,000 partial executions"


_UNITS_S = {"s": 1, "min": 60, "h": 3600, "d": 86_400}


def _seconds(text: str) -> float:
    words = text.split()
    return sum(float(n) * _UNITS_S[unit] for n, unit in zip(words[::2], words[1::2], strict=True))


@given(st.floats(0.2, 5e6), st.floats(0, 0.99))
def test_what_has_passed_and_what_is_left_are_the_whole_as_it_is_shown(
    total_s: float, share: float
) -> None:
    elapsed_s = total_s * share
    left = time_left(total_s, elapsed_s)
    step_s = next(
        (s for s, most in ((0.1, 9.95), (1, 599.5), (60, 86_370)) if total_s < most), 3600
    )
    if left.startswith("under "):
        assert _seconds(left.removeprefix("under ")) == step_s
    else:
        passed = _seconds(duration(total_s)) - _seconds(left)
        assert abs(passed - elapsed_s) <= step_s / 2 + 0.06


@pytest.mark.parametrize(
    ("total_s", "elapsed_s", "left"),
    [
        (2813.0, 100.0, "45 min"),
        (2520.0, 1.0, "42 min"),
        (7205.0, 7203.0, "under 1 min"),
        (200_000.0, 90.0, "2 d 8 h"),
        (45.4, 10.4, "35 s"),
        (5.0, 4.99, "under 0.1 s"),
    ],
)
def test_what_is_left_is_rounded_as_the_whole(total_s: float, elapsed_s: float, left: str) -> None:
    assert time_left(total_s, elapsed_s) == left
