"""Load on a service, and the ledger of what became of every call.

An answer is right if it is, to the last bit, what an undisturbed service said. What a service knows
grows meanwhile; but all jobs are asked as of one moment, and every outcome that the load records
ended later, so that none of it may change an answer (causality).
"""

import asyncio
import itertools
import random
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cached_property

import polars as pl

from rt_predictor.client import Client, Job, Prediction, Recorded
from rt_predictor.errors import InvalidRequestError, ServiceError
from rt_predictor.jobs.events import ended_events, job_events
from rt_predictor.jobs.schema import REQUEST_SCHEMA
from rt_predictor.traces.generate import generate_jobs
from tests.waiting import PATIENCE_S

COUNTS = ("processors_req", "nodes_req", "gpus_req")
TIMES = ("submit_time", "start_time", "end_time")
KINDS = ("one", "one", "several", "stream", "table", "record", "events")
"""What a caller does, as often as it stands here."""
ASKING = tuple(kind for kind in KINDS if kind not in {"record", "events"})
"""Those that record nothing."""
SEVERAL = 16
"""Jobs of a batch or a stream."""
TABLE_ROWS = 64
NEWS_A_CALL = 25
"""Outcomes of a call."""
MOST_NEWS = 12_000
"""Outcomes that a load of all kinds records, at most. The service keeps its state of earlier times
for a bounded number of outcomes (`KEPT_MAPS`); a load that runs for longer on a slow machine must
not push the moment that it asks about out of them."""
_ANSWER_COLUMNS = ("predicted_runtime", "confidence_lower", "confidence_upper")


@dataclass(frozen=True)
class Site:
    """What had happened before the load, and what it asks for.

    A base model has learned from none of it, so answers also depend on what outcomes have taught.
    """

    past: pl.DataFrame
    """Finished jobs, in the order of their ends"""
    asked_at_s: float
    """Submit time of all jobs that are asked for: Unix s"""

    @classmethod
    def made_up(cls, jobs: int = 1500) -> "Site":
        """A site that no model has seen."""
        past = generate_jobs(jobs, seed=11).sort("end_time")
        return cls(past, float(past["end_time"].max()) + 1)  # type: ignore[arg-type]

    @cached_property
    def jobs(self) -> Sequence[Job]:
        """What is asked for: jobs of users with much, little and no history."""
        rows = self.past.unique(["user", "job_name", "time_req"], maintain_order=True)[:96]
        asked = rows.select(
            *(pl.col(name).cast(int) if name in COUNTS else name for name in REQUEST_SCHEMA)
        )
        return [
            Job(
                **{
                    **row,
                    "submit_time": self.asked_at_s,
                    "request_id": str(number),
                    "user": f"new{number}" if number % 8 == 7 else row["user"],
                }
            )
            for number, row in enumerate(asked.to_dicts())
        ]

    @cached_property
    def table(self) -> pl.DataFrame:
        """The same jobs as a frame."""
        names = [*REQUEST_SCHEMA, "request_id"]
        return pl.DataFrame([{name: getattr(job, name) for name in names} for job in self.jobs])

    def news(self, name: str, first: int = 0) -> Iterator[pl.DataFrame]:
        """Outcomes to record, for ever, one call's after the other; all of them new.

        `name` is part of every job id.
        """
        for number in itertools.count(first):
            events = generate_jobs(NEWS_A_CALL, seed=number).sort("end_time")
            start_s = self.asked_at_s + 1.0 + number - events["submit_time"].min()
            yield events.with_columns(
                pl.col(*TIMES) + start_s, job_id=f"{name}-{number}-" + pl.col("job_id")
            )


def keys_of(events: pl.DataFrame) -> list[str]:
    """What tells events of the load apart: the id of a job, before it its kind unless it ended."""
    prefix = pl.when(pl.col("kind") == "ended").then(pl.lit("")).otherwise(pl.col("kind") + " ")
    return events.select(prefix + pl.col("job_id")).to_series().to_list()


Reference = Mapping[str, Prediction]
"""Request id -> what an undisturbed service says."""


async def reference_of(client: Client, site: Site) -> Reference:
    """What a service says of all jobs of a site while nothing else happens."""
    answers = [answer async for answer in client.predict_many(site.jobs)]
    assert all(isinstance(answer, Prediction) for answer in answers), answers
    return {answer.request_id: answer for answer in answers}


