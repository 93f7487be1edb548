"""The longest time limit that each partition allows, from settings and from `scontrol`."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import polars as pl
from numpy.typing import NDArray

from rt_predictor.errors import StartupError
from rt_predictor.jobs.schema import Jobs, Row
from rt_predictor.settings import PredictionSettings

_PARTITION = re.compile(r"^PartitionName=(\S+)", re.MULTILINE)
_MAX_TIME = re.compile(r"\bMaxTime=(\S+)")
_MINUTE_S = 60.0


@dataclass(frozen=True)
class PartitionLimits:
    """Limits by name; of any other partition none is known."""

    longest_s: Mapping[str, float]

    @classmethod
    def of(cls, settings: PredictionSettings) -> "PartitionLimits":
        """Return the limits of the settings, and of the file that they name.

        Raises StartupError where the file cannot be read or names no partition.
        """
        path = settings.partitions_file
        read = {} if path is None else read_partitions(path)
        return cls({**read, **settings.partition_limits})

    def of_jobs(self, jobs: Jobs) -> NDArray[np.float64] | float:
        """[n] the longest limit that each job's partition allows, in s; infinite where unknown.

        One number, infinity, where nothing is known of any partition.
        """
        if not self.longest_s:
            return np.inf
        if isinstance(jobs, pl.DataFrame):
            names = jobs["partition"].to_list()
        else:
            names = [row["partition"] for row in jobs]
        return np.array([self.longest_s.get(name, np.inf) for name in names])

    def of_row(self, job: Row) -> float:
        """Return the same of one job."""
        if not self.longest_s:
            return np.inf
        return self.longest_s.get(cast("str", job["partition"]), np.inf)


def read_partitions(path: Path) -> dict[str, float]:
    """Read the longest limits, in s, from a text of `scontrol show partition`, with `-o` or not.

    Raises StartupError where it cannot be read or names no partition.
    """
    setting = "prediction.partitions_file"
    try:
        text = path.read_text(errors="replace")
    except OSError as error:
        raise StartupError(f"{setting} {path} cannot be read: {error.strerror}") from None
    starts = [*_PARTITION.finditer(text)]
    if not starts:
        raise StartupError(
            f"{setting} {path} names no partition: write what `scontrol show partition` prints"
        )
    ends = [*(start.start() for start in starts[1:]), len(text)]
    found = {}
    for start, end in zip(starts, ends, strict=True):
        limit = _MAX_TIME.search(text, start.end(), end)
        limit_s = None if limit is None else _limit_s(limit[1])
        if limit_s is not None:
            found[start[1]] = limit_s
    return found


def _limit_s(text: str) -> float | None:
    """A limit as Slurm prints it; None for UNLIMITED."""
    from rt_predictor.traces.expressions import span_s  # the readers of job logs start slowly

    limit: float | None = pl.select(span_s(pl.lit(text), bare_unit_s=_MINUTE_S)).item()
    return limit
