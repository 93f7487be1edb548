"""Somebody who scores without a model."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import polars as pl
import pytest

from rt_predictor.cli.scoring.outputs import ANSWER_SCHEMA
from rt_predictor.cli.scoring.scorers import Scorer


@dataclass
class HalfTheLimit:
    """Says half the limit; remembers how many jobs came together; fails when `trouble` says so."""

    rounds: list[int] = field(default_factory=list)
    trouble: Callable[[pl.DataFrame], None] = lambda _: None

    async def score(self, jobs: pl.DataFrame, chunk_jobs: int) -> AsyncIterator[pl.DataFrame]:
        self.trouble(jobs)
        assert chunk_jobs > 0
        self.rounds.append(len(jobs))
        said = {name: pl.lit(None, dtype) for name, dtype in ANSWER_SCHEMA.items()}
        yield jobs.select(**(said | {"predicted_runtime": pl.col("time_req") / 2}))

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Scorer]:
        yield self


@pytest.fixture
def scorer() -> HalfTheLimit:
    return HalfTheLimit()