@dataclass
class Ledger:
    """What became of every call, and of every outcome."""

    site: Site
    reference: Reference
    calls: Counter[str] = field(default_factory=Counter)
    """Kind of call -> how many were answered, rightly"""
    outcomes: int = 0
    """Outcomes that were sent"""
    wrong: list[str] = field(default_factory=list)
    """Answers that are not those of the reference"""
    failed: list[str] = field(default_factory=list)
    """Calls that ended in an error, after all attempts"""
    acknowledged: list[str] = field(default_factory=list)
    """Keys of the events that are said to be on disk"""
    in_doubt: list[str] = field(default_factory=list)
    """Ids of those whose call failed: in the log or not, but never twice"""

    @property
    def ended(self) -> list[str]:
        """Ids of the jobs whose ends are said to be on disk."""
        return [key for key in self.acknowledged if " " not in key]

    @property
    def answered(self) -> int:
        """Calls that were answered."""
        return self.calls.total()

    def compare(self, answer: object) -> None:
        """Whether an answer is right."""
        expected = self.reference.get(getattr(answer, "request_id", ""))
        if answer != expected:
            self.wrong.append(f"{answer} is not {expected}")

    def assert_sound(self) -> None:
        """Asserts that something was answered, nothing wrongly, and nothing failed."""
        assert self.answered, self
        assert not self.wrong, (len(self.wrong), self.wrong[0])
        assert not self.failed, (len(self.failed), Counter(self.failed))

    def assert_recorded(self, kept: Sequence[str]) -> None:
        """Asserts that a log holds what was acknowledged, each once, and nothing made up."""
        assert len(kept) == len(set(kept)), "an outcome is in the log twice"
        lost = set(self.acknowledged) - set(kept)
        assert not lost, f"{len(lost)} acknowledged outcomes are not in the log"
        strange = set(kept) - {*self.acknowledged, *self.in_doubt, *self.site.past["job_id"]}
        assert not strange, f"{len(strange)} outcomes in the log were never sent"


class Caller:
    """One client's share of the load: calls one after the other, of every kind."""

    def __init__(self, client: Client, ledger: Ledger, name: str, *, stream_attempts: int) -> None:
        """`name` tells its outcomes from those of others; a seed of the order of its calls."""
        self._client = client
        self._ledger = ledger
        self._jobs = ledger.site.jobs
        self._random = random.Random(name)
        self._news = ledger.site.news(name)
        self._stream_attempts = stream_attempts
        self._kinds: dict[str, Callable[[], Awaitable[None]]] = {
            "one": self._one,
            "several": self._several,
            "stream": self._stream,
            "table": self._table,
            "record": self._record,
            "events": self._events,
        }

    async def call(self, kind: str) -> None:
        """Makes one call, and enters what became of it."""
        try:
            await self._kinds[kind]()
        except (ServiceError, InvalidRequestError) as error:
            self._ledger.failed.append(f"{kind}: {error}")
        else:
            self._ledger.calls[kind] += 1

    def _some(self) -> list[Job]:
        return self._random.sample(self._jobs, SEVERAL)

    async def _one(self) -> None:
        self._ledger.compare(await self._client.predict(self._random.choice(self._jobs)))

    async def _several(self) -> None:
        async for answer in self._client.predict_many(self._some()):
            self._ledger.compare(answer)

    async def _stream(self) -> None:
        """A stream is not made again by the client: who streams knows what was answered."""
        left, attempts, pause_s = self._some(), self._stream_attempts, 0.1
        while left:
            attempts -= 1
            try:
                async for answer in self._client.stream(list(left)):
                    assert answer.request_id == left.pop(0).request_id
                    self._ledger.compare(answer)
            except ServiceError:
                if not attempts:
                    raise
                await asyncio.sleep(pause_s)
                pause_s *= 2

    async def _table(self) -> None:
        rows = self._random.sample(range(len(self._jobs)), TABLE_ROWS)
        async for answers in self._client.predict_frame(self._ledger.site.table[rows]):
            for row in answers.to_dicts():
                said = self._ledger.reference[row["request_id"]]
                if any(row[name] != getattr(said, name) for name in _ANSWER_COLUMNS):
                    self._ledger.wrong.append(f"{row} is not {said}")

    async def _record(self) -> None:
        jobs = self._next_news()
        await self._recorded(self._client.record(jobs), keys_of(ended_events(jobs)))

    async def _events(self) -> None:
        events = job_events(self._next_news())
        await self._recorded(self._client.record_events(events), keys_of(events))

    def _next_news(self) -> pl.DataFrame:
        self._ledger.outcomes += NEWS_A_CALL
        return next(self._news)

    async def _recorded(self, recording: Awaitable[Recorded], ids: list[str]) -> None:
        try:
            found = await recording
        except BaseException:
            self._ledger.in_doubt.extend(ids)
            raise
        assert found.recorded + found.duplicates == len(ids), found
        self._ledger.acknowledged.extend(ids)


@asynccontextmanager
async def load(
    target: str,
    ledger: Ledger,
    *,
    callers: int = 4,
    attempts: int = 4,
    timeout_s: float = PATIENCE_S,
    kinds: Sequence[str] = (),
    name: str = "load",
) -> AsyncIterator[None]:
    """Calls of all kinds, for as long as the context lasts; those in progress then are finished.

    Each caller has its own connection; a call is attempted `attempts` times.
    """
    ending = asyncio.Event()

    async def calling(number: int) -> None:
        async with Client(target, timeout_s=timeout_s, attempts=attempts) as client:
            caller = Caller(client, ledger, f"{name}{number}", stream_attempts=attempts)
            order = random.Random(number)
            while not ending.is_set():
                enough = not kinds and ledger.outcomes >= MOST_NEWS
                await caller.call(order.choice(kinds or (ASKING if enough else KINDS)))

    async with asyncio.TaskGroup() as group:
        for number in range(callers):
            group.create_task(calling(number))
        try:
            yield
        finally:
            ending.set()


async def until_answered(ledger: Ledger, more: int) -> None:
    """Waits until so many more calls have been answered: the load has gone on for a while."""
    wanted = ledger.answered + more
    while ledger.answered < wanted:
        await asyncio.sleep(0.01)
