"""When events are dropped from memory, and how many: at set places of the log alone.

What is kept must not depend on how the log was cut into pieces, or two workers, and a worker before
and after its restart, would answer differently. So the limits are looked at just before every
`EVICTION_EVERY`-th event is taken in, and are exceeded by at most so many in between.
"""

from collections.abc import Iterator

EVICTION_EVERY = 1 << 13
"""Events between two looks at the limits."""

EVICTED_SHARE = 0.1
"""Share that goes when there are too many, so that there is room for a while."""


def pieces_between_evictions(arrived: int, count: int, most: int) -> Iterator[slice]:
    """Pieces of a batch of `count` events that comes after `arrived` others.

    Each has at most `most` events, and a look at the limits falls on the first of a piece alone.
    """
    start = 0
    while start < count:
        before_next = EVICTION_EVERY - (arrived + start) % EVICTION_EVERY
        stop = min(start + min(before_next, most), count)
        yield slice(start, stop)
        start = stop


def is_eviction_due(arrived: int) -> bool:
    """Whether the limits are looked at before the event that comes after `arrived` others."""
    return arrived % EVICTION_EVERY == 0


def room(present: int, most: int) -> int:
    """How many of those present may stay: all, or so few that there is room for a while."""
    return present if present <= most else max(int(most * (1 - EVICTED_SHARE)), 1)
