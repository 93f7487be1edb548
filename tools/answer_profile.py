"""Time of each stage of an answer, in this process: one job, and many jobs, with history known.

    python tools/answer_profile.py [--events 100000] [--jobs 10000] [--rounds 5] [--bundle DIR]

On made-up jobs that all differ. Stages are timed on one thread, in time of the processor: what
else runs on the machine costs them no more than its caches. `all threads` is the time until all
cores have answered the many jobs, as the service shares them. Prints a table in Markdown.
"""

import argparse
import os
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from time import perf_counter, process_time
from typing import Any
from unittest.mock import patch

import polars as pl

from rt_predictor.history.columns import Told, job_columns
from rt_predictor.history.history import History
from rt_predictor.history.job_store import JobStore
from rt_predictor.jobs.events import ended_events, with_origin
from rt_predictor.jobs.schema import REQUEST_SCHEMA
from rt_predictor.model import network
from rt_predictor.model.distribution import Distribution
from rt_predictor.model.lone_distribution import LoneDistribution
from rt_predictor.model.session import ModelSession
from rt_predictor.online.recalibration import Recalibration
from rt_predictor.predict import predictor as data_plane
from rt_predictor.predict.asked_jobs import AskedJobs
from rt_predictor.predict.predictor import LoneJob, Predictor
from rt_predictor.settings import load_settings
from rt_predictor.traces.generate import WorkloadShape, generate_jobs

PROJECT = Path(__file__).resolve().parents[1]
SHAPE = WorkloadShape(users=2000, days=700.0)
SINGLES = 400
LEARNED, RUNNING = 2_000, 300
"""Of the last jobs, how many teach the model, and how many have not ended."""
SEED = 3

STAGES: Mapping[str, tuple[tuple[Any, str], ...]] = {
    "jobs as columns": ((AskedJobs, "of"), (LoneJob, "of")),
    "history": ((JobStore, "tokens_of"), (JobStore, "tokens_of_one")),
    "features": ((network, "assemble"), (network, "assemble_one")),
    "graph": ((ModelSession, "run"),),
    "distribution": ((Distribution, "of"), (LoneDistribution, "of")),
    "recalibration": ((Recalibration, "recalibrated"), (Recalibration, "recalibrated_one")),
    "views": (
        (data_plane, "views_of"),
        (data_plane, "read"),
        (data_plane, "view_of_row"),
        (data_plane, "recommended_limit_s"),
        (data_plane, "recommended_limit_of_one_s"),
        (Distribution, "timeout_probability"),
        (LoneDistribution, "timeout_probability"),
        (LoneDistribution, "quantiles_s"),
    ),
    "flags": ((data_plane, "flags_of"), (data_plane, "flags_of_one")),
}
"""What is timed of each stage; the time of what is inside another counts for that alone."""


