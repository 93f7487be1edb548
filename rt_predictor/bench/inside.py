"""In this process: one prediction, and the graph alone, beside the three native libraries."""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from time import perf_counter
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from rt_predictor.bench.figures import Figure, Figures, Skipped, rounds
from rt_predictor.bench.plan import BenchPlan
from rt_predictor.features.matrix import assemble
from rt_predictor.features.request_features import REQUEST_FEATURES
from rt_predictor.history.job_store import JobStore
from rt_predictor.predict.asked_jobs import AskedJobs
from rt_predictor.predict.predictor import Predictor
from rt_predictor.settings import load_settings

_SINGLES, _BULK_ROWS = 300, 20_000
_CHUNK = 256
"""Rows that the graph is given at a time, as the service does where nothing is set."""
_LIBRARIES = ("xgboost", "lightgbm", "catboost")


def load(plan: BenchPlan) -> Predictor:
    """The predictor of the plan's bundle, which keeps no answers. Raises BundleError."""
    chosen = {"model.path": plan.bundle, "features.optimization.enable_caching": False}
    return Predictor.load(load_settings().with_overrides(chosen))


def measure(plan: BenchPlan, predictor: Predictor) -> Figures:
    """One prediction from a dict of fields; the graph alone, on one thread; the libraries."""
    rows = plan.source.take(plan.count(_SINGLES, 20)).rows(named=True)
    bulk = plan.source.take(plan.count(_BULK_ROWS, 500))

    def one(row: dict[str, Any]) -> object:
        return predictor.predict([row])

    given = _matrix(bulk)
    run = predictor.network.session.run

    def chunks(matrix: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        return [matrix[start : start + _CHUNK] for start in range(0, len(matrix), _CHUNK)]

    def bulk_score(matrix: NDArray[np.float32]) -> object:
        return list(map(run, chunks(matrix)))

    def score_on_all_cores(matrix: NDArray[np.float32]) -> object:
        return list(pool.map(run, chunks(matrix)))

    def one_score(row: int) -> object:
        return run(given[row : row + 1])

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        figures: Figures = {
            "inside.one_us": _each_us(plan, one, rows),
            "inside.graph_one_us": _each_us(plan, one_score, range(len(rows))),
            "inside.graph_bulk_per_s": _per_s(plan, bulk_score, given),
            "inside.graph_all_cores_per_s": _per_s(plan, score_on_all_cores, given),
            "inside.bulk_per_s": _per_s(plan, predictor.predict, bulk),
        }
    return figures | _native(plan, predictor)


def _matrix(jobs: pl.DataFrame) -> NDArray[np.float32]:
    """Return what the graph is given for jobs of which history knows nothing."""
    asked = AskedJobs.of(jobs)
    return assemble(asked.asked, asked.tokens(JobStore(1, 1)))


def _native(plan: BenchPlan, predictor: Predictor) -> Figures:
    """One model of each library, one after the other, on ready features."""
    names = ("native.one_us", "native.bulk_per_s")
    absent = [name for name in _LIBRARIES if find_spec(name) is None]
    if absent:
        why = Skipped(f"{', '.join(absent)} not installed (extra `train`)")
        return dict.fromkeys(names, why)
    from rt_predictor.bench.native import NativeModels

    random = np.random.default_rng(3)
    width = len(REQUEST_FEATURES)
    singles = list(random.random((plan.count(_SINGLES, 20), 1, width), dtype=np.float32))
    bulk = random.random((plan.count(_BULK_ROWS, 500), width), dtype=np.float32)
    models = NativeModels.fitted(predictor.bundle, plan)
    return {
        names[0]: _each_us(plan, models.on_one_thread, singles),
        names[1]: _per_s(plan, models.on_all_threads, bulk),
    }


def _each_us(plan: BenchPlan, work: Callable[[Any], object], items: Sequence[Any]) -> Figure:
    """Time of one piece of work, in us: median over the pieces, round by round."""
    work(items[0])
    found = []
    for _ in range(plan.rounds):
        taken = []
        for item in items:
            started = perf_counter()
            work(item)
            taken.append(perf_counter() - started)
        found.append(float(np.median(taken)) * 1e6)
    return rounds(found, "us")


def _per_s(plan: BenchPlan, work: Callable[[Any], object], items: Any) -> Figure:
    """Items a second, all in one piece of work."""
    work(items)
    found = []
    for _ in range(plan.rounds):
        started = perf_counter()
        work(items)
        found.append(len(items) / (perf_counter() - started))
    return rounds(found, "1/s")
