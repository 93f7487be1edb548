"""Numbers and flags as people say them."""

from collections.abc import Iterable
from datetime import UTC, datetime

from rt_predictor.serving.predictions import Flag

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


def duration(seconds: float) -> str:
    """A span of time with at most two units: 3.2 s, 45 s, 1 min 30 s, 47 min, 1 h 50 min, 2 d 3 h.

    Rounded to what people care about at that length.
    """
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    if (rounded := _rounded(seconds, 1)) < _MINUTE_S:
        return f"{rounded} s"
    if rounded < 10 * _MINUTE_S:
        return _two_units(rounded, (_MINUTE_S, "min"), (1, "s"))
    if (rounded := _rounded(seconds, _MINUTE_S)) < _DAY_S:
        return _two_units(rounded, (_HOUR_S, "h"), (_MINUTE_S, "min"))
    return _two_units(_rounded(seconds, _HOUR_S), (_DAY_S, "d"), (_HOUR_S, "h"))


def time_limit(seconds: float) -> str:
    """A time limit, to the second, for nothing of it may be rounded away: 2 d 5 min."""
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
    """An amount of memory: 800 MB, 7.8 GB, 125 GB, 2 TB; units of 1024, as Slurm's."""
    amount, unit = mb, "MB"
    if mb >= _TB:
        amount, unit = mb / _TB, "TB"
    elif mb >= _GB:
        amount, unit = mb / _GB, "GB"
    return f"{amount:.3g} {unit}"


def percent(share: float) -> str:
    """A probability or share: 12 %; 0.4 % and 99.6 % keep a digit; never a false 0 % or 100 %."""
    value = share * 100
    if 1 <= value <= 99 or share in (0, 1):
        return f"{value:.0f} %"
    if value < 0.1:
        return "under 0.1 %"
    if value > 99.9:
        return "over 99.9 %"
    return f"{value:.1f} %"


def moment(unix_s: float) -> str:
    """A point in time, UTC, to the minute."""
    return datetime.fromtimestamp(unix_s, UTC).strftime("%Y-%m-%d %H:%M UTC")


def flag_words(flags: Flag) -> list[str]:
    """Flags as people read them."""
    return [_FLAG_WORDS[flag] for flag in Flag if flag in flags]


def aligned(rows: Iterable[tuple[str, str]]) -> str:
    """Lines of a label and a text, the texts under each other."""
    listed = list(rows)
    width = max(len(label) for label, _ in listed)
    return "\n".join(f"{label:<{width}}  {text}" for label, text in listed)
