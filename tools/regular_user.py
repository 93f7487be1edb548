"""Show the answers for users whose runs are all alike, and for the same job with other limits.

    python tools/regular_user.py [BUNDLE ...] [--days N ...]

Three users: one has thirty runs of 10 minutes with a limit of 2 days, one thirty of 2 hours with a
limit of 1 day, and one thirty that a limit of 1 hour stopped. The runs of a user have one name and
size and differ by at most 2 %; each is submitted a minute after the end of the one before. The next
is asked for with the usual limit and with others, or those of `--days`. Nothing else is known of
the site.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl

PROJECT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(PROJECT))

from rt_predictor.cli.words import duration, percent  # noqa: E402
from rt_predictor.jobs.schema import JOB_SCHEMA  # noqa: E402
from rt_predictor.model.bundle import Bundle, read_bundle  # noqa: E402
from rt_predictor.model.distribution import Distribution  # noqa: E402
from rt_predictor.online.recalibration import LearnedLevels  # noqa: E402
from rt_predictor.training.answering import Answering, AskedJobs  # noqa: E402
from rt_predictor.training.evidence import gather_evidence, served_maps  # noqa: E402
from rt_predictor.training.prepare import PreparedLog, prepare_log  # noqa: E402

RUNS = 30
APART = 0.02
PAUSE_S = 60.0
FIRST_SUBMIT_S = 1_700_000_000.0
LEVELS = (0.5, 0.75, 0.9)
MINUTE_S, HOUR_S, DAY_S = 60.0, 3600.0, 86400.0


@dataclass(frozen=True)
class User:
    """A user whose runs are alike."""

    name: str
    runtime_s: float
    limit_s: float
    other_limits_s: tuple[float, ...]
    """With which the next run is asked for too"""
    stopped: bool = False
    """Whether it was the limit that ended the runs"""


REGULAR = User(
    "30 runs of 10 min, limit 2 d",
    10 * MINUTE_S,
    2 * DAY_S,
    (11 * MINUTE_S, 21 * MINUTE_S, HOUR_S, 4 * HOUR_S, 4 * DAY_S),
)
LONGER = User(
    "30 runs of 2 h, limit 1 d",
    2 * HOUR_S,
    DAY_S,
    (125 * MINUTE_S, 3 * HOUR_S, 12 * HOUR_S, 2 * DAY_S),
)
STOPPED = User(
    "30 runs that their limit of 1 h stopped",
    HOUR_S,
    HOUR_S,
    (90 * MINUTE_S, 2 * HOUR_S, 4 * HOUR_S, DAY_S),
    stopped=True,
)


def runs_alike(user: User) -> PreparedLog:
    """Return the runs, then the jobs that are asked for: with the usual limit, and each other."""
    random = np.random.default_rng(7)
    limits_s = [user.limit_s] * (RUNS + 1) + list(user.other_limits_s)
    apart = 0.0 if user.stopped else APART
    runtime_s = user.runtime_s * (1 + apart * random.uniform(-1, 1, RUNS + 1))
    submit_s = FIRST_SUBMIT_S + np.concatenate([[0.0], np.cumsum(runtime_s[:-1] + PAUSE_S)])
    asked = len(limits_s) - len(submit_s)
    runtime_s, submit_s = (
        np.append(times, np.full(asked, times[-1])) for times in (runtime_s, submit_s)
    )
    known = pl.DataFrame(
        {
            "job_id": [str(number) for number in range(len(limits_s))],
            "user": "ann",
            "job_name": "nightly",
            "partition": "normal",
            "processors_req": 16.0,
            "nodes_req": 1.0,
            "time_req": limits_s,
            "submit_time": submit_s,
            "start_time": submit_s,
            "end_time": submit_s + runtime_s,
            "runtime": runtime_s,
            "state": "TIMEOUT" if user.stopped else "COMPLETED",
        }
    )
    absent = (pl.lit(None).alias(name) for name in JOB_SCHEMA if name not in known.columns)
    jobs = known.with_columns(absent).cast(dict(JOB_SCHEMA)).select(*JOB_SCHEMA)
    return prepare_log(jobs, user.name)


def next_ones(bundle: Bundle, user: User) -> Distribution:
    """Return what a bundle says of the next run with each limit, once all before have ended."""
    log = runs_alike(user)
    model, before, asked = Answering.of(bundle), log.rows[:RUNS], log.rows[RUNS:]
    evidence = gather_evidence(log, model, before, lambda _: None)
    maps, _ = served_maps(log, evidence, LearnedLevels.of(bundle.recalibration), asked)
    jobs = AskedJobs.of(log.columns, log.tokens, log.limit_s)
    ((_, output),) = model.ask(jobs, asked)
    return maps.recalibrated(Distribution.of(output.support_s, output.weights, log.limit_s[asked]))


def rows_of(found: Distribution) -> list[str]:
    """Return a line for each limit: the point, intervals, and the chance of a timeout."""
    points, timeouts = found.median_s(), found.timeout_probability()
    intervals = {level: found.interval_s(level) for level in LEVELS}
    return [
        f"  limit {duration(float(limit_s))}: {duration(float(points[row]))}; "
        + "; ".join(
            f"{percent(level)} {duration(float(lower[row]))} to {duration(float(upper[row]))}"
            for level, (lower, upper) in intervals.items()
        )
        + f"; timeout {percent(float(timeouts[row]))}"
        for row, limit_s in enumerate(found.limit_s)
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    """Ask each bundle, and print its answers."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    production = PROJECT / "artifacts" / "production"
    parser.add_argument("bundles", nargs="*", type=Path, metavar="BUNDLE", default=[production])
    parser.add_argument("--days", nargs="+", type=float, metavar="N", help="other limits, in days")
    options = parser.parse_args(arguments)
    users = [REGULAR, LONGER, STOPPED]
    if options.days:
        others = tuple(DAY_S * days for days in options.days)
        users = [replace(user, other_limits_s=others) for user in users]
    for folder in options.bundles:
        bundle = read_bundle(folder)
        print(f"{bundle.info.kind} {bundle.info.model_version}")
        for user in users:
            print(f"{user.name}; the next with its usual limit, then with others:")
            print("\n".join(rows_of(next_ones(bundle, user))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
