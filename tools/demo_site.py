"""Scene of the demo: a new site becomes known, first by its job log, then by tuning to it."""

import asyncio
import tempfile
import time
from dataclasses import fields
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import polars as pl
from demo_stage import Stage, run_command, say

from rt_predictor.cli.words import duration, percent
from rt_predictor.client import Client, Job
from rt_predictor.errors import ServiceError
from rt_predictor.traces.generate import generate_jobs

LOG_JOBS = 4000
"""Of a made-up job log."""
LATER_JOBS = 400
"""Its last ones, which are asked for and not imported."""
LEVEL = 0.5
PATIENCE_S = 30.0
"""How long the service may take to know a log, or to serve another model."""
LOOK_S = 0.3


def show_site(stage: Stage, target: list[str]) -> None:
    """Ask for later jobs of a made-up log: before its import, after it, and after tuning to it.

    Raises ServiceError where the service does not take the log, or the model.
    """
    say("What it learns from a job log: a new site becomes known.")
    log, later = _made_up()
    told = f"{len(later)} later jobs"
    with tempfile.TemporaryDirectory(prefix="rt-predictor-") as folder:
        path = Path(folder) / "log.csv"
        log.write_csv(path)
        print(f"{told}, nothing known:   {_figures(later, asyncio.run(_ask(stage, later)))}")
        run_command(["history", "import", str(path), *(target or ["--target", stage.target])])
        print(f"{told}, log imported:    {_figures(later, asyncio.run(_settled(stage, later)))}")
        if stage.model is None or find_spec("jax") is None:
            say("To tune the model to a site as well: make train TRACE=jobs.csv (see README.md).")
            return
        say("What tuning adds. The service watches the folder of its model:")
        base = asyncio.run(_version(stage))
        run_command(["train", str(path), "-o", str(stage.model)])
        asyncio.run(_until_another_answers(stage, base))
        print(f"{told}, model tuned too: {_figures(later, asyncio.run(_settled(stage, later)))}")


def _made_up() -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the jobs of a log that ended an hour ago, and those that came after it."""
    log = generate_jobs(LOG_JOBS, seed=1).sort("submit_time")
    earlier, later = log[:-LATER_JOBS], log[-LATER_JOBS:]
    times = ("submit_time", "start_time", "end_time")
    shift_s = time.time() - 3600.0 - earlier["end_time"].to_numpy().max()
    return earlier.with_columns(*(pl.col(name) + shift_s for name in times)), later


async def _ask(stage: Stage, jobs: pl.DataFrame) -> pl.DataFrame:
    """Return the answers to jobs as if they were submitted now."""
    known = [field.name for field in fields(Job) if field.name in jobs.columns]
    asked = jobs.select(name for name in known if name != "submit_time")
    async with Client(stage.target) as client:
        parts = [part async for part in client.predict_frame(asked, confidence_level=LEVEL)]
    return pl.concat(parts)


async def _settled(stage: Stage, jobs: pl.DataFrame) -> pl.DataFrame:
    """Return the answers once all that was told is known: they no longer change."""
    give_up = time.monotonic() + PATIENCE_S
    before = None
    while time.monotonic() < give_up:
        answers = await _ask(stage, jobs)
        # Ages of what is known change from second to second, and answers a little with them.
        now = answers["predicted_runtime"].to_numpy()
        if before is not None and np.abs(now / before - 1).max() < 0.01:
            return answers
        before = now
        await asyncio.sleep(LOOK_S)
    raise ServiceError(f"answers did not settle within {PATIENCE_S:g} s")


async def _version(stage: Stage) -> str:
    """Return which model answers."""
    async with Client(stage.target) as client:
        return (await client.model_info()).model_version


async def _until_another_answers(stage: Stage, version: str) -> None:
    """Wait until the service answers with another model than this."""
    give_up = time.monotonic() + PATIENCE_S
    while await _version(stage) == version:
        if time.monotonic() > give_up:
            raise ServiceError(f"the tuned model was not served within {PATIENCE_S:g} s")
        await asyncio.sleep(LOOK_S)


def _figures(jobs: pl.DataFrame, answers: pl.DataFrame) -> str:
    """Return how far answers were from what jobs took."""
    runtime_s = jobs["runtime"].to_numpy()
    error_s = np.abs(answers["predicted_runtime"].to_numpy() - runtime_s)
    lower_s, upper_s = (answers[f"confidence_{end}"].to_numpy() for end in ("lower", "upper"))
    held = np.mean((lower_s <= runtime_s) & (runtime_s <= upper_s))
    width = duration(float(np.median(upper_s - lower_s)))
    return (
        f"off by {duration(float(error_s.mean()))} on average, by "
        f"{duration(float(np.median(error_s)))} at the median; {percent(LEVEL)} intervals are "
        f"{width} wide (median) and hold {percent(float(held))}"
    )
