"""What is followed: a source that gives finished jobs, and is told when they are recorded."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import polars as pl


@dataclass(frozen=True)
class Batch:
    """Some finished jobs.

    jobs: columns of `JOB_SCHEMA`.
    unread: records that could not be read, and the first reason.
    more: whether the feed has more already.
    skipped: why records tell of no job that ran and ended -> how many.
    """

    jobs: pl.DataFrame
    unread: tuple[int, str] = (0, "")
    more: bool = False
    skipped: Mapping[str, int] = field(default_factory=dict)


class Feed(Protocol):
    """A source of finished jobs."""

    async def read(self) -> Batch:
        """The next jobs, or the same again where they were not `recorded`. Raises FeedError."""
        ...

    def recorded(self, batch: Batch) -> None:
        """They are on disk, and need not be given again. Raises FeedError."""
        ...
