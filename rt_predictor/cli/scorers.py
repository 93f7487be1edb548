"""Who scores the jobs of a file: a bundle in this process, or a service."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Protocol

import polars as pl
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from rt_predictor.cli.local import load_predictor, with_submit_times
from rt_predictor.cli.score_input import Requests
from rt_predictor.cli.score_output import from_errors, from_predictions, from_table
from rt_predictor.client import Client
from rt_predictor.features.jobs import REQUEST_SCHEMA


class Scorer(Protocol):
    """Predicts a frame of valid jobs, part by part."""

    def score(self, jobs: pl.DataFrame, chunk_jobs: int) -> AsyncIterator[pl.DataFrame]:
        """Frames of `ANSWER_SCHEMA`, one row a job, in the order of the jobs.

        `jobs` has the columns of `REQUEST_SCHEMA`, submit_time filled.
        """
        ...


class BundleScorer:
    """Scores with a bundle, in this process."""

    def __init__(self, folder: Path) -> None:
        self._predictor = load_predictor(folder)

    async def score(self, jobs: pl.DataFrame, chunk_jobs: int) -> AsyncIterator[pl.DataFrame]:
        """See `Scorer`."""
        for chunk in jobs.iter_slices(chunk_jobs):
            yield from_predictions(self._predictor.predict(chunk))


class ServiceScorer:
    """Scores with a service, one table a chunk."""

    def __init__(self, target: str, timeout_s: float) -> None:
        self._target = target
        self._timeout_s = timeout_s

    async def score(self, jobs: pl.DataFrame, chunk_jobs: int) -> AsyncIterator[pl.DataFrame]:
        """See `Scorer`."""
        async with Client(self._target, timeout_s=self._timeout_s) as client:
            async for answers in client.predict_frame(jobs, chunk_jobs=chunk_jobs):
                yield from_table(answers)


async def score_all(requests: Requests, scorer: Scorer, chunk_jobs: int) -> pl.DataFrame:
    """The table of all jobs: `job_id` and `ANSWER_SCHEMA`, in the order of the requests."""
    rows = pl.DataFrame({"row": range(len(requests.jobs))}, schema={"row": pl.Int64})
    refused = rows.filter(pl.col("row").is_in(list(requests.errors)))
    asked = rows.join(refused, on="row", how="anti", maintain_order="left")
    jobs = with_submit_times(requests.jobs.select(list(REQUEST_SCHEMA))[asked["row"].to_list()])
    parts = [from_errors([requests.errors[row] for row in refused["row"].to_list()])]
    with _progress() as progress:
        task = progress.add_task("scoring", total=len(jobs))
        async for part in scorer.score(jobs, chunk_jobs):
            parts.append(part)
            progress.advance(task, len(part))
    order = pl.concat([refused, asked])
    table = pl.concat([order, pl.concat(parts)], how="horizontal").sort("row").drop("row")
    return pl.concat([requests.jobs.select("job_id"), table], how="horizontal")


def _progress() -> Progress:
    console = Console(stderr=True)
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
        transient=True,
    )
