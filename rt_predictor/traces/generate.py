"""A made-up job log with the traits of real ones: for tests, benchmarks and trying things out.

Users have programs they run again and again; a program has a size, a guessed time limit and a
typical runtime; jobs come in arrays that share their submit second, more by day than by night.
"""

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from rt_predictor.jobs.schema import JOB_SCHEMA
from rt_predictor.traces.expressions import DAY_S, HOUR_S

_ROUND_LIMITS_S = np.array([600, 1800, 3600, 7200, 14400, 28800, 43200, 86400, 172800, 604800.0])
_SIZES = np.array([1, 1, 1, 2, 4, 8, 16, 24, 32, 48, 64, 96, 128, 256, 512.0])
_CORES_A_NODE = 32
_MEMORY_MB = np.array([1000, 2048, 4000, 4096, 8192, 16000, 64000.0])
_PARTITIONS = np.array(["short", "normal", "long", "large", "gpu", "test"])
_QOS = np.array(["normal", "high", "low"])
_EPOCH_S = 1_600_000_000.0
_NOISE = 0.08
"""Spread of the log runtime of one program from run to run."""


@dataclass(frozen=True)
class WorkloadShape:
    """Properties of the made-up site."""

    users: int = 200
    programs_a_user: int = 4
    days: float = 90.0
    mean_array_jobs: float = 3.0
    failed_share: float = 0.08
    """Jobs that end early."""
    drift_at: float | None = None
    """Share of the span after which programs run `drift_factor` times as long."""
    drift_factor: float = 2.0


_DEFAULT_SHAPE = WorkloadShape()


def generate_jobs(jobs: int, seed: int, shape: WorkloadShape = _DEFAULT_SHAPE) -> pl.DataFrame:
    """A log of finished jobs (`JOB_SCHEMA`), by submit time. The same seed gives the same log."""
    rng = np.random.default_rng(seed)
    submit = _submit_times(rng, jobs, shape)
    arrays = np.unique(submit, return_inverse=True)[1]
    programs = _Programs.make(rng, shape)
    user_of_array = np.minimum(rng.zipf(1.4, arrays.max() + 1), shape.users) - 1
    program_of_array = (
        user_of_array * shape.programs_a_user
        + np.minimum(rng.geometric(0.45, len(user_of_array)), shape.programs_a_user)
        - 1
    )
    user, program = user_of_array[arrays], program_of_array[arrays]
    runtime = programs.runtime_s[program] * np.exp(rng.normal(0, _NOISE, jobs))
    if shape.drift_at is not None:
        drifted = submit >= _EPOCH_S + shape.drift_at * shape.days * DAY_S
        runtime = np.where(drifted, runtime * shape.drift_factor, runtime)
    failed = rng.random(jobs) < shape.failed_share
    runtime = np.where(failed, runtime * rng.random(jobs), runtime)
    limit = programs.time_req_s[program]
    timeout = runtime >= limit
    runtime = np.maximum(np.round(np.minimum(runtime, limit)), 1.0)
    start = submit + np.round(rng.exponential(HOUR_S / 2, jobs))
    state = np.where(timeout, "TIMEOUT", np.where(failed, "FAILED", "COMPLETED"))
    frame = pl.DataFrame(
        {
            "submit_time": submit,
            "processors_req": programs.processors[program],
            "nodes_req": np.ceil(programs.processors[program] / _CORES_A_NODE),
            "mem_req": programs.mem_mb[program],
            "gpus_req": programs.gpus[program],
            "time_req": limit,
            "partition": programs.partition[program],
            "qos": programs.qos[program],
            "user": np.char.add("user", user.astype(str)),
            "account": np.char.add("project", (user % max(shape.users // 5, 1)).astype(str)),
            "job_name": np.char.add("job", program.astype(str)),
            "job_id": np.arange(1, jobs + 1).astype(str),
            "start_time": start,
            "end_time": start + runtime,
            "runtime": runtime,
            "state": state,
        }
    )
    absent = (pl.lit(None).alias(name) for name in JOB_SCHEMA if name not in frame.columns)
    return frame.with_columns(absent).cast(dict(JOB_SCHEMA)).select(list(JOB_SCHEMA))  # type: ignore[arg-type]


@dataclass(frozen=True)
class _Programs:
    """Programs of users, what each asks for and takes; arrays of one entry a program."""

    processors: NDArray[np.float64]
    mem_mb: NDArray[np.float64]
    gpus: NDArray[np.float64]
    time_req_s: NDArray[np.float64]
    runtime_s: NDArray[np.float64]
    partition: NDArray[np.str_]
    qos: NDArray[np.str_]

    @classmethod
    def make(cls, rng: np.random.Generator, shape: WorkloadShape) -> "_Programs":
        count = shape.users * shape.programs_a_user
        runtime = np.exp(rng.normal(7.5, 2.0, count)).clip(5, 5 * DAY_S)
        wanted = runtime * np.exp(rng.normal(1.0, 0.8, count))
        index = np.searchsorted(_ROUND_LIMITS_S, wanted).clip(0, len(_ROUND_LIMITS_S) - 1)
        processors = rng.choice(_SIZES, count)
        gpus = np.where(rng.random(count) < 0.1, rng.integers(1, 9, count), 0)
        partition = np.where(gpus > 0, "gpu", rng.choice(_PARTITIONS, count))
        return cls(
            processors=processors,
            mem_mb=processors * rng.choice(_MEMORY_MB, count),
            gpus=gpus.astype(np.float64),
            time_req_s=_ROUND_LIMITS_S[index],
            runtime_s=runtime,
            partition=partition,
            qos=rng.choice(_QOS, count, p=[0.8, 0.1, 0.1]),
        )


def _submit_times(rng: np.random.Generator, jobs: int, shape: WorkloadShape) -> NDArray[np.float64]:
    """Whole seconds in ascending order; jobs of one array share theirs."""
    arrays = max(int(jobs / shape.mean_array_jobs), 1)
    day = rng.integers(0, max(int(shape.days), 1), arrays) * DAY_S
    second = (rng.normal(14.0, 4.0, arrays) % 24) * HOUR_S
    starts = np.sort(np.round(_EPOCH_S + day + second))
    extra = rng.choice(arrays, jobs - arrays) if jobs > arrays else np.empty(0, dtype=np.int64)
    return np.sort(np.concatenate([starts, starts[extra]]))[:jobs]
