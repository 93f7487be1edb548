"""Scales from values to positions in a drawing, with round values at the ticks."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from rt_predictor.cli.words import duration, percent

_MINUTE_S, _HOUR_S, _DAY_S = 60, 3600, 86400
_LEAST_S = 1.0
_STEPS_S = tuple(
    unit * number
    for unit, numbers in (
        (1, (1, 2, 5, 10, 20)),
        (_MINUTE_S, (1, 2, 5, 10, 20)),
        (_HOUR_S, (1, 2, 5, 10)),
        (_DAY_S, (1, 2, 5, 10, 20, 50, 100)),
    )
    for number in numbers
)
_LOG_TICKS_S = (
    (1, 10, _MINUTE_S, 600, _HOUR_S, 10 * _HOUR_S, 4 * _DAY_S, 40 * _DAY_S, 400 * _DAY_S),
    _STEPS_S[::2],
    _STEPS_S,
)
"""For scales of many powers of ten, of some, and of few."""
_STEPS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.25)
_MOST_TICKS = 5


@dataclass(frozen=True)
class Extent:
    """Begin and end of an axis in the drawing."""

    start: float
    end: float

    def at(self, share: float) -> float:
        """Return the position at a share of the way."""
        return self.start + share * (self.end - self.start)


@dataclass(frozen=True)
class Scale:
    """One axis."""

    low: float
    high: float
    span: Extent
    ticks: tuple[tuple[float, str], ...]
    """Values that are marked, and their names."""
    of: Callable[[float], float] = float
    """Equal steps of this are equally long: `float` for a linear scale, `math.log`."""

    def __call__(self, value: float) -> float:
        """Return the position of a value; one that lies outside is put at the end."""
        inside = min(max(value, self.low), self.high)
        first, last = self.of(self.low), self.of(self.high)
        return self.span.at((self.of(inside) - first) / (last - first))


def log_seconds(values_s: Iterable[float], span: Extent) -> Scale:
    """A scale of times from seconds to days that holds all values."""
    held = [max(value, _LEAST_S) for value in values_s if math.isfinite(value)] or [_LEAST_S]
    low, high = min(held) / 1.3, max(held) * 1.3
    found = [[step for step in steps if low <= step <= high] for steps in _LOG_TICKS_S]
    chosen = next((steps for steps in found if len(steps) > 2), found[-1])
    return Scale(low, high, span, tuple((tick, duration(tick)) for tick in chosen), math.log)


def seconds(values_s: Iterable[float], span: Extent) -> Scale:
    """A scale of times from zero that holds all values."""
    most = max((value for value in values_s if math.isfinite(value)), default=0.0) or 1.0
    step = next((step for step in _STEPS_S if most / step <= _MOST_TICKS), _STEPS_S[-1])
    return _from_zero(most, step, span, lambda value: duration(value) if value else "0")


def high_shares(values: Iterable[float], span: Extent) -> Scale:
    """A scale of shares from the tenth below all values to 1."""
    least = min((value for value in values if math.isfinite(value)), default=0.0)
    first = min(math.floor(least * 10), 8)
    ticks = tuple((tenth / 10, percent(tenth / 10)) for tenth in range(first, 11))
    return Scale(first / 10, 1.0, span, ticks)


def shares(most: float, span: Extent) -> Scale:
    """A scale of shares, 0 to at least `most`."""
    step = next((step for step in _STEPS if most / step <= _MOST_TICKS), _STEPS[-1])
    return _from_zero(min(most, 1.0), step, span, lambda value: percent(round(value, 2)))


def numbered(count: int, span: Extent) -> Scale:
    """A scale for things that are numbered from 1."""
    ticks = tuple((float(number), str(number)) for number in range(1, count + 1))
    return Scale(0.5, count + 0.5, span, ticks)


def _from_zero(most: float, step: float, span: Extent, name: Callable[[float], str]) -> Scale:
    steps = max(math.ceil(most / step - 1e-9), 1)
    ticks = tuple((number * step, name(number * step)) for number in range(steps + 1))
    return Scale(0.0, steps * step, span, ticks)
