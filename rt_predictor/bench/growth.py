"""Growth of cost with the size of a batch and with history; time to start and memory of a
service."""

import statistics
from collections.abc import Callable
from time import perf_counter
from typing import TypeVar

import polars as pl

from rt_predictor.bench.figures import Figure, Figures, Skipped, rounds
from rt_predictor.bench.load import at_once
from rt_predictor.bench.plan import BenchPlan
from rt_predictor.bench.processes import Running, service
from rt_predictor.client import Client
from rt_predictor.history.columns import AskedJob, asked_job, job_columns
from rt_predictor.history.job_store import JobStore
from rt_predictor.history.token_keys import TOKEN_KEYS
from rt_predictor.predict.predictor import Predictor
from rt_predictor.traces.generate import generate_jobs

BATCH_SIZES = (1, 10, 100, 1_000, 10_000, 100_000)
HISTORY_KEYS = (1_000, 10_000, 100_000, 1_000_000)
CONNECTIONS = 8
"""Connections that the load on several workers comes over: the kernel spreads those."""
_LOOK_UPS = 200
_WORKER_CALLS, _GROWTH_JOBS, _GROWTH_TABLE = 4_000, 1_000_000, 50_000
_WARMING_TABLES = 4
"""Until buffers have found their size."""
_MIB = 1024 * 1024
_ONLY_IN_FULL = Skipped("only at full scale")
_T = TypeVar("_T")


def batch_sizes(plan: BenchPlan, predictor: Predictor) -> Figures:
    """Time a job, in this process, features included, by the number of jobs scored together."""
    figures: Figures = {}
    for size in BATCH_SIZES:
        if plan.scale < 1 and size > BATCH_SIZES[2]:
            figures[f"growth.batch_{size}_us"] = _ONLY_IN_FULL
            continue
        repeats = max(1, 200 // size)
        found = []
        for _ in range(plan.rounds):
            frames = [plan.source.take(size) for _ in range(repeats)]
            taken = [_seconds(predictor.predict, frame) for frame in frames]
            found.append(statistics.median(taken) / size * 1e6)
        figures[f"growth.batch_{size}_us"] = rounds(found, "us/job")
    return figures


def history_keys(plan: BenchPlan) -> Figures:
    """Time to look up what history says of one job, by the keys that history knows."""
    figures: Figures = {}
    for keys in HISTORY_KEYS:
        name = f"growth.history_{keys}_keys_us"
        if plan.scale < 1 and keys > HISTORY_KEYS[1]:
            figures[name] = _ONLY_IN_FULL
            continue
        events = _unlike_events(keys // len(TOKEN_KEYS) + 1)
        store = JobStore(max_events=len(events), max_keys=2 * keys)
        store.add(job_columns(events))
        rows = events.sample(plan.count(_LOOK_UPS, 20), seed=1, with_replacement=True)
        asked = [asked_job(row) for row in rows.rows(named=True)]

        def look_up(job: AskedJob, store: JobStore = store) -> object:
            return store.tokens_of_one(job, job.submit_s)

        found = [
            statistics.median(_seconds(look_up, job) for job in asked) * 1e6
            for _ in range(plan.rounds)
        ]
        figures[name] = rounds(found, "us")
    return figures


def _unlike_events(count: int) -> pl.DataFrame:
    """Finished jobs that share no key but that of their partition."""
    number = pl.int_range(count)
    return generate_jobs(count, 1).with_columns(
        user=pl.format("user{}", number),
        account=pl.format("account{}", number),
        time_req=number + 60.0,
    )


async def memory(plan: BenchPlan, running: Running) -> Figures:
    """Resident memory of a worker, and its growth over a million predictions, in percent."""
    async with Client(running.target, timeout_s=60) as client:
        for _ in range(plan.count(_WARMING_TABLES)):
            async for _ in client.predict_frame(plan.source.take(plan.count(_GROWTH_TABLE))):
                pass
        before = (await client.health()).memory_bytes
        if plan.scale < 1:
            memory = Figure((before / _MIB,), "MiB")
            return {"service.memory_mib": memory, "service.memory_growth": _ONLY_IN_FULL}
        for _ in range(_GROWTH_JOBS // _GROWTH_TABLE):
            async for _ in client.predict_frame(plan.source.take(_GROWTH_TABLE)):
                pass
        after = (await client.health()).memory_bytes
    return {
        "service.memory_mib": Figure((after / _MIB,), "MiB"),
        "service.memory_growth": Figure(((after / before - 1) * 100,), "%"),
    }


async def start(plan: BenchPlan) -> Figures:
    """Time from the start of a service's process until it is ready."""
    taken = []
    for _ in range(plan.rounds):
        with service(plan.bundle) as running:
            taken.append(running.ready_s)
    return {"service.ready_s": rounds(taken, "s")}


async def workers(plan: BenchPlan) -> Figures:
    """Calls a second of Predict, 64 in flight over several connections, by workers.

    The load takes a core of its own as far as there is one: on two cores a second worker can gain
    little.
    """
    figures: Figures = {}
    for count in (1, 2):
        with service(plan.bundle, workers=count) as running:
            async with Client(running.target, connections=CONNECTIONS, timeout_s=60) as client:
                jobs = plan.source.client_jobs(plan.count(_WORKER_CALLS))
                await at_once(client.predict, jobs[:100], 8)
                found = [(await at_once(client.predict, jobs, 64))[0] for _ in range(plan.rounds)]
        figures[f"growth.workers_{count}_per_s"] = rounds(found, "1/s")
    return figures


def _seconds(predict: Callable[[_T], object], jobs: _T) -> float:
    started = perf_counter()
    predict(jobs)
    return perf_counter() - started
