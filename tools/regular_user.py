"""Shows what is told a user whose runs are all alike: thirty of 10 minutes with a limit of 2 days.

    python tools/regular_user.py [BUNDLE ...]

They have one name and size, differ by at most 2 %, and are submitted one after the other; then the
next is asked for. Nothing else is known of the site.
"""

import argparse
import sys
from collections.abc import Sequence
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
from rt_predictor.training.evidence import gather_evidence, told_maps  # noqa: E402
from rt_predictor.training.prepare import PreparedLog, prepare_log  # noqa: E402

RUNS = 30
RUNTIME_S, APART = 600.0, 0.02
LIMIT_S = 2 * 86400.0
PAUSE_S = 60.0
FIRST_SUBMIT_S = 1_700_000_000.0
LEVELS = (0.5, 0.75, 0.9)


def runs_alike() -> PreparedLog:
    """Return the runs, and the job that is asked for as the last."""
    random = np.random.default_rng(7)
    runtime_s = RUNTIME_S * (1 + APART * random.uniform(-1, 1, RUNS + 1))
    submit_s = FIRST_SUBMIT_S + np.concatenate([[0.0], np.cumsum(runtime_s[:-1] + PAUSE_S)])
    known = pl.DataFrame(
        {
            "job_id": [str(number) for number in range(RUNS + 1)],
            "user": "ann",
            "job_name": "nightly",
            "partition": "normal",
            "processors_req": 16.0,
            "nodes_req": 1.0,
            "time_req": LIMIT_S,
            "submit_time": submit_s,
            "start_time": submit_s,
            "end_time": submit_s + runtime_s,
            "runtime": runtime_s,
            "state": "COMPLETED",
        }
    )
    absent = (pl.lit(None).alias(name) for name in JOB_SCHEMA if name not in known.columns)
    jobs = known.with_columns(absent).cast(dict(JOB_SCHEMA)).select(*JOB_SCHEMA)
    return prepare_log(jobs, "runs alike")


def next_one(bundle: Bundle, log: PreparedLog) -> Distribution:
    """Return what a bundle says of the last job, once all before have ended."""
    model, last = Answering.of(bundle), log.rows[-1:]
    evidence = gather_evidence(log, model, log.rows[:-1], lambda _: None)
    maps, _ = told_maps(log, evidence, LearnedLevels.of(bundle.recalibration), last)
    asked = AskedJobs.of(log.columns, log.tokens, log.limit_s)
    ((_, said),) = model.ask(asked, last)
    return maps.recalibrated(Distribution.of(said.support_s, said.weights, log.limit_s[last]))


def main(arguments: Sequence[str] | None = None) -> int:
    """Ask each bundle, and print its answers."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    production = PROJECT / "artifacts" / "production"
    parser.add_argument("bundles", nargs="*", type=Path, metavar="BUNDLE", default=[production])
    log = runs_alike()
    for folder in parser.parse_args(arguments).bundles:
        bundle = read_bundle(folder)
        found = next_one(bundle, log)
        ends = [
            f"{percent(level)}: {duration(float(lower[0]))} to {duration(float(upper[0]))}"
            for level in LEVELS
            for lower, upper in [found.interval_s(level)]
        ]
        timeout = percent(float(found.timeout_probability()[0]))
        print(
            f"{bundle.info.kind} {bundle.info.model_version}: "
            f"{duration(float(found.median_s()[0]))}; {'; '.join(ends)}; timeout {timeout}"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
