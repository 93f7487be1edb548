"""The micro-batcher: together what waits, and everyone's answers their own."""

import asyncio
import itertools
import random
import threading
from collections.abc import AsyncIterator

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from rt_predictor.errors import DeadlineExceededError, OverloadedError
from rt_predictor.jobs.schema import FEW_JOBS, REQUEST_SCHEMA, Jobs
from rt_predictor.observability.metrics import Metrics
from rt_predictor.predict import batcher as module
from rt_predictor.predict.batcher import (
    GATHER_TURNS,
    INLINE_RUNS,
    LONG_RUN_JOBS,
    MAX_BATCH_JOBS,
    Batcher,
    Parts,
    Row,
    shared,
)
from rt_predictor.predict.dispatch import LANES, Dispatcher, Failed, Scored, WorkPool
from rt_predictor.predict.predictions import Predictions
from tests.predict.fakes import POISON, FakePredictor, GatedPredictor
from tests.waiting import PATIENCE_S

ROOM = 10_000


def _row(time_req: float = 60.0, **fields: object) -> Row:
    return {**dict.fromkeys(REQUEST_SCHEMA), "submit_time": 0.0, "time_req": time_req, **fields}


def _predicted(parts: Parts) -> list[float | None]:
    """What was predicted for each job of a caller; None where the model failed."""
    found: list[float | None] = []
    for part in parts:
        assert part.rows.start == len(found)
        if isinstance(part, Scored):
            found += part.own.runtime_s.tolist()
        else:
            found += [None] * len(part.rows)
    return found


class _Serving:
    """A batcher over a predictor, with the threads that it needs."""

    def __init__(self, predictor: FakePredictor, max_waiting_jobs: int = ROOM) -> None:
        self.predictor = predictor
        self.holding: list[asyncio.Task[Parts]] = []
        self._pool = WorkPool(1)
        self._dispatcher = Dispatcher(predictor, self._pool, Metrics(CollectorRegistry()))
        self.batcher = Batcher(self._dispatcher, max_waiting_jobs=max_waiting_jobs)

    def close(self) -> None:
        self._pool.close()
        self._dispatcher.close()


