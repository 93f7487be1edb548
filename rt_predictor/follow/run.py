"""Follows a feed: reads, records, says so, and does it again, for as long as it is let."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

import polars as pl
from loguru import logger

from rt_predictor.client import Access, Client, Recorded
from rt_predictor.client.access import PLAIN
from rt_predictor.errors import (
    EXIT_OK,
    FeedError,
    InvalidJobError,
    RTPredictorError,
    ServiceError,
    TraceError,
)
from rt_predictor.follow.feed import Batch, Feed
from rt_predictor.jobs.events import log_events
from rt_predictor.jobs.outcomes import Skip, reasons_of
from rt_predictor.observability.logging import configure_logging
from rt_predictor.processes.event_loop import exit_code_of
from rt_predictor.processes.signals import stop_signals
from rt_predictor.settings import LoggingSettings

BACKOFF_MAX_S = 600.0
_EXPECTED = (FeedError, ServiceError, TraceError)
"""Errors that may pass by themselves; any other ends the program."""


class RecorderPort(Protocol):
    """Recorder of the jobs: a client of the service."""

    async def record_events(self, events: pl.DataFrame) -> Recorded: ...


RecorderFactory = Callable[[], AbstractAsyncContextManager[RecorderPort]]


@dataclass(frozen=True)
class Pace:
    """Pace of looking at a feed.

    once: stop when all that is there is recorded, and at the first error.
    """

    interval_s: float
    once: bool = False

    def wait_s(self, failures: int) -> float:
        """Time until the next look, after so many failures in a row."""
        longest_s = max(BACKOFF_MAX_S, self.interval_s)
        return float(min(self.interval_s * 2.0 ** min(failures, 30), longest_s))


def recorder_of(target: str, timeout_s: float, access: Access = PLAIN) -> RecorderFactory:
    """Return the client of the service, which is made nowhere else."""
    return lambda: Client(target, timeout_s=timeout_s, access=access)


def run(
    feeds: Sequence[Feed], recorder: RecorderFactory, pace: Pace, logging: LoggingSettings
) -> int:
    """Follow each feed until SIGTERM or SIGINT. Returns the process's exit code."""
    configure_logging(logging)
    return exit_code_of(_until_stopped(feeds, recorder, pace))


async def _follow_all(feeds: Sequence[Feed], recorder: RecorderFactory, pace: Pace) -> None:
    """One that fails holds up no other."""
    await asyncio.gather(*(follow(feed, recorder, pace) for feed in feeds))


async def _until_stopped(feeds: Sequence[Feed], recorder: RecorderFactory, pace: Pace) -> int:
    with stop_signals(hangup=_nothing) as stop:
        following = asyncio.create_task(_follow_all(feeds, recorder, pace))
        stopping = asyncio.create_task(stop.asked.wait())
        await asyncio.wait((following, stopping), return_when=asyncio.FIRST_COMPLETED)
        for task in (following, stopping):
            task.cancel()
        # What is cut off is read again at the next start, and counted once.
        await asyncio.gather(following, stopping, return_exceptions=True)
    if not following.cancelled():
        following.result()
    logger.info("stopped")
    return EXIT_OK


async def follow(feed: Feed, recorder: RecorderFactory, pace: Pace) -> None:
    """Follow until it is cancelled, or all is recorded if `pace.once`.

    Raises FeedError, ServiceError and TraceError if `pace.once`; else waits and tries again.
    """
    failures = 0
    async with recorder() as client:
        while True:
            try:
                more = await _step(feed, client)
                failures = 0
            except _EXPECTED as error:
                if pace.once:
                    raise
                more = False
                failures += 1
                wait_s = pace.wait_s(failures)
                logger.warning("jobs wait to be recorded", reason=str(error), retry_in_s=wait_s)
            if more:
                continue
            if pace.once:
                return
            await asyncio.sleep(pace.wait_s(failures))


async def _step(feed: Feed, client: RecorderPort) -> bool:
    """Record what the feed has now; whether it has more."""
    batch = await feed.read()
    events, broken = log_events(batch.jobs, batch.cancelled, batch.open, now_s=time.time())
    recorded = await client.record_events(events) if len(events) else Recorded()
    feed.recorded(batch)
    unread, reason = batch.unread
    left_out = _left_out(batch, broken)
    if len(events) or unread or left_out:
        first: RTPredictorError | str = next(iter(broken), None) or reason
        refused = next((error.message for error in recorded.errors), "")
        logger.info(
            "jobs recorded",
            recorded=recorded.recorded,
            duplicates=recorded.duplicates,
            conflicts=recorded.conflicts,
            skipped=left_out.total() + recorded.invalid,
            unread=unread,
            **({"quarantined": recorded.quarantined} if recorded.quarantined else {}),
            **({"unknown_states": recorded.unknown_states} if recorded.unknown_states else {}),
            **({"left_out": dict(left_out)} if left_out else {}),
            **({"example": str(first or refused)} if first or refused else {}),
        )
    return batch.more


def _left_out(batch: Batch, broken: Sequence[InvalidJobError]) -> Counter[str]:
    """Count the records that no event is made of, by reason."""
    reasons = Counter(batch.skipped)
    reasons[Skip.NEVER_STARTED.value] -= len(batch.cancelled)  # recorded as such
    reasons.update(reasons_of(broken))
    return +reasons


def _nothing() -> None:
    pass
