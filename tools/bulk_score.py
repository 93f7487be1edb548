"""Measures `rt-predictor score` from file to file: time, processor time, and memory at most.

    python tools/bulk_score.py [--jobs 1000000] [--bundle artifacts/production] [--repeat 1]

The jobs are made up, no two alike. Making them is not counted; starting the program is.
"""

import argparse
import os
import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl

from rt_predictor.bench.jobs import JobSource

FORMATS = ("csv", "parquet", "jsonl")
_BYTES_A_UNIT = 1 if sys.platform == "darwin" else 1024
"""Of what the system says of the memory of a process."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints one line a format. Raises CalledProcessError where the program fails."""
    parser = argparse.ArgumentParser(description="Measures scoring from file to file.")
    parser.add_argument("--jobs", type=int, default=1_000_000, help="how many")
    parser.add_argument("--bundle", type=Path, default=Path("artifacts/production"))
    parser.add_argument("--repeat", type=int, default=1, help="how often; all are printed")
    parser.add_argument("--formats", nargs="+", choices=FORMATS, default=["csv", "parquet"])
    options = parser.parse_args(arguments)
    number = pl.int_range(1, pl.len() + 1).cast(pl.String)
    jobs = JobSource.generated().take(options.jobs).with_columns(job_id=number)
    with TemporaryDirectory() as folder:
        for suffix in options.formats:
            source = Path(folder, f"jobs.{suffix}")
            _write(jobs, source)
            for _ in range(options.repeat):
                print(f"{options.jobs:,} jobs, {suffix}: {_scored(source, options.bundle)}")
    return 0


def _write(jobs: pl.DataFrame, path: Path) -> None:
    match path.suffix:
        case ".csv":
            jobs.write_csv(path)
        case ".parquet":
            jobs.write_parquet(path)
        case _:
            jobs.write_ndjson(path)


def _scored(source: Path, bundle: Path) -> str:
    """What it took to score a file into one of the same format."""
    answers = source.with_stem("answers")
    command = [sys.executable, "-m", "rt_predictor", "score", str(source), "-o", str(answers)]
    before, started_s = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(
        [*command, "--bundle", str(bundle)], check=True, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    seconds = time.perf_counter() - started_s
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    busy_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    # The peak of all children so far: that of the largest.
    peak = after.ru_maxrss * _BYTES_A_UNIT
    return f"{seconds:.1f} s, {busy_s:.1f} s of processor time, at most {peak / 1024**3:.1f} GiB"


if __name__ == "__main__":
    sys.exit(main())
