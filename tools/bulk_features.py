"""Measures the history features of a whole log: time, and memory at most.

    python tools/bulk_features.py [--jobs 11000000 | --trace LOG]

Without a log one is made; the default is the size of the public log of NREL's Eagle. Making or
reading it is not counted in the time but in the memory, which is that of this process.
"""

import argparse
import resource
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from rt_predictor.history.replay import LogHistory
from rt_predictor.traces.generate import WorkloadShape, generate_jobs
from rt_predictor.traces.reader import read_trace
from rt_predictor.training.split import scorable

EAGLE_JOBS = 11_000_000
EAGLE = WorkloadShape(users=3000, days=1500.0)
_BYTES_A_UNIT = 1 if sys.platform == "darwin" else 1024
"""Of what the system says of the memory of a process."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints one line about a log's features. Raises TraceError where it cannot be read."""
    parser = argparse.ArgumentParser(description="Measures the history features of a whole log.")
    parser.add_argument("--jobs", type=int, default=EAGLE_JOBS, help="jobs of a made-up log")
    parser.add_argument("--trace", type=Path, help="a log, instead")
    options = parser.parse_args(arguments)
    if options.trace is None:
        jobs = generate_jobs(options.jobs, 1, EAGLE)
    else:
        jobs = scorable(read_trace(options.trace).jobs)
    started_s = time.perf_counter()
    features = LogHistory(jobs).features(jobs)
    seconds = time.perf_counter() - started_s
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _BYTES_A_UNIT
    print(
        f"{len(jobs):,} jobs, {features.shape[1]} history features: {seconds:.0f} s, "
        f"at most {peak / 1024**3:.1f} GiB"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