@pytest.fixture
async def busy(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[_Serving]:
    """All lanes are taken by a run that waits at the gate."""
    monkeypatch.setattr(module, "FEW_JOBS", 0)
    serving = _Serving(GatedPredictor(), max_waiting_jobs=40)
    serving.predictor.gate.clear()
    for lane in range(LANES):
        jobs = [_row(job_name=f"lane {lane}, {n}") for n in range(LONG_RUN_JOBS)]
        call = serving.batcher.score(jobs)
        serving.holding.append(asyncio.create_task(call))
        await _settle()
    yield serving
    serving.predictor.gate.set()
    await asyncio.gather(*serving.holding, return_exceptions=True)
    serving.close()


async def _settle() -> None:
    for _ in range(50):
        await asyncio.sleep(0)


async def _ask_one_by_one(serving: _Serving, calls: int) -> None:
    """Calls of one caller as they come from outside: one a turn of the loop."""
    for _ in range(calls):
        await serving.batcher.score([_row()])
        await asyncio.sleep(0)


def _sizes(predictor: FakePredictor) -> list[int]:
    return [len(frame) for frame in predictor.asked]


async def test_a_job_that_is_alone_does_not_wait() -> None:
    serving = _Serving(FakePredictor())
    assert _predicted(await serving.batcher.score([_row(100.0)])) == [50.0]
    assert await serving.batcher.score([]) == ()
    serving.close()


async def test_calls_that_are_there_already_are_scored_together() -> None:
    serving = _Serving(FakePredictor())
    calls = [serving.batcher.score([_row(2.0 * n)]) for n in range(1, 9)]
    found = await asyncio.gather(*calls)
    assert [_predicted(parts) for parts in found] == [[float(n)] for n in range(1, 9)]
    assert _sizes(serving.predictor) == [8]
    serving.close()


async def test_after_a_quiet_time_too_calls_that_are_there_already_are_scored_together() -> None:
    serving = _Serving(FakePredictor())
    await _ask_one_by_one(serving, 10)
    serving.predictor.asked.clear()
    await asyncio.gather(*(serving.batcher.score([_row(2.0 * n)]) for n in range(1, 9)))
    assert _sizes(serving.predictor) in ([8], [1, 7])
    serving.close()


async def test_a_job_whose_deadline_has_passed_is_not_scored_however_quiet_it_is() -> None:
    serving = _Serving(FakePredictor())
    await _ask_one_by_one(serving, 10)
    for _ in range(INLINE_RUNS + 1):
        with pytest.raises(DeadlineExceededError):
            await serving.batcher.score([_row(99.0)], remaining_s=0.0)
    assert all(99.0 not in frame["time_req"] for frame in serving.predictor.asked)
    serving.close()


async def test_what_arrives_meanwhile_is_the_next_run(busy: _Serving) -> None:
    calls = []
    for n in range(20):
        calls.append(asyncio.create_task(busy.batcher.score([_row(2.0 * n)])))
        await _settle()
    assert not any(call.done() for call in calls)
    busy.predictor.gate.set()
    found = await asyncio.gather(*calls)
    await asyncio.gather(*busy.holding)
    assert [_predicted(parts) for parts in found] == [[float(n)] for n in range(20)]
    # Which of the lanes is first to go on, once the gate is open, is up to the machine.
    assert sorted(_sizes(busy.predictor)) == [20] + [LONG_RUN_JOBS] * LANES


async def test_a_run_has_no_more_jobs_than_it_may(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_BATCH_JOBS", 5)
    serving = _Serving(FakePredictor())
    sizes = [2, 2, 2, 9, 1, 4, 1]
    limits = itertools.count(1.0)
    calls = [[_row(next(limits)) for _ in range(size)] for size in sizes]
    found = await asyncio.gather(*map(serving.batcher.score, calls))
    assert [len(_predicted(parts)) for parts in found] == sizes
    assert sorted(_sizes(serving.predictor)) == sorted([4, 2, 9, 5, 1])
    serving.close()


async def test_a_caller_that_leaves_makes_room_and_is_not_scored(busy: _Serving) -> None:
    leaving = asyncio.create_task(busy.batcher.score([_row(99.0)] * 40))
    await _settle()
    with pytest.raises(OverloadedError):
        await busy.batcher.score([_row()])
    leaving.cancel()
    staying = asyncio.create_task(busy.batcher.score([_row(8.0)]))
    await _settle()
    busy.predictor.gate.set()
    assert _predicted(await staying) == [4.0]
    assert all(99.0 not in frame["time_req"] for frame in busy.predictor.asked)


async def test_a_job_whose_deadline_passes_while_it_waits_is_not_scored(busy: _Serving) -> None:
    late = asyncio.create_task(busy.batcher.score([_row(99.0)], remaining_s=0.0))
    patient = asyncio.create_task(busy.batcher.score([_row(8.0)], remaining_s=PATIENCE_S))
    await _settle()
    busy.predictor.gate.set()
    with pytest.raises(DeadlineExceededError):
        await late
    assert _predicted(await patient) == [4.0]
    assert all(99.0 not in frame["time_req"] for frame in busy.predictor.asked)


async def test_more_than_the_queue_holds_is_told_when_to_try_again(busy: _Serving) -> None:
    waiting = asyncio.create_task(busy.batcher.score([_row()] * 39))
    await _settle()
    with pytest.raises(OverloadedError) as raised:
        await busy.batcher.score([_row()] * 2)
    assert raised.value.retry_after_s > 0
    last = asyncio.create_task(busy.batcher.score([_row()]))
    await _settle()
    busy.predictor.gate.set()
    assert len(_predicted(await waiting)) == 39
    assert len(_predicted(await last)) == 1


async def test_the_loop_is_left_free_for_a_caller_with_more_to_come() -> None:
    predictor = GatedPredictor()
    serving = _Serving(predictor)
    predictor.gate.clear()
    call = asyncio.create_task(serving.batcher.score([_row()], more_coming=True))
    assert await asyncio.to_thread(predictor.entered.wait, PATIENCE_S)
    assert not call.done()
    predictor.gate.set()
    assert _predicted(await call) == [30.0]
    serving.close()


class _Where(FakePredictor):
    """Notes on which thread it is called."""

    def predict(self, jobs: Jobs) -> Predictions:
        threads.append(threading.get_ident())
        return super().predict(jobs)


threads: list[int] = []


async def _is_answered_at_once(serving: _Serving) -> bool:
    call = asyncio.create_task(serving.batcher.score([_row()]))
    await asyncio.sleep(0)
    at_once = call.done()
    await call
    await _settle()
    return at_once


async def test_a_caller_that_is_alone_is_answered_at_once_but_for_a_look_now_and_then() -> None:
    threads.clear()
    serving = _Serving(_Where())
    at_once = [await _is_answered_at_once(serving) for _ in range(100)]
    assert {*threads} == {threading.get_ident()}
    gathered = [n for n, answered in enumerate(at_once) if not answered]
    assert gathered[0] == 0
    assert max(b - a for a, b in itertools.pairwise(gathered)) == INLINE_RUNS + 1
    assert len(gathered) < 20
    serving.close()


async def test_runs_are_gathered_as_long_as_others_come() -> None:
    serving = _Serving(FakePredictor())
    limits = itertools.count(1.0)

    async def caller(turns: int) -> None:
        for _ in range(50):
            for _ in range(turns):
                await asyncio.sleep(0)
            await serving.batcher.score([_row(next(limits))])

    await _ask_one_by_one(serving, 40)
    serving.predictor.asked.clear()
    await asyncio.gather(*(caller(turns) for turns in range(GATHER_TURNS)))
    sizes = _sizes(serving.predictor)
    assert sum(sizes) == 50 * GATHER_TURNS
    assert all(size > 1 for size in sizes[INLINE_RUNS + 1 : -GATHER_TURNS])
    serving.close()


@pytest.mark.parametrize("jobs", [FEW_JOBS, FEW_JOBS + 1])
async def test_only_runs_of_many_jobs_leave_the_loop(jobs: int) -> None:
    threads.clear()
    serving = _Serving(_Where())
    await asyncio.gather(*(serving.batcher.score([_row()]) for _ in range(jobs)))
    assert (threads[0] == threading.get_ident()) is (jobs <= FEW_JOBS)
    serving.close()


async def test_a_short_run_is_not_overtaken_a_long_one_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FEW_JOBS", 0)
    predictor = GatedPredictor()
    serving = _Serving(predictor)
    predictor.gate.clear()
    call = serving.batcher.score
    short = asyncio.create_task(call([_row()]))
    await _settle()
    next_ = asyncio.create_task(call([_row()] * LONG_RUN_JOBS))
    await _settle()
    assert len(serving.batcher._runs) == 1
    predictor.gate.set()
    await asyncio.gather(short, next_)
    predictor.gate.clear()
    long = asyncio.create_task(call([_row()] * LONG_RUN_JOBS))
    await _settle()
    beside = asyncio.create_task(call([_row()] * LONG_RUN_JOBS))
    await _settle()
    assert len(serving.batcher._runs) == 2
    predictor.gate.set()
    await asyncio.gather(long, beside)
    serving.close()


async def test_an_error_of_the_whole_run_reaches_every_caller(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def fail(*_: object) -> Parts:
        raise OverloadedError(1.0)

    monkeypatch.setattr(module, "FEW_JOBS", 0)
    monkeypatch.setattr(Dispatcher, "predict_meanwhile", fail)
    serving = _Serving(FakePredictor())
    calls = [serving.batcher.score([_row()]) for _ in range(3)]
    errors = await asyncio.gather(*calls, return_exceptions=True)
    assert [type(error) for error in errors] == [OverloadedError] * 3
    serving.close()


async def test_runs_that_are_cut_off_cut_their_callers_off(busy: _Serving) -> None:
    waiting = asyncio.create_task(busy.batcher.score([_row()]))
    await _settle()
    for run in list(busy.batcher._runs):
        run.cancel()
    await _settle()
    assert all(call.cancelled() for call in busy.holding)
    busy.predictor.gate.set()
    assert len(_predicted(await waiting)) == 1


plans = st.lists(
    st.fixed_dictionaries(
        {
            "jobs": st.lists(st.sampled_from([1.0, 2.0, 3.0, None]), min_size=1, max_size=6),
            "turns": st.integers(0, 6),
            "cancelled_after": st.none() | st.integers(0, 8),
            "remaining_s": st.sampled_from([None, None, 0.0, PATIENCE_S]),
            "more_coming": st.booleans(),
        }
    ),
    max_size=12,
)


@given(plans, st.integers(1, 12), st.integers(0, 3))
@settings(max_examples=100, deadline=None)
def test_everyone_who_stays_gets_their_own_answers(
    plan: list[dict], max_batch: int, inline: int
) -> None:
    """Whoever cancels, expires or brings a job that the model fails on harms nobody else.

    Each caller's jobs are made out by their limits: (1000 * caller + a digit); None is poison.
    """

    def rows(caller: int) -> list[Row]:
        return [
            _row(1.0, job_name=POISON) if digit is None else _row(2 * (1000.0 * caller + digit))
            for digit in plan[caller]["jobs"]
        ]

    async def call(batcher: Batcher, caller: int) -> Parts:
        for _ in range(plan[caller]["turns"]):
            await asyncio.sleep(0)
        return await batcher.score(
            rows(caller),
            remaining_s=plan[caller]["remaining_s"],
            more_coming=plan[caller]["more_coming"],
        )

    async def main() -> None:
        serving = _Serving(FakePredictor())
        tasks = [asyncio.create_task(call(serving.batcher, n)) for n in range(len(plan))]
        for turn in range(9):
            for task, one in zip(tasks, plan, strict=True):
                if one["cancelled_after"] == turn:
                    task.cancel()
            await asyncio.sleep(0)
        found = await asyncio.gather(*tasks, return_exceptions=True)
        for caller, (one, answers) in enumerate(zip(plan, found, strict=True)):
            if isinstance(answers, asyncio.CancelledError):
                assert one["cancelled_after"] is not None
            elif isinstance(answers, DeadlineExceededError):
                assert one["remaining_s"] == 0.0
            else:
                assert _predicted(answers) == [
                    None if digit is None else 1000.0 * caller + digit for digit in one["jobs"]
                ]
        assert serving.batcher._waiting_jobs == 0
        serving.close()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "MAX_BATCH_JOBS", max_batch)
        patch.setattr(module, "FEW_JOBS", inline)
        asyncio.run(main())


async def test_many_callers_at_once_with_random_cancellation_leave_nothing_behind() -> None:
    chance = random.Random(5)
    serving = _Serving(FakePredictor())

    async def caller(number: int) -> None:
        for turn in range(10):
            limit = 2.0 * (100 * number + turn)
            call = asyncio.create_task(serving.batcher.score([_row(limit)] * chance.randint(1, 9)))
            if chance.random() < 0.3:
                for _ in range(chance.randint(0, 5)):
                    await asyncio.sleep(0)
                call.cancel()
            try:
                assert set(_predicted(await call)) == {limit / 2}
            except asyncio.CancelledError:
                continue

    async with asyncio.timeout(PATIENCE_S):
        await asyncio.gather(*(caller(number) for number in range(50)))
    assert serving.batcher._waiting_jobs == 0
    assert not serving.batcher._queue
    assert len(serving.predictor.asked) < 50 * 10
    serving.close()


@given(st.data(), st.lists(st.integers(1, 5), min_size=1, max_size=8))
def test_parts_are_cut_where_callers_meet(data: st.DataObject, sizes: list[int]) -> None:
    total = sum(sizes)
    cuts = sorted(data.draw(st.sets(st.integers(1, total - 1))) if total > 1 else [])
    jobs = pl.DataFrame([_row(2.0 * n) for n in range(total)], schema=REQUEST_SCHEMA)
    parts: list[Scored | Failed] = []
    for start, stop in zip([0, *cuts], [*cuts, total], strict=True):
        rows = range(start, stop)
        if data.draw(st.booleans()):
            parts.append(Scored(rows, _predict(jobs[start:stop])))
        else:
            parts.append(Failed(rows, RuntimeError()))
    whole = _predicted(parts)
    shares = [_predicted(share) for share in shared(parts, sizes)]
    assert [len(share) for share in shares] == sizes
    assert [one for share in shares for one in share] == whole


def _predict(jobs: pl.DataFrame) -> Predictions:
    return FakePredictor().predict(jobs)


def test_a_stream_chunk_fits_into_a_run() -> None:
    from rt_predictor.settings import ServerSettings

    assert ServerSettings().stream_chunk_jobs <= MAX_BATCH_JOBS
