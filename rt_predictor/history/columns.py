"""Jobs as columns of numbers: what history keeps of a job, and what an asked job is compared by.

One job alone and many at once give the same bits: logarithms have those of the C library
(`exact_logs`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache
from math import nan
from operator import itemgetter
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from rt_predictor.history.exact_logs import log1p_of, log1ps_of, log_of, logs_of
from rt_predictor.history.token_keys import KEY_FIELDS, key_ids_of, key_ids_of_all
from rt_predictor.history.value_ids import (
    NO_CODE,
    Ids,
    code_of,
    codes_of,
    frame_ids,
    hash_bytes,
    value_id,
)
from rt_predictor.jobs.identity import JOB_IDENTITY
from rt_predictor.jobs.schema import REQUEST_SCHEMA, WITHOUT_EFFECT, Row
from rt_predictor.jobs.states import Ending, endings, normal_states

Float = NDArray[np.float32]
Times = NDArray[np.float64]

COLUMNS: tuple[tuple[str, str, str], ...] = (
    ("runtime_s", "s", "runtime; missing until it has ended"),
    ("log_runtime", "log s", "the same, at least 1 s"),
    ("log_limit", "log s", "time limit"),
    ("log_cores", "log count", "cores of the whole job"),
    ("log_nodes", "log count", "nodes"),
    ("log_mem", "log (1 + MB)", "memory of the whole job"),
    ("log_gpus", "log (1 + count)", "GPUs of the whole job"),
    ("partition_id", "code", "partition"),
    ("qos_id", "code", "quality of service"),
    ("account_id", "code", "account"),
    ("user_id", "code", "user"),
    ("name_id", "code", "name of the job"),
    ("gpu_type_id", "code", "kind of GPU"),
    ("array_id", "code", "array or heterogeneous job that it belongs to"),
    ("request_id", "code", "cores and time limit together"),
    ("state", "code", "how it ended: `jobs.states.Ending`"),
)
"""Columns of a job, all float32: name, unit, what it says. A number that is missing is NaN, a code
that is missing 0."""

COLUMN: Mapping[str, int] = {name: column for column, (name, _, _) in enumerate(COLUMNS)}

RUNTIMES, STATE = slice(COLUMN["runtime_s"], COLUMN["log_limit"]), COLUMN["state"]
"""Columns that are known once a job has ended."""

REQUEST = slice(COLUMN["log_limit"], COLUMN["state"])
"""Columns that are known at its submit."""


class Told(IntEnum):
    """Kinds of events that tell of a job; what is told by several is their sum."""

    SUBMITTED = 1
    STARTED = 2
    ENDED = 4
    """Also that it was cancelled."""


TOLD_ALL = sum(Told)

GRACE_S = 86400.0
"""A running job without news counts as over so long after its limit."""

PATIENCE_S = 30 * 86400.0
"""A running job without a limit and without news counts as over so long after its start, a waiting
one so long after its submit."""

_PARENT, _PARENTS = "parent", ("array_job_id", "het_job_id")
# Fields in the order of their columns: `COLUMNS`.
_LOG_FIELDS = ("time_req", "processors_req", "nodes_req")
_LOG1P_FIELDS = ("mem_req", "gpus_req")
_CODE_FIELDS = ("partition", "qos", "account", "user", "job_name", "gpu_type", _PARENT)
_LOGS = slice(REQUEST.start, REQUEST.start + len(_LOG_FIELDS))
_LOG1PS = slice(_LOGS.stop, _LOGS.stop + len(_LOG1P_FIELDS))
_FIRST_CODE = COLUMN["partition_id"]
_CODE_PLACES = {name: column for column, name in enumerate(_CODE_FIELDS, _FIRST_CODE)}
_ID_FIELDS = tuple(sorted({*KEY_FIELDS, "processors_req", "time_req"}))
_MASK = 2**64 - 1
_REQUEST_FACTORS = tuple(hash_bytes(name) | 1 for name in (b"request/cores", b"request/limit"))
_IDENTITY_FACTORS = {name: hash_bytes(f"identity/{name}".encode()) | 1 for name in JOB_IDENTITY}
_FIRST_ATTEMPT = 0.0
"""Of a job whose attempt is missing."""

_ASKED_FIELDS = tuple(n for n in REQUEST_SCHEMA if n not in {*WITHOUT_EFFECT, "submit_time"})
_ASKED_VALUES = itemgetter(*_ASKED_FIELDS)
_CACHED_JOBS = 1 << 12
"""Asked jobs whose columns and keys are remembered: many are asked for again and again."""

_CACHED_VALUES = 1 << 14
"""Values of asked jobs whose columns are remembered."""

_PIECE = 1 << 18
"""Values that are Python objects at a time: bounds memory."""


@dataclass(frozen=True)
class JobColumns:
    """n jobs; what is not known of one is NaN."""

    submit_s: Times
    """[n] Unix s"""
    start_s: Times
    """[n]"""
    end_s: Times
    """[n]"""
    patience_s: Times
    """[n] how long after its start it counts as running without news"""
    ident: Ids
    """[n] hash of cluster, job id, submit time and attempt"""
    told: NDArray[np.uint8]
    """[n] what history is told of each: `Told`"""
    columns: Float
    """[n, len(COLUMNS)]"""
    keys: Ids
    """[n, len(TOKEN_KEYS)] ids of its keys"""

    def __len__(self) -> int:
        return len(self.submit_s)

    def part(self, jobs: slice | NDArray[np.integer]) -> "JobColumns":
        """Return some of the jobs."""
        return JobColumns(
            submit_s=self.submit_s[jobs],
            start_s=self.start_s[jobs],
            end_s=self.end_s[jobs],
            patience_s=self.patience_s[jobs],
            ident=self.ident[jobs],
            told=self.told[jobs],
            columns=self.columns[jobs],
            keys=self.keys[jobs],
        )

    def is_token(self) -> NDArray[np.bool_]:
        """Return which jobs can be tokens: [n], those that ended after they had run."""
        ran = self.columns[:, COLUMN["runtime_s"]] > 0
        return ran & (self.end_s > self.submit_s) & ((self.told & Told.ENDED) > 0)

    def says_request(self) -> NDArray[np.bool_]:
        """Return of which jobs anything is known that was asked for: [n]; others have no keys."""
        numbers = self.columns[:, REQUEST.start : _FIRST_CODE]
        codes = self.columns[:, _FIRST_CODE : COLUMN["request_id"]]
        return np.asarray(~np.isnan(numbers).all(axis=1) | (codes != NO_CODE).any(axis=1))


class AskedJob(NamedTuple):
    """The same of one job that is asked for, as cheap as can be."""

    submit_s: float
    columns: Float
    """[len(COLUMNS)]"""
    keys: tuple[int, ...]
    start_s: float = nan
    """NaN where it has not started"""


def job_columns(jobs: pl.DataFrame, told: int = TOLD_ALL) -> JobColumns:
    """Return n jobs as columns.

    Args:
        jobs: frame with the columns of `REQUEST_SCHEMA` or `JOB_SCHEMA`; null and NaN are missing.
            Any may be absent, but for cores, time limit and those of keys.
        told: what history is told of each, as far as the job has it: one without a start has none.
    """
    columns, keys = _requests(jobs)
    start_s, end_s = (_numbers(jobs, name) for name in ("start_time", "end_time"))
    runtime_s = _runtimes(jobs, start_s, end_s)
    columns[:, COLUMN["runtime_s"]] = runtime_s
    columns[:, COLUMN["log_runtime"]] = logs_of(np.maximum(runtime_s, 1.0))
    columns[:, COLUMN["state"]] = _states(jobs)
    limit_s = _numbers(jobs, "time_req")
    known = np.full(len(jobs), told, dtype=np.uint8)
    known[np.isnan(start_s)] &= np.uint8(TOLD_ALL ^ Told.STARTED)
    known[np.isnan(end_s)] &= np.uint8(TOLD_ALL ^ Told.ENDED)
    return JobColumns(
        submit_s=_numbers(jobs, "submit_time"),
        start_s=start_s,
        end_s=end_s,
        patience_s=np.where(np.isnan(limit_s), PATIENCE_S, limit_s + GRACE_S),
        ident=_idents(jobs),
        told=known,
        columns=columns,
        keys=keys,
    )


def asked_columns(jobs: pl.DataFrame) -> JobColumns:
    """Return n jobs that are asked for (`REQUEST_SCHEMA`) as columns: nobody is told of them."""
    columns, keys = _requests(jobs)
    columns[:, STATE] = Ending.UNKNOWN
    unknown = np.full(len(jobs), nan)
    return JobColumns(
        submit_s=_numbers(jobs, "submit_time"),
        start_s=unknown,
        end_s=unknown,
        patience_s=unknown,
        ident=np.zeros(len(jobs), dtype=np.uint64),
        told=np.zeros(len(jobs), dtype=np.uint8),
        columns=columns,
        keys=keys,
    )


def _requests(jobs: pl.DataFrame) -> tuple[Float, Ids]:
    """Return what n jobs ask for as columns, NaN where these say what became of them; and keys."""
    if parents := [name for name in _PARENTS if _says_something(jobs, name)]:
        jobs = jobs.with_columns(pl.coalesce(parents).alias(_PARENT))
    columns = np.full((len(jobs), len(COLUMNS)), nan, dtype=np.float32)
    columns[:, _LOGS] = logs_of(np.array([_numbers(jobs, name) for name in _LOG_FIELDS])).T
    columns[:, _LOG1PS] = log1ps_of(np.array([_numbers(jobs, name) for name in _LOG1P_FIELDS])).T
    told = {name: p for name, p in _CODE_PLACES.items() if _says_something(jobs, name)}
    ids = frame_ids(jobs.select(sorted({*_ID_FIELDS, *told})))
    cores, limit = (np.uint64(factor) for factor in _REQUEST_FACTORS)
    request = ids["processors_req"] * cores + ids["time_req"] * limit
    columns[:, _FIRST_CODE : COLUMN["request_id"]] = NO_CODE
    codes = codes_of(np.array([*(ids[name] for name in told), request]))
    for column, code in zip((*told.values(), COLUMN["request_id"]), codes, strict=True):
        columns[:, column] = code
    return columns, key_ids_of_all(ids)


def asked_job(row: Row) -> AskedJob:
    """Return one job that is asked for: the fields of `REQUEST_SCHEMA`, None where missing.

    The bits equal those of `asked_columns`.
    """
    submit_s = row.get("submit_time")
    columns, keys = _asked(*_ASKED_VALUES(row))
    return AskedJob(nan if submit_s is None else float(submit_s), columns, keys)


@lru_cache(maxsize=_CACHED_JOBS)
def _asked(*values: str | float | None) -> tuple[Float, tuple[int, ...]]:
    """Return the columns and keys of a job by its values of `_ASKED_FIELDS`."""
    row = dict(zip(_ASKED_FIELDS, values, strict=True))
    array = row["array_job_id"]
    row[_PARENT] = row["het_job_id"] if array is None else array
    numbers = [_log(row[name]) for name in _LOG_FIELDS]
    numbers += [_log1p(row[name]) for name in _LOG1P_FIELDS]
    codes = [_code(row[name]) for name in _CODE_FIELDS]
    request = _request_code(row["processors_req"], row["time_req"])
    columns = np.array([nan, nan, *numbers, *codes, request, Ending.UNKNOWN], np.float32)
    columns.flags.writeable = False
    return columns, key_ids_of(row)


@lru_cache(maxsize=_CACHED_VALUES)
def _code(value: str | None) -> float:
    return code_of(value_id(value))


@lru_cache(maxsize=_CACHED_VALUES)
def _request_code(cores: float | None, limit_s: float | None) -> float:
    a, b = _REQUEST_FACTORS
    return code_of(value_id(cores) * a + value_id(limit_s) * b & _MASK)


_log = lru_cache(maxsize=_CACHED_VALUES)(log_of)
_log1p = lru_cache(maxsize=_CACHED_VALUES)(log1p_of)


def _says_something(jobs: pl.DataFrame, name: str) -> bool:
    """Return whether any job has a value in a column that may not be there."""
    return name in jobs.columns and jobs.get_column(name).null_count() < len(jobs)


def _numbers(jobs: pl.DataFrame, name: str) -> Times:
    if name not in jobs.columns:
        return np.full(len(jobs), np.nan)
    return jobs.get_column(name).cast(pl.Float64).to_numpy()  # null becomes NaN


def _runtimes(jobs: pl.DataFrame, start_s: Times, end_s: Times) -> Times:
    """Return the runtimes; end less start where only these are known, and none before the end."""
    runtime_s = _numbers(jobs, "runtime")
    runtime_s = np.where(np.isnan(runtime_s), end_s - start_s, runtime_s)
    return np.where(np.isnan(end_s), np.nan, runtime_s)


def _states(jobs: pl.DataFrame) -> Float:
    if "state" not in jobs.columns:
        return np.full(len(jobs), float(Ending.UNKNOWN), dtype=np.float32)
    codes = jobs.select(endings(normal_states(pl.col("state"))).cast(pl.Float32))
    return codes.to_series().to_numpy()


def _idents(jobs: pl.DataFrame) -> Ids:
    idents = np.zeros(len(jobs), dtype=np.uint64)
    known = jobs.select(name for name in JOB_IDENTITY if name in jobs.columns)
    if "attempt" in known.columns:
        known = known.with_columns(known.get_column("attempt").fill_null(_FIRST_ATTEMPT))
    for name, factor in _IDENTITY_FACTORS.items():
        if name not in known.columns:
            value = _FIRST_ATTEMPT if name == "attempt" else None
            idents += np.uint64(value_id(value) * factor & _MASK)
    for first in range(0, len(jobs), _PIECE):
        piece = slice(first, first + _PIECE)
        for name, ids in frame_ids(known[piece]).items():
            idents[piece] += ids * np.uint64(_IDENTITY_FACTORS[name])
    return idents | np.uint64(1)  # 0 stands for no job
