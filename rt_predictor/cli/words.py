"""Numbers, times and flags in words."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

from rt_predictor.model.answer_flags import Flag

_MINUTE_S = 60
_HOUR_S = 3600
_DAY_S = 86400

_FLAG_WORDS = {
    Flag.COLD_START_USER: "no finished job of this user is known",
    Flag.UNSEEN_PARTITION: "no job of this partition is known",
    Flag.UNSEEN_QOS: "no job of this QoS is known",
    Flag.NO_TIME_LIMIT: "the job has no time limit",
    Flag.OUT_OF_TRAINING_RANGE: "a number of the request lies outside what the model has seen",
    Flag.PARTITION_LIMIT_TOO_SHORT: "the partition's longest time limit may not be enough",
    Flag.TIME_LIMIT_TOO_SHORT: "the time limit may not be enough: ask with a longer one",
}
_GB, _TB = 1024, 1024**2


def counted(count: int, one: str, many: str = "") -> str:
    """Return a number of things: 1 job, 2,000 jobs."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def reasons(counts: Mapping[str, int]) -> str:
    """Return how many records there are for each reason: 2 job steps, 1 no runtime."""
    from rt_predictor.jobs.outcomes import Skip

    # The others are said of records, and stay as they are.
    plurals: Mapping[str, str] = {Skip.JOB_STEP: "job steps", Skip.PARTIAL: "partial executions"}
    each = ((count, reason, plurals.get(reason, reason)) for reason, count in counts.items())
    return ", ".join(counted(count, one, many) for count, one, many in each)


def duration(seconds: float) -> str:
    """Return a span of time in at most two units: 3.2 s, 45 s, 1 min 30 s, 47 min, 1 h 50 min, 2 d.

    Rounded to what people care about at that length.
    """
    shown, step_s = _rounding(seconds)
    if shown < _MINUTE_S:
        return f"{shown:.1f} s" if step_s < 1 else f"{shown:.0f} s"
    if shown < 10 * _MINUTE_S:
        return _two_units(round(shown), (_MINUTE_S, "min"), (1, "s"))
    if shown < _DAY_S:
        return _two_units(round(shown), (_HOUR_S, "h"), (_MINUTE_S, "min"))
    return _two_units(round(shown), (_DAY_S, "d"), (_HOUR_S, "h"))


def time_left(total_s: float, elapsed_s: float) -> str:
    """Return what is left of a span, so that it and what has passed are the span as it is shown."""
    total, step_s = _rounding(total_s)
    left_s = total - round(elapsed_s / step_s) * step_s
    return duration(left_s) if left_s > step_s / 2 else f"under {duration(step_s)}"


def _rounding(seconds: float) -> tuple[float, float]:
    """Return a span as it is shown, and the step to which it is rounded, both in s."""
    if seconds < 9.95:
        return seconds, 0.1
    for step_s, below_s in ((1, 10 * _MINUTE_S), (_MINUTE_S, _DAY_S)):
        if (shown := _rounded(seconds, step_s)) < below_s:
            return shown, step_s
    return _rounded(seconds, _HOUR_S), _HOUR_S


def time_limit(seconds: float) -> str:
    """Return a time limit to the second, since nothing of it may be rounded away: 2 d 5 min."""
    rest, parts = round(seconds), []
    for unit_s, unit in ((_DAY_S, "d"), (_HOUR_S, "h"), (_MINUTE_S, "min"), (1, "s")):
        count, rest = divmod(rest, unit_s)
        if count:
            parts.append(f"{count} {unit}")
    return " ".join(parts) or "0 s"


def _rounded(seconds: float, step_s: int) -> int:
    return round(seconds / step_s) * step_s


def _two_units(seconds: int, large: tuple[int, str], small: tuple[int, str]) -> str:
    whole, rest = divmod(seconds, large[0])
    parts = ((whole, large[1]), (rest // small[0], small[1]))
    return " ".join(f"{count} {unit}" for count, unit in parts if count)


def memory(mb: float) -> str:
    """Return an amount of memory: 800 MB, 7.8 GB, 125 GB, 2 TB; units of 1024, as Slurm's."""
    amount, unit = mb, "MB"
    if mb >= _TB:
        amount, unit = mb / _TB, "TB"
    elif mb >= _GB:
        amount, unit = mb / _GB, "GB"
    return f"{amount:.3g} {unit}"


def percent(share: float) -> str:
    """Return a share in percent: 12 %; 0.4 % and 99.6 % keep a digit; never a false 0 or 100 %."""
    value = share * 100
    if 1 <= value <= 99 or share in (0, 1):
        return f"{value:.0f} %"
    if value < 0.1:
        return "under 0.1 %"
    if value > 99.9:
        return "over 99.9 %"
    return f"{value:.1f} %"


def moment(unix_s: float) -> str:
    """Return a point in time, UTC, to the minute."""
    return datetime.fromtimestamp(unix_s, UTC).strftime("%Y-%m-%d %H:%M UTC")


def flag_words(flags: Flag) -> list[str]:
    """Return the meaning of flags, one sentence each."""
    return [_FLAG_WORDS[flag] for flag in Flag if flag in flags]


def aligned(rows: Iterable[tuple[str, str]]) -> str:
    """Return lines of a label and a text, the texts under each other."""
    listed = list(rows)
    width = max(len(label) for label, _ in listed)
    return "\n".join(f"{label:<{width}}  {text}" for label, text in listed)