class StageClock:
    """Time that is spent in each stage, in s, without that of stages inside it."""

    def __init__(self) -> None:
        self.spent_s: dict[str, float] = defaultdict(float)
        self._inside_s = [0.0]

    def timed(self, stage: str, work: Callable[..., Any]) -> Callable[..., Any]:
        """Return work whose time counts for a stage."""

        def run(*given: Any, **named: Any) -> Any:
            self._inside_s.append(0.0)
            started = process_time()
            try:
                return work(*given, **named)
            finally:
                taken_s = process_time() - started
                self.spent_s[stage] += taken_s - self._inside_s.pop()
                self._inside_s[-1] += taken_s

        return run

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Time the stages of all that is answered meanwhile."""
        with ExitStack() as stack:
            for stage, places in STAGES.items():
                for owner, name in places:
                    work = owner.__dict__[name]
                    made = isinstance(work, classmethod)
                    timed = self.timed(stage, getattr(owner, name) if made else work)
                    stack.enter_context(
                        patch.object(owner, name, staticmethod(timed) if made else timed)
                    )
            yield


def predictor_with(events: int, bundle: Path, threads: int) -> tuple[Predictor, pl.DataFrame]:
    """Return a predictor that knows so many made-up jobs, and jobs of the same users to ask for."""
    jobs = generate_jobs(events + 50_000, SEED, SHAPE)
    known, asked = jobs[:events], jobs[events:]
    settings = load_settings().with_overrides(
        {
            "model.path": bundle,
            "features.optimization.enable_caching": False,
            "features.optimization.n_jobs": threads,
        }
    )
    history = History.off()
    predictor = Predictor.load(settings, history)
    fold = history.fold
    ended = known[:-RUNNING].sort("end_time", maintain_order=True)
    for told, kinds in (
        (ended[:-LEARNED], Told.ENDED),
        (known[-RUNNING:], Told.SUBMITTED | Told.STARTED),
    ):
        columns = job_columns(told, kinds)
        fold.store.add(columns)
        fold.names.add(columns)
    fold.take(with_origin(ended_events(ended[-LEARNED:]), None, None), 1)
    if len(fold.store) != events:
        raise SystemExit(f"history holds {len(fold.store)} of {events} jobs")
    return predictor, asked


def unlike(asked: pl.DataFrame, count: int, seed: int) -> pl.DataFrame:
    """Return so many jobs, all with a memory, a limit and a submit time of their own."""
    last_s = float(asked["end_time"].max())  # type: ignore[arg-type]
    number = pl.int_range(count).cast(pl.Float64)
    some = asked.select(list(REQUEST_SCHEMA)).sample(count, with_replacement=True, seed=seed)
    return some.with_columns(
        submit_time=last_s - 1e5 + number / 16,
        mem_req=pl.col("mem_req") + number / 8,
        time_req=pl.col("time_req") + number / 64,
    )


def stages_us(predict: Callable[[Any], object], batches: list[Any], jobs: int) -> dict[str, float]:
    """Return the time of each stage and of the whole, in us a job: medians over the batches."""
    found: dict[str, list[float]] = defaultdict(list)
    for batch in batches:
        clock = StageClock()
        with clock.watching():
            clock.timed("rest", predict)(batch)
        for stage in (*STAGES, "rest"):
            found[stage].append(clock.spent_s[stage] / jobs * 1e6)
    return {stage: median(taken) for stage, taken in found.items()}


def whole_us(
    predict: Callable[[Any], object],
    batches: list[Any],
    jobs: int,
    clock: Callable[[], float] = process_time,
) -> float:
    """Return the median time of a job, in us, as it is without a clock inside."""
    taken = []
    for batch in batches:
        started = clock()
        predict(batch)
        taken.append((clock() - started) / jobs * 1e6)
    return median(taken)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument("--jobs", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--bundle", type=Path, default=PROJECT / "artifacts/production")
    options = parser.parse_args()
    many: list[pl.DataFrame] = []
    columns: dict[str, dict[str, float]] = {}
    predictor, asked = predictor_with(options.events, options.bundle, 1)
    many = [unlike(asked, options.jobs, seed) for seed in range(options.rounds)]
    singles = [[row] for row in unlike(asked, SINGLES, options.rounds).rows(named=True)]
    for name, batches, jobs in (("one job", singles, 1), ("many", many, options.jobs)):
        whole_us(predictor.predict, batches[:50], jobs)
        columns[name] = stages_us(predictor.predict, batches, jobs)
        columns[name]["whole"] = whole_us(predictor.predict, batches, jobs)
    print("| us a job | one job | many |\n|---|---:|---:|")
    for stage in columns["many"]:
        print(f"| {stage} | {columns['one job'][stage]:.1f} | {columns['many'][stage]:.1f} |")
    threads = os.cpu_count() or 1
    everywhere, _ = predictor_with(options.events, options.bundle, threads)
    waited_us = whole_us(everywhere.predict, many, options.jobs, perf_counter)
    print(f"| all {threads} threads | | {waited_us:.1f} |")


if __name__ == "__main__":
    main()
