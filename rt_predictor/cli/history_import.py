"""Finished jobs of a job log into history: straight into the outcome log, or over a service."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

import polars as pl

from rt_predictor.client import Client
from rt_predictor.errors import InvalidJobError
from rt_predictor.features.jobs import JOB_SCHEMA
from rt_predictor.features.outcome_rules import broken_outcomes
from rt_predictor.features.rules import null_invalid
from rt_predictor.history.place import open_log

_PIECE_EVENTS = 20_000
"""Jobs that are recorded in one commit or call."""

Progress = Callable[[float], None]
"""Told the share (0 to 1) that is done."""


@dataclass(frozen=True)
class Imported:
    """What became of the jobs."""

    recorded: int = 0
    duplicates: int = 0
    invalid: int = 0
    """Jobs that the service refused."""


def read_events(jobs: pl.DataFrame) -> tuple[pl.DataFrame, tuple[InvalidJobError, ...]]:
    """The jobs that can be recorded, in the order of their end, and why others cannot.

    What a log puts for "not asked for" is left out, and a job without an id gets one.
    """
    events = _with_ids(null_invalid(jobs)).sort("end_time", maintain_order=True)
    broken = broken_outcomes(events)
    keep = ~pl.int_range(pl.len()).is_in(list(broken))
    return events.filter(keep), tuple(broken.values())


def import_into_log(events: pl.DataFrame, path: Path, progress: Progress) -> Imported:
    """Writes into the outcome log. Raises HistoryError where it cannot be written."""
    log = open_log(path)
    whole = Imported()
    try:
        for piece in events.iter_slices(_PIECE_EVENTS):
            part = log.append(piece)
            whole = Imported(whole.recorded + part.recorded, whole.duplicates + part.duplicates)
            progress((whole.recorded + whole.duplicates) / len(events))
    finally:
        log.close()
    return whole


def import_into_service(
    events: pl.DataFrame, target: str, timeout_s: float, progress: Progress
) -> Imported:
    """Sends to a service. Raises ServiceError where it does not take them."""
    return asyncio.run(_send(events, target, timeout_s, progress))


async def _send(
    events: pl.DataFrame, target: str, timeout_s: float, progress: Progress
) -> Imported:
    whole, sent = Imported(), 0
    async with Client(target, timeout_s=timeout_s) as client:
        for piece in events.iter_slices(_PIECE_EVENTS):
            part = await client.record(piece)
            whole = Imported(
                whole.recorded + part.recorded,
                whole.duplicates + part.duplicates,
                whole.invalid + part.invalid,
            )
            sent += len(piece)
            progress(sent / len(events))
    return whole


def _with_ids(jobs: pl.DataFrame) -> pl.DataFrame:
    """Ids that are the same in every import of the same job, and differ between equal jobs."""
    without = jobs["job_id"].is_null()
    if not without.any():
        return jobs
    names = [name for name in JOB_SCHEMA if name != "job_id"]
    alike = jobs.select(pl.int_range(pl.len()).over(names, mapping_strategy="group_to_rows"))
    rows = jobs.select(names).with_columns(alike.to_series().alias("alike")).filter(without)
    ids = pl.Series([_stable_id(row) for row in rows.iter_rows()], dtype=pl.String)
    places = without.arg_true()
    return jobs.with_columns(jobs["job_id"].scatter(places, ids))


def _stable_id(row: tuple[object, ...]) -> str:
    return "row-" + blake2b(repr(row).encode(), digest_size=12).hexdigest()
