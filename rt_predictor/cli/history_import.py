"""Jobs of a job log into history: straight into the event log, or over a service."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from rt_predictor.client import Access, Client, Recorded
from rt_predictor.errors import InvalidJobError
from rt_predictor.eventlog.files import open_log
from rt_predictor.eventlog.port import Appended
from rt_predictor.jobs.events import with_origin
from rt_predictor.jobs.outcomes import Quarantine, Skip, reasons_of
from rt_predictor.jobs.unnamed import Unnamed
from rt_predictor.traces import Trace

MALFORMED = "malformed"
IN_SEVERAL = "in several of the files"
"""Reasons why a record is left out, beside `Skip` and `Quarantine`."""

_PIECE_EVENTS = 20_000
"""Jobs that are recorded in one commit or call."""

Progress = Callable[[float], None]
"""Told the share (0 to 1) that is done."""


@dataclass(frozen=True)
class Imported:
    """Counts of jobs by what became of them."""

    recorded: int = 0
    duplicates: int = 0
    invalid: int = 0
    """Jobs that the service refused."""
    quarantined: int = 0
    """Doubtful ones, which an operator should look at."""
    conflicts: int = 0
    """Those of `duplicates` that say something else than what is recorded, which stands."""

    def and_(self, part: Appended | Recorded, invalid: int = 0) -> "Imported":
        """Return the counts of these jobs and of another part."""
        return Imported(
            self.recorded + part.recorded,
            self.duplicates + part.duplicates,
            self.invalid + invalid,
            self.quarantined + part.quarantined,
            self.conflicts + part.conflicts,
        )


def left_out(log: Trace, broken: Sequence[InvalidJobError]) -> dict[str, int]:
    """Count the records of a log that no event is made of, by reason.

    Args:
        log: with what is imported of it: its finished, quarantined, cancelled and open jobs.
        broken: why events of some of these cannot be recorded.

    The counts and that of the events are the number of its records.
    """
    started = int(log.open["start_time"].is_not_null().sum())
    reasons = Counter(log.skipped)
    reasons[Skip.NEVER_STARTED.value] -= len(log.cancelled) + len(log.open) - started
    reasons[Skip.STILL_RUNNING.value] -= started
    reasons[Quarantine.OVER_LIMIT.value] -= len(log.quarantined)
    reasons.update({MALFORMED: log.malformed_count})
    reasons.update(reasons_of(broken))
    taken = len(log.jobs) + len(log.quarantined) + len(log.cancelled) + len(log.open)
    reasons[IN_SEVERAL] += log.lines - (taken - len(broken)) - reasons.total()
    return {reason: count for reason, count in reasons.items() if count}


def import_into_log(
    events: pl.DataFrame, path: Path, progress: Progress, home_cluster: str = ""
) -> Imported:
    """Write into the outcome log. Raises HistoryError where it cannot be written.

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
    """Send to a service. Raises ServiceError where it does not take them."""
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
