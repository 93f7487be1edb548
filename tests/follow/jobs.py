"""Finished jobs as sacct prints them, and what takes them."""

from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Self

import polars as pl

from rt_predictor.client import Recorded
from rt_predictor.errors import ServiceError

HEADER = "JobIDRaw|User|Submit|Start|End|ElapsedRaw|State|JobName\n"


def moment(unix_s: float) -> str:
    return datetime.fromtimestamp(unix_s, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def line(job_id: int, end_s: float, name: str = "sim", state: str = "COMPLETED") -> str:
    """A job that ran for a minute and ended then."""
    times = "|".join(moment(at_s) for at_s in (end_s - 90, end_s - 60, end_s))
    return f"{job_id}|al|{times}|60|{state}|{name}\n"


@dataclass
class Recorder:
    """Keeps what it is given; refuses the first so many calls."""

    failures: int = 0
    calls: int = 0
    jobs: dict[tuple[Any, ...], int] = field(default_factory=dict)
    """(job id, submit time) -> how often it came"""
    kinds: list[str] = field(default_factory=list)
    """Kinds of all events, as they came"""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        pass

    async def record_events(self, events: pl.DataFrame) -> Recorded:
        self.calls += 1
        if self.failures:
            self.failures -= 1
            raise ServiceError("away")
        keys = events.select("job_id", "submit_time").rows()
        self.kinds += events["kind"].to_list()
        new = [key for key in keys if key not in self.jobs]
        for key in keys:
            self.jobs[key] = self.jobs.get(key, 0) + 1
        return Recorded(len(new), len(keys) - len(new))

    @property
    def ids(self) -> list[int]:
        return sorted(int(job_id) for job_id, _ in self.jobs)

    def made(self) -> AbstractAsyncContextManager["Recorder"]:
        return self
