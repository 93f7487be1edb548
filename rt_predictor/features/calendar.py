"""The calendar at a site: time of its day and its weekends."""

from datetime import datetime, tzinfo
from functools import lru_cache
from math import cos, isnan, pi, sin

import numpy as np

from rt_predictor.history.columns import Float, Times

CALENDAR: tuple[str, ...] = ("sin_day", "cos_day", "weekend")

_MINUTE_S, _DAY_S = 60, 86400
_SATURDAY = 5

_REMEMBERED = 1 << 14
"""Minutes that are kept."""


def calendar(submit_s: Times, zone: tzinfo) -> Float:
    """Return sine and cosine of the time of day, and whether it is a weekend: [n, 3] float32.

    Args:
        submit_s: [n] Unix s; NaN gives NaN.
        zone: time zone of the site.
    """
    minute = submit_s // _MINUTE_S
    if len(minute) and (minute == minute[0]).all():
        return np.tile(np.array(_minute(minute.item(0), zone), np.float32), (len(minute), 1))
    minutes, which = np.unique(minute, return_inverse=True)
    times = [_minute(minute, zone) for minute in minutes.tolist()]
    found = np.array(times, dtype=np.float32).reshape(-1, len(CALENDAR))
    return found.take(which, axis=0)


def calendar_at(second: float, zone: tzinfo) -> tuple[float, float, float]:
    """Return the same for one time, in float64."""
    return _minute(second // _MINUTE_S, zone)


@lru_cache(maxsize=_REMEMBERED)
def _minute(minute: float, zone: tzinfo) -> tuple[float, float, float]:
    """Return the same for one minute: in the C library, whatever NumPy does with many."""
    if isnan(minute):
        return minute, minute, minute
    local = datetime.fromtimestamp(minute * _MINUTE_S, zone)
    day = 2 * pi * (local.hour * 3600 + local.minute * _MINUTE_S) / _DAY_S
    return sin(day), cos(day), float(local.weekday() >= _SATURDAY)
