"""Feed: a source of jobs, which is told when they are recorded."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import polars as pl

from rt_predictor.jobs.schema import JOB_SCHEMA

NO_JOBS = pl.DataFrame(schema=dict(JOB_SCHEMA))


@dataclass(frozen=True)
class Batch:
    """Some jobs, all with the columns of `JOB_SCHEMA`.

    jobs: those that ran and ended.
    unread: records that could not be read, and the first reason.
    more: whether the feed has more already.
    skipped: why records tell of no job that ran and ended -> how many.
    cancelled: those that never started and will not; they are in `skipped`.
    open: those that wait, or run where they have a `start_time`.
    """

    jobs: pl.DataFrame
    unread: tuple[int, str] = (0, "")
    more: bool = False
    skipped: Mapping[str, int] = field(default_factory=dict)
    cancelled: pl.DataFrame = field(default_factory=lambda: NO_JOBS)
    open: pl.DataFrame = field(default_factory=lambda: NO_JOBS)


class Feed(Protocol):
    """A source of jobs."""

    async def read(self) -> Batch:
        """The next jobs, or the same again where they were not `recorded`. Raises FeedError."""
        ...

    def recorded(self, batch: Batch) -> None:
        """They are on disk, and need not be given again. Raises FeedError."""
        ...
