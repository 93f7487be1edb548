"""How cost grows: with the size of a batch, with trees; and what a service costs to have."""

import statistics
import tempfile
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from time import perf_counter

import polars as pl

from rt_predictor.bench.figures import Figure, Figures, Skipped, rounds
from rt_predictor.bench.load import at_once
from rt_predictor.bench.plan import Plan
from rt_predictor.bench.processes import Running, service
from rt_predictor.client import Client
from rt_predictor.history.keys import KEYS
from rt_predictor.history.store import EventStore
from rt_predictor.serving.predictor import Predictor
from rt_predictor.settings import load_settings
from rt_predictor.traces.generate import generate_jobs

BATCH_SIZES = (1, 10, 100, 1_000, 10_000, 100_000)
TREES = (25, 100, 400)
"""Boosting rounds of each of the three boosters."""
HISTORY_KEYS = (1_000, 10_000, 100_000, 1_000_000)
CONNECTIONS = 8
"""Connections that the load on several workers comes over: the kernel spreads those."""
_TREE_ROWS = 5_000
_LOOK_UPS = 200
_WORKER_CALLS, _GROWTH_JOBS, _GROWTH_TABLE = 4_000, 1_000_000, 50_000
_WARMING_TABLES = 4
"""Until buffers have found their size."""
_MIB = 1024 * 1024
_ONLY_IN_FULL = Skipped("only at full scale")


def batch_sizes(plan: Plan, predictor: Predictor) -> Figures:
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


def trees(plan: Plan) -> Figures:
    """Time a job in bulk, in this process, by the trees of each booster."""
    if find_spec("lightgbm") is None:
        why = Skipped("the boosters are not installed (extra `train`)")
        return {f"growth.trees_{count}_us": why for count in TREES}
    if plan.scale < 1:
        return {f"growth.trees_{count}_us": _ONLY_IN_FULL for count in TREES}
    figures: Figures = {}
    with tempfile.TemporaryDirectory() as folder:
        for count in TREES:
            predictor = _with_trees(count, Path(folder) / str(count))
            jobs = plan.source.take(plan.count(_TREE_ROWS))
            predictor.predict(jobs)
            taken = [_seconds(predictor.predict, jobs) for _ in range(plan.rounds)]
            figures[f"growth.trees_{count}_us"] = rounds(
                (seconds / len(jobs) * 1e6 for seconds in taken), "us/job"
            )
    return figures


def _with_trees(count: int, folder: Path) -> Predictor:
    from rt_predictor.training.pipeline import train

    boosters = ("xgboost", "lightgbm", "catboost")
    settings = load_settings().with_overrides(
        {f"training.{name}.trees": count for name in boosters}
        | {"training.early_stopping_rounds": 0, "model.path": folder}
    )
    train(generate_jobs(8_000, 1), ["generated"], folder, settings)
    return Predictor.load(settings)


def history_keys(plan: Plan) -> Figures:
    """Time to look up what history says of one job, by the keys that history knows."""
    figures: Figures = {}
    for keys in HISTORY_KEYS:
        name = f"growth.history_{keys}_keys_us"
        if plan.scale < 1 and keys > HISTORY_KEYS[1]:
            figures[name] = _ONLY_IN_FULL
            continue
        events = _unlike_events(keys // len(KEYS) + 1)
        store = EventStore(max_events=len(events), max_keys=2 * keys)
        store.add(events)
        asked = events.sample(plan.count(_LOOK_UPS, 20), seed=1, with_replacement=True)
        found = []
        for _ in range(plan.rounds):
            jobs = [asked[row] for row in range(len(asked))]
            found.append(statistics.median(_seconds(store.features, job) for job in jobs) * 1e6)
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


async def memory(plan: Plan, running: Running) -> Figures:
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


async def start(plan: Plan) -> Figures:
    """Time from the start of a service's process until it is ready."""
    taken = []
    for _ in range(plan.rounds):
        with service(plan.bundle) as running:
            taken.append(running.ready_s)
    return {"service.ready_s": rounds(taken, "s")}


async def workers(plan: Plan) -> Figures:
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


def _seconds(predict: Callable[[pl.DataFrame], object], jobs: pl.DataFrame) -> float:
    started = perf_counter()
    predict(jobs)
    return perf_counter() - started
