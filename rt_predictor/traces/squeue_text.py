"""Text of `squeue -o` with "|" between the fields: one job a line, a header line first.

https://slurm.schedmd.com/squeue.html#OPT_format. Text without separators is refused: names and
reasons may have blanks, and columns are cut to their width.
"""

from collections.abc import Mapping
from pathlib import Path

import polars as pl

from rt_predictor.errors import TraceError
from rt_predictor.jobs.states import CODES
from rt_predictor.traces import expressions as read
from rt_predictor.traces.detect import first_line, squeue_names
from rt_predictor.traces.records import first_reason
from rt_predictor.traces.source import line_frames, read_head, written_s
from rt_predictor.traces.tally import read_notes
from rt_predictor.traces.trace import ReadOptions, RequestLog

SQUEUE_FORMAT = "%i|%P|%q|%u|%a|%T|%V|%S|%M|%l|%C|%D|%m|%b|%j"
"""What to ask `squeue -o` for."""

_SEPARATOR = "|"
_READ: Mapping[str, str] = {
    "JOBID": "job_id",
    "PARTITION": "partition",
    "QOS": "qos",
    "USER": "user",
    "ACCOUNT": "account",
    "NAME": "job_name",
    "STATE": "state",
    "ST": "state",
    "SUBMIT_TIME": "submit_time",
    "START_TIME": "start_time",
    "TIME": "elapsed",
    "TIME_LIMIT": "time_req",
    "TIMELIMIT": "time_req",
    "CPUS": "processors_req",
    "NODES": "nodes_req",
    "MIN_MEMORY": "mem_req",
    "TRES_PER_NODE": "gpus_req",
    "GRES": "gpus_req",
    "CLUSTER": "cluster",
}
"""Header -> field. The headers of one field never come together, but for the states."""
_NUMBERS: Mapping[str, str] = {
    "submit_time": "a time",
    "start_time": "a time",
    "elapsed": "a time span",
    "time_req": "a time span",
    "processors_req": "a count",
    "nodes_req": "a count",
    "mem_req": "an amount of memory",
}
_NOTHING = frozenset(
    {"N/A", "(NULL)", "UNLIMITED", "NOT_SET", "INVALID", "PARTITION_LIMIT", "NONE", "UNKNOWN"}
)
_MEMORY_NOTE = (
    "MIN_MEMORY is taken to be for each node; squeue prints memory for each CPU alike, and --json "
    "tells them apart"
)


def read_squeue_text(path: Path, options: ReadOptions) -> RequestLog:
    """Read the jobs of the text, in its order; times are local to `options.timezone`.

    Raises TraceError where it is not such text, or has no separators.
    """
    header = first_line(read_head(path))
    names = _names(header, path)
    labels = [_READ.get(name, f"field {at}") for at, name in enumerate(names)]
    for at, label in enumerate(labels):
        if label in labels[:at]:
            if label != "state":
                raise TraceError(f"{path} has {names[at]} twice, or under two names")
            labels[at] = f"field {at}"
    lines = [_split(frame, labels, header) for frame in line_frames(path, None)]
    log = RequestLog.of(_records(pl.concat(lines), labels, options), written_s(path))
    unread = [name for name, label in zip(names, labels, strict=True) if label.startswith("field")]
    notes = [*read_notes(unread, log.jobs)]
    if "mem_req" in labels:
        notes.append(_MEMORY_NOTE)
    return RequestLog(log.jobs, log.steps, log.moments, tuple(notes))


def _names(header: str, path: Path) -> list[str]:
    names = squeue_names(header)
    if names is None or _SEPARATOR not in header:
        raise TraceError(
            f"{path} is not text of squeue with fields between |: take `squeue --json`, or "
            f"`squeue -o '{SQUEUE_FORMAT}'`"
        )
    return names


def _split(frame: pl.DataFrame, labels: list[str], header: str) -> pl.DataFrame:
    """The fields of the lines as columns of text, and in `malformed` what is wrong with a line."""
    rest = [] if labels[-1] == "job_name" else ["rest"]
    text = pl.col("text")
    data = frame.filter((text != "") & (text.str.strip_chars() != header))
    fields = text.str.splitn(_SEPARATOR, len(labels + rest)).struct.rename_fields(labels + rest)
    too_many = pl.any_horizontal(pl.lit(False), *(pl.col(name).is_not_null() for name in rest))
    wrong = first_reason(
        (
            (too_many, f'more than {len(labels)} fields ("|" in a name? ask for %j last)'),
            (pl.col(labels[-1]).is_null(), f"fewer than {len(labels)} fields"),
        )
    )
    texts = data.select(fields.alias("fields")).unnest("fields")
    return texts.with_columns(wrong.alias("malformed"), pl.col(labels).str.strip_chars())


def _records(texts: pl.DataFrame, labels: list[str], options: ReadOptions) -> pl.DataFrame:
    """Return the fields in the columns and units of a job."""
    known = [label for label in labels if not label.startswith("field")]
    texts = texts.with_columns(read.words_to_null(pl.col(name), _NOTHING) for name in known)
    numbers = [name for name in known if name in _NUMBERS]
    wanted = {name: _value(name, options.timezone) for name in numbers}
    unread = first_reason(
        (pl.col(name).is_not_null() & value.is_null(), f"{name} is not {_NUMBERS[name]}")
        for name, value in wanted.items()
    )
    values = texts.with_columns(malformed=pl.coalesce("malformed", unread), **wanted)
    nodes = pl.col("nodes_req") if "nodes_req" in known else pl.lit(None, pl.Float64)
    job_id = pl.col("job_id") if "job_id" in known else pl.lit(None, pl.String)
    gpus = pl.col("gpus_req") if "gpus_req" in known else pl.lit(None, pl.String)
    state = pl.col("state") if "state" in known else pl.lit(None, pl.String)
    return values.with_columns(
        pl.lit(None, pl.String).alias("skipped"),
        state.replace(CODES).alias("state"),
        read.gpu_type(gpus).alias("gpu_type"),
        (read.requested_gpus(gpus) * nodes).alias("gpus_req"),
        job_id.str.extract(r"^(\d+)_").alias("array_job_id"),
        job_id.str.extract(r"^\d+_(\d+)$").alias("array_task_id"),
        job_id.str.extract(r"^(\d+)\+\d+$").alias("het_job_id"),
        *([(pl.col("mem_req") * nodes).alias("mem_req")] if "mem_req" in known else []),
    )


def _value(name: str, timezone: str) -> pl.Expr:
    """The value of a number's text; null where it is none."""
    text = pl.col(name)
    match name:
        case "submit_time" | "start_time":
            return read.timestamp_s(text, timezone)
        case "elapsed":
            return read.span_s(text, 1.0)
        case "time_req":
            return read.span_s(text, read.MINUTE_S)
        case "mem_req":
            return read.memory_amount_mb(text)
        case "nodes_req":
            # A job that waits may ask for a range, "2-4": it may start with the least.
            return read.count(text.str.replace(r"-\d+[KMG]?$", ""))
    return read.count(text)
