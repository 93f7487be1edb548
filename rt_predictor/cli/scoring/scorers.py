"""Scorers of jobs: a bundle in this process, or a service."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Protocol

import polars as pl
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from rt_predictor.cli.local import NO_HISTORY, load_predictor, with_submit_times
from rt_predictor.cli.scoring.inputs import Requests
from rt_predictor.cli.scoring.outputs import from_errors, from_predictions, from_table
from rt_predictor.client import Access, Client
from rt_predictor.jobs.asked import MOMENT, asked_frame
from rt_predictor.jobs.schema import REQUEST_SCHEMA
from rt_predictor.predict.predictor import Predictor


class Scorer(Protocol):
    """Predicts a frame of valid jobs, part by part."""

    def score(self, jobs: pl.DataFrame, chunk_jobs: int) -> AsyncIterator[pl.DataFrame]:
        """Frames of `ANSWER_SCHEMA`, one row a job, in the order of the jobs.

        `jobs` has the columns of `REQUEST_SCHEMA`, submit_time filled, and where any of them runs
        `elapsed` and `as_of`; then there is a column `REMAINING`. Raises ServiceError where
        who should answer does not.
        """
        ...


OpenScorer = Callable[[], AbstractAsyncContextManager[Scorer]]
"""Gets hold of who scores, for as long as the context lasts."""


@asynccontextmanager
async def open_bundle(folder: Path) -> AsyncIterator[Scorer]:
    """Score with a bundle, in this process; say on stderr that it knows no history.

    Raises BundleError.
    """
    predictor = load_predictor(folder)
    typer.echo(NO_HISTORY, err=True)
    yield _BundleScorer(predictor)


@asynccontextmanager
async def open_service(target: str, timeout_s: float, access: Access) -> AsyncIterator[Scorer]:
    """Score with a service, one table a chunk."""
    async with Client(target, timeout_s=timeout_s, access=access) as client:
        yield _ServiceScorer(client)


class _BundleScorer:
    def __init__(self, predictor: Predictor) -> None:
        self._predictor = predictor

    async def score(self, jobs: pl.DataFrame, chunk_jobs: int) -> AsyncIterator[pl.DataFrame]:
        for chunk in jobs.iter_slices(chunk_jobs):
            yield from_predictions(self._predictor.predict(chunk))


class _ServiceScorer:
    def __init__(self, client: Client) -> None:
        self._client = client

    async def score(self, jobs: pl.DataFrame, chunk_jobs: int) -> AsyncIterator[pl.DataFrame]:
        async for answers in self._client.predict_frame(jobs, chunk_jobs=chunk_jobs):
            yield from_table(answers)


async def score_shown(requests: Requests, open_scorer: OpenScorer, chunk_jobs: int) -> pl.DataFrame:
    """`score_jobs` with a progress bar, on a terminal."""
    async with open_scorer() as scorer:
        with _progress() as progress:
            task = progress.add_task("scoring", total=len(requests.jobs) - len(requests.errors))
            return await score_jobs(
                requests, scorer, chunk_jobs, lambda jobs: progress.advance(task, jobs)
            )


async def score_jobs(
    requests: Requests,
    scorer: Scorer,
    chunk_jobs: int,
    scored: Callable[[int], None] = lambda _: None,
) -> pl.DataFrame:
    """The table of all jobs: `job_id` and `ANSWER_SCHEMA`, in the order of the requests.

    Where any of them runs it has a column `REMAINING` too. `scored` is told how many more jobs
    have their answers.
    """
    rows = pl.DataFrame({"row": range(len(requests.jobs))}, schema={"row": pl.Int64})
    refused = rows.filter(pl.col("row").is_in(list(requests.errors)))
    asked = rows.join(refused, on="row", how="anti", maintain_order="left")
    columns = [name for name in (*REQUEST_SCHEMA, *MOMENT) if name in requests.jobs.columns]
    known = requests.jobs.select(columns)[asked["row"].to_list()]
    jobs = asked_frame(with_submit_times(known))
    parts = [from_errors([requests.errors[row] for row in refused["row"].to_list()])]
    async for part in scorer.score(jobs, chunk_jobs):
        parts.append(part)
        scored(len(part))
    order = pl.concat([refused, asked])
    table = (
        pl.concat([order, pl.concat(parts, how="diagonal")], how="horizontal")
        .sort("row")
        .drop("row")
    )
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
