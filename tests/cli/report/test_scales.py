"""The laws of scales."""

import math
from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rt_predictor.cli.report.scales import (
    Extent,
    Scale,
    high_shares,
    log_seconds,
    numbered,
    seconds,
    shares,
)

SPAN = Extent(300.0, 20.0)
TIMES = st.lists(st.floats(0.5, 1e7), min_size=1, max_size=8)
SHARES = st.lists(st.floats(0, 1), min_size=1, max_size=8)


def holds(scale: Scale, values: Sequence[float]) -> None:
    """Values keep their order and lie inside; so do the ticks, which differ in name."""
    at = [scale(value) for value in sorted(values)]
    assert all(20 <= position <= 300 for position in at)
    assert at == sorted(at, reverse=True)
    ticks = [scale(value) for value, _ in scale.ticks]
    assert all(20 <= position <= 300 for position in ticks)
    assert all(a > b for a, b in pairwise(ticks))
    names = [name for _, name in scale.ticks]
    assert len(set(names)) == len(names)
    assert len(names) <= 14


@given(TIMES)
def test_times_on_a_logarithmic_scale(values: list[float]) -> None:
    scale = log_seconds(values, SPAN)
    holds(scale, values)
    ratio = [scale(value) - scale(2 * value) for value in (scale.low, scale.high / 2)]
    if scale.high > 4 * scale.low:
        assert ratio[0] == pytest.approx(ratio[1])


@given(TIMES)
def test_times_on_a_scale_from_zero(values: list[float]) -> None:
    scale = seconds(values, SPAN)
    holds(scale, values)
    assert scale(0) == 300
    assert scale.high >= max(values)


@given(SHARES)
def test_shares_from_zero(values: list[float]) -> None:
    scale = shares(max(values), SPAN)
    holds(scale, values)
    assert scale.high >= max(values)


@given(SHARES)
def test_high_shares(values: list[float]) -> None:
    scale = high_shares(values, SPAN)
    holds(scale, values)
    assert scale.low <= min(values)
    assert scale.high == 1


def test_what_is_numbered_stands_apart_evenly() -> None:
    scale = numbered(4, Extent(0, 400))
    assert [scale(number) for number in range(1, 5)] == [50, 150, 250, 350]


@pytest.mark.parametrize("scale_of", [log_seconds, seconds, high_shares])
def test_figures_that_are_missing_do_not_matter(scale_of) -> None:
    holds(scale_of([math.nan, 0.5], SPAN), [0.5])
    assert scale_of([math.nan], SPAN).ticks


def test_a_wide_range_of_times_has_few_marks_and_a_narrow_one_enough() -> None:
    assert [name for _, name in log_seconds([1, 1e6], SPAN).ticks] == [
        "1.0 s", "10 s", "1 min", "10 min", "1 h", "10 h", "4 d"
    ]  # fmt: skip
    assert [name for _, name in log_seconds([3600, 7000], SPAN).ticks] == ["1 h", "2 h"]
