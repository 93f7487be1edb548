"""The loop: it waits where it must, ever longer, and goes on."""

import asyncio
import time
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl
import pytest
from loguru import logger

from rt_predictor.errors import FeedError, HistoryError, TraceError
from rt_predictor.follow.feed import Batch
from rt_predictor.follow.run import Pace, follow
from rt_predictor.follow.sacct import read_finished
from rt_predictor.jobs.schema import JOB_SCHEMA
from rt_predictor.traces.generate import generate_jobs
from tests.waiting import PATIENCE_S

from .jobs import HEADER, Recorder, line, moment

JOBS = generate_jobs(6, seed=2)
QUICK = Pace(interval_s=0.001)


@dataclass
class FakeFeed:
    """Gives what it is told to; an error is raised once."""

    batches: list[Batch | Exception] = field(default_factory=list)
    recorded_jobs: int = 0
    empty: asyncio.Event = field(default_factory=asyncio.Event)

    async def read(self) -> Batch:
        if not self.batches:
            self.empty.set()
            return Batch(pl.DataFrame(schema=JOB_SCHEMA))
        if isinstance(self.batches[0], Exception):
            raise self.batches.pop(0)  # type: ignore[misc]
        return self.batches[0]

    def recorded(self, batch: Batch) -> None:
        self.recorded_jobs += len(batch.jobs)
        if self.batches:
            self.batches.pop(0)


async def follow_until_empty(feed: FakeFeed, recorder: Recorder) -> None:
    following = asyncio.create_task(follow(feed, recorder.made, QUICK))
    empty = asyncio.create_task(feed.empty.wait())
    await asyncio.wait({following, empty}, timeout=PATIENCE_S, return_when="FIRST_COMPLETED")
    following.cancel()
    empty.cancel()
    await asyncio.gather(following, empty, return_exceptions=True)
    if not following.cancelled():
        following.result()


async def test_errors_that_may_pass_are_waited_out_and_nothing_is_lost() -> None:
    feed = FakeFeed([FeedError("x"), Batch(JOBS[:3]), TraceError("y"), Batch(JOBS[3:])])
    recorder = Recorder(failures=2)
    await follow_until_empty(feed, recorder)
    assert (len(recorder.jobs), feed.recorded_jobs) == (6, 6)
    assert set(recorder.jobs.values()) == {1}


async def test_a_fault_of_ours_ends_it() -> None:
    with pytest.raises(HistoryError):
        await follow_until_empty(FakeFeed([HistoryError("fault")]), Recorder())


async def test_once_ends_when_all_is_recorded_and_at_the_first_error() -> None:
    recorder = Recorder()
    await follow(FakeFeed([Batch(JOBS[:3], more=True), Batch(JOBS[3:])]), recorder.made,
                 Pace(1000.0, once=True))  # fmt: skip
    assert len(recorder.jobs) == 6
    with pytest.raises(FeedError):
        await follow(FakeFeed([FeedError("x")]), recorder.made, Pace(1000.0, once=True))


async def test_jobs_that_break_a_rule_are_left_out_and_do_not_come_again() -> None:
    bad = JOBS[:1].with_columns(end_time=pl.col("submit_time") - 5)
    feed, recorder = FakeFeed([Batch(pl.concat([bad, JOBS[1:]]))]), Recorder()
    await follow_until_empty(feed, recorder)
    assert (len(recorder.jobs), feed.recorded_jobs) == (5, 6)


async def test_each_record_is_counted_once_in_what_is_told(tmp_path: Path) -> None:
    now_s = time.time()
    output = tmp_path / "sacct.txt"
    output.write_text(
        HEADER
        + line(1, now_s - 3600)
        + f"2|al|{moment(now_s - 3600)}|Unknown|{moment(now_s - 60)}|0|CANCELLED by 1000|sim\n"
        + line(3, now_s - 3600).replace("|60|", "|6000|")
        + "nonsense|\n"
    )
    told: list[dict[str, object]] = []
    sink = logger.add(lambda message: told.append(dict(message.record["extra"])), level="INFO")
    try:
        feed = FakeFeed([read_finished(output, "sacct")])
        await follow(feed, Recorder().made, Pace(1000.0, once=True))
    finally:
        logger.remove(sink)
    (counts,) = told
    assert (counts["recorded"], counts["skipped"], counts["unread"]) == (2, 1, 1)
    assert counts["left_out"] == {"runtime longer than from submit to end": 1}


def test_waits_double_up_to_ten_minutes() -> None:
    pace = Pace(interval_s=30.0)
    assert [pace.wait_s(n) for n in (0, 1, 2, 5, 5000)] == [30.0, 60.0, 120.0, 600.0, 600.0]
    assert Pace(interval_s=3600.0).wait_s(3) == 3600.0
