"""Output of `squeue --json`: one JSON document of all jobs of a cluster.

https://slurm.schedmd.com/squeue.html#OPT_json. Slurm 22.05 and older write numbers plainly, with
null for those not set; newer ones (data_parser v0.0.39 and later) as {"set", "infinite", "number"},
and from v0.0.40 times too, and states as lists. `scontrol show jobs --json` prints the same.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl

from rt_predictor.errors import TraceError
from rt_predictor.jobs.rules import encodable
from rt_predictor.traces import expressions as read
from rt_predictor.traces.source import last_line_end, text_blocks, written_s
from rt_predictor.traces.trace import RequestLog

_NUMBERS = (
    "submit_time",
    "time_limit",
    "cpus",
    "tasks",
    "node_count",
    "memory_per_node",
    "memory_per_cpu",
    "start_time",
    "restart_cnt",
    "suspend_time",
    "pre_sus_time",
)
_IDS = ("job_id", "array_job_id", "array_task_id", "het_job_id")
_TEXTS = (
    "partition",
    "qos",
    "user_name",
    "account",
    "name",
    "tres_req_str",
    "tres_per_job",
    "tres_per_node",
    "tres_per_task",
    "cluster",
)
_JOB_FIELDS = frozenset({"job_state", *_IDS, *_NUMBERS, *_TEXTS})
_NUMBER_FIELDS = frozenset({"set", "infinite", "number"})
_SACCT_FIELDS = frozenset({"required", "steps", "association"})
_PARENTS = ("array_job_id", "het_job_id")
_NO_VALUE = 0xFFFF_FFFE
"""Numbers of Slurm for "not set", and one more for "infinite": old versions print them."""
_SCHEMA: Mapping[str, type[pl.DataType]] = {
    **dict.fromkeys(_IDS, pl.String),
    "job_state": pl.String,
    "malformed": pl.String,
    **dict.fromkeys(_NUMBERS, pl.Float64),
    **dict.fromkeys(_TEXTS, pl.String),
}


def read_squeue(path: Path) -> RequestLog:
    """Read the jobs of the document, in its order; arrays that wait are one job.

    Raises TraceError where it is not such a document.
    """
    text = b"".join(text_blocks(path, cut=last_line_end, progress=None))
    document = _document(path, text)
    jobs = _jobs_of(path, document)
    told_s = _told_s(document) or written_s(path)
    rows = pl.DataFrame([_row(job) for job in jobs], schema=_SCHEMA)
    return RequestLog.of(_records(rows, told_s), told_s)


def _document(path: Path, text: bytes) -> object:
    try:
        return json.loads(text, object_pairs_hook=_shrunk)
    except ValueError as error:
        raise TraceError(
            f"{path} is not the JSON of `squeue --json`: {error}; is it cut short? (one JSON "
            "object a line is read with --format jsonl)"
        ) from error
    except RecursionError as error:
        raise TraceError(f"{path} is not the JSON of `squeue --json`: nested too deep") from error


def _shrunk(pairs: list[tuple[str, Any]]) -> Any:
    """An object as it is read: of a job only what is needed, since the rest is a hundred times it.

    A number becomes a plain one, or None where it is not set or infinite.
    """
    found = dict(pairs)
    if "number" in found and found.keys() <= _NUMBER_FIELDS:
        given = found.get("set", True) and not found.get("infinite", False)
        return found["number"] if given else None
    if "job_id" in found and not _SACCT_FIELDS & found.keys():
        return {name: value for name, value in found.items() if name in _JOB_FIELDS}
    return found


def _jobs_of(path: Path, document: object) -> list[object]:
    if not isinstance(document, dict) or not isinstance(document.get("jobs"), list):
        raise TraceError(
            f"{path} is not the JSON of `squeue --json`: it has no list named jobs; requests of "
            "your own go one JSON object a line, as jq -c prints them"
        )
    jobs: list[object] = document["jobs"]
    if not jobs and (errors := document.get("errors")):
        raise TraceError(f"{path} holds no jobs but an error of squeue: {_said(errors)}")
    if any(isinstance(job, dict) and job.keys() >= _SACCT_FIELDS for job in jobs):
        raise TraceError(f"{path} is from `sacct --json`: take `sacct -P`, or `squeue --json`")
    return jobs


def _told_s(document: object) -> float | None:
    """Return as of when a document tells, Unix s: newer versions of Slurm say so."""
    told = document.get("last_update") if isinstance(document, dict) else None
    return float(told) if isinstance(told, int | float) and told > 0 else None


def _said(errors: object) -> str:
    first = errors[0] if isinstance(errors, list) else errors
    if isinstance(first, dict):
        first = first.get("description") or first.get("error") or first
    return str(first)


def _row(job: object) -> dict[str, object]:
    """One row of `_SCHEMA`."""
    if not isinstance(job, dict):
        return {"malformed": f"the job is not a JSON object: {str(job)[:40]!r}"}
    row: dict[str, object] = {"job_state": _state(job)}
    for name in (*_IDS, *_TEXTS):
        row[name] = _text(job.get(name))
    for name in _NUMBERS:
        value = job.get(name)
        try:
            row[name] = _number(value)
        except (TypeError, ValueError, OverflowError):
            row.setdefault("malformed", f"{name} = {str(value)[:40]!r}: must be a number")
    return row


def _number(value: Any) -> float | None:
    # With the parser's flag "complex" infinite numbers are the words Infinity and NaN.
    if value is None or isinstance(value, bool):
        return None
    number = float(value)
    return number if number < _NO_VALUE else None


def _text(value: object) -> str | None:
    match value:
        case str():
            return encodable(value) or None
        case bool() | None:
            return None
        case int():
            return str(value)
        case _:
            return None


def _state(job: Mapping[str, object]) -> str | None:
    state = job.get("job_state")
    if isinstance(state, list):
        # The base state comes first, flags such as COMPLETING after it.
        return _text(state[0]) if state else None
    return _text(state)


def _records(jobs: pl.DataFrame, told_s: float) -> pl.DataFrame:
    """Return the fields in the columns and units of a job, of what is told at `told_s`, Unix s.

    What was asked for is in `tres_req_str`; `cpus` and the like are what a running job has got.
    """
    tres = pl.col("tres_req_str")
    asked = jobs.with_columns(
        processors_req=pl.coalesce(
            read.number(read.tres_amount(tres, "cpu")), _positive("cpus"), _positive("tasks")
        ),
        nodes_req=pl.coalesce(read.count(read.tres_amount(tres, "node")), _positive("node_count")),
    )
    nodes, processors = pl.col("nodes_req"), pl.col("processors_req")
    gpus = pl.coalesce(
        _positive(read.tres_gpus(tres)),
        read.requested_gpus(pl.col("tres_per_job")),
        read.requested_gpus(pl.col("tres_per_node")) * nodes,
        read.requested_gpus(pl.col("tres_per_task")) * pl.col("tasks"),
        pl.lit(0.0),
    )
    return asked.select(
        "malformed",
        "processors_req",
        "nodes_req",
        pl.lit(None, pl.String).alias("skipped"),
        _positive("submit_time"),
        pl.coalesce(
            read.memory_amount_mb(read.tres_amount(tres, "mem")),
            _positive("memory_per_node") * nodes,
            _positive("memory_per_cpu") * processors,
        ).alias("mem_req"),
        gpus.alias("gpus_req"),
        (_positive("time_limit") * read.MINUTE_S).alias("time_req"),
        "partition",
        "qos",
        pl.col("user_name").alias("user"),
        "account",
        pl.col("name").alias("job_name"),
        pl.coalesce(
            read.gpu_type(pl.col(name))
            for name in ("tres_req_str", "tres_per_job", "tres_per_node", "tres_per_task")
        ).alias("gpu_type"),
        "cluster",
        # 0 stands for "no such job"; the first task of an array has the number 0.
        *(pl.when(pl.col(name) != "0").then(name).alias(name) for name in _PARENTS),
        pl.when(pl.col("array_job_id") != "0").then("array_task_id").alias("array_task_id"),
        "job_id",
        "start_time",
        pl.col("restart_cnt").alias("attempt"),
        pl.col("job_state").alias("state"),
        _elapsed_s(told_s).alias("elapsed"),
        pl.lit(told_s).alias("as_of"),
    )


def _elapsed_s(told_s: float) -> pl.Expr:
    """How long jobs have run, without the time that they were suspended, as Slurm counts it."""
    before = pl.col("pre_sus_time").fill_null(0.0)
    since = pl.lit(told_s) - pl.coalesce(_positive("suspend_time"), _positive("start_time"))
    resumed = pl.col("suspend_time") > 0
    return (
        pl.when(pl.col("job_state") == "SUSPENDED")
        .then("pre_sus_time")
        .when(resumed)
        .then(since.clip(0.0) + before)
        .otherwise(since.clip(0.0))
    )


def _positive(value: str | pl.Expr) -> pl.Expr:
    column = pl.col(value) if isinstance(value, str) else value
    return pl.when(column > 0).then(column)
