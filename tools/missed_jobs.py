"""Whose jobs the 90 % intervals miss, in each tenth of a log's replay.

    python tools/missed_jobs.py LOG [--bundle DIR]

Replays the later part of the log with a bundle as it is, as `rt-predictor evaluate --bundle` does.
Of the misses of each tenth it says how many are those of three users, and how many were submitted
before the first of their user's missed jobs of that tenth had ended: these nothing could be learned
from, however fast.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from rt_predictor.errors import RTPredictorError
from rt_predictor.model.bundle import read_bundle
from rt_predictor.settings import Settings
from rt_predictor.traces.reader import read_trace
from rt_predictor.training.evaluate import intervals_by_level
from rt_predictor.training.judged import judge_bundle
from rt_predictor.training.prepare import prepare_log, whole_log
from rt_predictor.training.progress import ignore_progress
from rt_predictor.training.scores import BLOCKS

LEVEL = 0.9
MOST_USERS = 3


@dataclass(frozen=True)
class Misses:
    """Of some consecutive jobs."""

    coverage: float
    """Share of them that their intervals hold"""
    of_few_users: float
    """Share of the misses that are jobs of the three users who have most of them"""
    untaught: float
    """Share of the misses that were submitted before the first of their user's had ended"""


def misses(jobs: pl.DataFrame, held: Sequence[bool]) -> Misses:
    """Of finished jobs (`JOB_SCHEMA`), and whether the interval of each held it."""
    missed = jobs.filter(~pl.Series(held))
    taught_s = pl.col("end_time").min().over("user")
    by_user = missed.group_by("user").len().sort("len", descending=True)
    count = max(len(missed), 1)
    return Misses(
        coverage=1 - len(missed) / len(jobs),
        of_few_users=int(by_user["len"][:MOST_USERS].sum()) / count,
        untaught=len(missed.filter(pl.col("submit_time") < taught_s)) / count,
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints a line a tenth; says what is wrong with a log that will not do."""
    parser = argparse.ArgumentParser(description="Whose jobs the 90 %% intervals miss.")
    parser.add_argument("trace", type=Path, help="a job log")
    production = Path("artifacts/production")
    parser.add_argument("--bundle", type=Path, metavar="DIR", default=production)
    options = parser.parse_args(arguments)
    try:
        log = prepare_log(whole_log(read_trace(options.trace)), options.trace.name)
        bundle = read_bundle(options.bundle)
        replayed = judge_bundle(log, bundle, Settings(), ignore_progress)
    except RTPredictorError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    intervals = intervals_by_level(replayed)[replayed.levels.index(LEVEL)]
    held = intervals.hold(replayed.jobs["runtime"].to_numpy())
    print(f"tenth  held    of {MOST_USERS} users  submitted before the first of them had ended")
    edges = np.cumsum([0, *(len(part) for part in np.array_split(held, BLOCKS))]).tolist()
    for tenth in range(BLOCKS):
        rows = slice(edges[tenth], edges[tenth + 1])
        found = misses(replayed.jobs[rows], held[rows].tolist())
        shares = f"{found.of_few_users:10.0%}  {found.untaught:.0%}"
        print(f"{tenth + 1:5}  {found.coverage:6.1%}  {shares}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
