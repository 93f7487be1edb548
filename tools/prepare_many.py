"""Time and memory that it takes to make a large job log ready to learn from.

    python tools/prepare_many.py [--jobs 11000000]

On made-up jobs of some thousand users over three years. Every job is looked up in history as of its
submit, as training does.
"""

import argparse
import resource
import time
from collections.abc import Sequence

import numpy as np
import polars as pl

from rt_predictor.jobs.schema import JOB_SCHEMA
from rt_predictor.training.prepare import prepare_log

USERS, ACCOUNTS, NAMES, PARTITIONS = 5000, 300, 20, 12
FIRST_SUBMIT_S, SPAN_S = 1.6e9, 3 * 365 * 86400.0


def made_up_jobs(jobs: int, seed: int = 0) -> pl.DataFrame:
    """Return n finished jobs by submit; few users have most of them. Columns as `JOB_SCHEMA`."""
    rng = np.random.default_rng(seed)
    user = np.minimum(rng.zipf(1.3, jobs), USERS)
    submit_s = np.sort(rng.uniform(FIRST_SUBMIT_S, FIRST_SUBMIT_S + SPAN_S, jobs))
    start_s = submit_s + rng.exponential(3600, jobs)
    runtime_s = np.exp(rng.normal(7, 2, jobs)).clip(1, 6 * 86400)
    limit_s = np.ceil(runtime_s * np.exp(rng.exponential(1, jobs)) / 3600) * 3600
    known = pl.DataFrame(
        {
            "job_id": pl.int_range(jobs, eager=True),
            "user": user,
            "account": user % ACCOUNTS,
            "job_name": rng.integers(0, NAMES, jobs) * 10_000 + user,
            "partition": rng.integers(0, PARTITIONS, jobs),
            "processors_req": 2.0 ** rng.integers(0, 10, jobs),
            "nodes_req": np.ones(jobs),
            "time_req": limit_s,
            "submit_time": submit_s,
            "start_time": start_s,
            "end_time": start_s + runtime_s,
            "runtime": runtime_s,
            "state": "COMPLETED",
        }
    )
    absent = (pl.lit(None).alias(name) for name in JOB_SCHEMA if name not in known.columns)
    return known.with_columns(absent).cast(dict(JOB_SCHEMA)).select(*JOB_SCHEMA)


def main(arguments: Sequence[str] | None = None) -> int:
    """Prepare a log and print what it took."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--jobs", type=int, default=11_000_000, metavar="N")
    count: int = parser.parse_args(arguments).jobs
    if count < 1:
        parser.error("give at least one job")
    jobs = made_up_jobs(count)
    begin, processor = time.perf_counter(), time.process_time()
    log = prepare_log(jobs, "made up")
    seconds, processor = time.perf_counter() - begin, time.process_time() - processor
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(
        f"{len(log):,} jobs prepared in {seconds:,.0f} s, {processor:,.0f} s of processor time, "
        f"{peak:.1f} GB of memory at most"
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
