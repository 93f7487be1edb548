"""Jobs of a job log into history: straight into the event log, or over a service."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from rt_predictor.client import Access, Client, Recorded
from rt_predictor.eventlog.files import open_log
from rt_predictor.eventlog.port import Appended
from rt_predictor.jobs.events import with_origin
from rt_predictor.jobs.unnamed import Unnamed

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
    quarantined: int = 0
    """Doubtful ones, which an operator should look at."""

    def and_(self, part: Appended | Recorded, invalid: int = 0) -> "Imported":
        """What became of these jobs and of more."""
        return Imported(
            self.recorded + part.recorded,
            self.duplicates + part.duplicates,
            self.invalid + invalid,
            self.quarantined + part.quarantined,
        )


def import_into_log(
    events: pl.DataFrame, path: Path, progress: Progress, home_cluster: str = ""
) -> Imported:
    """Writes into the outcome log. Raises HistoryError where it cannot be written.

    Jobs of the home cluster do not name it, as `traces` reads them.
    """
    log = open_log(path)
    whole, written = Imported(), 0
    try:
        if home_cluster:
            log.take_home(home_cluster)
        for piece in events.iter_slices(_PIECE_EVENTS):
            part = log.append(with_origin(piece, Unnamed.IMPORT.value, time.time()))
            whole, written = whole.and_(part), written + len(piece)
            progress(written / len(events))
    finally:
        log.close()
    return whole


def import_into_service(
    events: pl.DataFrame, target: str, timeout_s: float, access: Access, progress: Progress
) -> Imported:
    """Sends to a service. Raises ServiceError where it does not take them."""
    return asyncio.run(_send(events, target, timeout_s, access, progress))


async def _send(
    events: pl.DataFrame, target: str, timeout_s: float, access: Access, progress: Progress
) -> Imported:
    whole, sent = Imported(), 0
    async with Client(target, timeout_s=timeout_s, access=access) as client:
        for piece in events.iter_slices(_PIECE_EVENTS):
            part = await client.record_events(piece)
            whole = whole.and_(part, part.invalid)
            sent += len(piece)
            progress(sent / len(events))
    return whole
