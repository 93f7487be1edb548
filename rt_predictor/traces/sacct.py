"""Text that `sacct -P` prints: one record a line, "|" between the fields, a header line first.

https://slurm.schedmd.com/sacct.html
"""

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl

from rt_predictor.errors import TraceError
from rt_predictor.jobs.outcomes import Skip
from rt_predictor.traces import expressions as read
from rt_predictor.traces.detect import first_line, squeue_names
from rt_predictor.traces.records import complete_jobs, first_reason
from rt_predictor.traces.source import Progress, line_frames, read_head, written_s
from rt_predictor.traces.tally import Tally, read_notes, unread_notes
from rt_predictor.traces.trace import ReadOptions, RequestLog, Trace, TraceFormat

SACCT_FORMAT = (
    "JobID,JobIDRaw,User,Account,Partition,QOS,Submit,Start,End,ElapsedRaw,TimelimitRaw,ReqCPUS,"
    "ReqNodes,ReqMem,ReqTRES,State,JobName"
)
"""The fields to ask sacct for. JobName comes last, since it may contain "|"."""

_READ_FIELDS = frozenset(SACCT_FORMAT.lower().split(",")) | {
    "group",
    "elapsed",
    "timelimit",
    "ncpus",
    "alloccpus",
    "nnodes",
    "allocnodes",
    "alloctres",
    "cluster",
    "restarts",
    "suspended",
}
_KNOWN_FIELDS = _READ_FIELDS | {"exitcode", "nodelist", "uid", "gid", "eligible"}
_SEPARATOR = "|"
_REST = "_rest"
_OF_JOBS_ONLY = frozenset({"user", "partition", "qos", "timelimit", "timelimitraw"})
_MAYBE_STEPS = (
    "nothing tells job steps from jobs: each of them counts as a job unless sacct was run with -X; "
    "ask it for JobID too"
)
_TRES_LISTS = ("reqtres", "alloctres")
_ARRAY_TASK = r"^(\d+)_(\d+)$"
_HET_COMPONENT = r"^(\d+)\+\d+$"
"""Of a JobID; JobIDRaw has a number of its own for each."""
_UNKNOWN_TIME = frozenset({"UNKNOWN", "NONE", "N/A"})
_NO_MEMORY = frozenset({"UNKNOWN", "N/A", "?"})
_NO_SPAN = frozenset({"UNLIMITED", "PARTITION_LIMIT", "INVALID", "NOT_SET"})


def read_sacct(path: Path, options: ReadOptions, progress: Progress | None) -> Trace:
    """Read `sacct -P` (or -p) text: any fields in any order, times local to `options.timezone`.

    Fields are named by the header line, or by `options.fields` where there is none. Job steps and
    records of jobs that have not ended are skipped. A line with too many fields is malformed,
    unless JobName is the last field: it takes the rest, since names may contain "|".
    Raises TraceError.
    """
    layout = _Layout.of(path, options.fields)
    _check_outcome(path, layout.names)
    given = frozenset(f"{name}_time" for name in ("start", "end") if name in layout.names)
    tally = Tally(path, TraceFormat.SACCT, options)
    for data in _data_lines(path, layout, progress):
        records = _records(data, layout, options.timezone)
        tally.add(complete_jobs(records, given=given), data.select("text"))
    unread = [name for name in layout.names if name not in _READ_FIELDS]
    jobs = tally.jobs()
    notes = [*read_notes(unread, jobs)]
    if not layout.tells_steps:
        notes.append(_MAYBE_STEPS)
    return tally.trace(jobs, tuple(notes))


def read_sacct_requests(path: Path, options: ReadOptions, progress: Progress | None) -> RequestLog:
    """Read what `sacct -P` text says of jobs at their submit, whether they have ended or not.

    As `read_sacct`, but needs no field of an outcome: jobs that wait have none.
    Raises TraceError.
    """
    layout = _Layout.of(path, options.fields)
    frames = [
        _records(data, layout, options.timezone) for data in _data_lines(path, layout, progress)
    ]
    records = pl.concat(frames).with_columns(elapsed="runtime")
    log = RequestLog.of(records, written_s(path))
    unread = [name for name in layout.names if name not in _READ_FIELDS]
    return replace(log, notes=tuple(unread_notes(unread, log.jobs)))


def _data_lines(path: Path, layout: "_Layout", progress: Progress | None) -> Iterator[pl.DataFrame]:
    """The lines of a log that hold records: `line` and `text`."""
    for lines in line_frames(path, progress):
        # Logs glued together repeat the header.
        yield lines.filter(
            (pl.col("text") != "") & (pl.col("text").str.strip_chars() != layout.header)
        )


@dataclass(frozen=True)
class _Layout:
    """The names of a file's fields, in lower case; `header` is "" where there is no such line."""

    names: tuple[str, ...]
    header: str
    ends_with_separator: bool

    @classmethod
    def of(cls, path: Path, fields: tuple[str, ...]) -> "_Layout":
        """Find the names. Raises TraceError where there are none, or one comes twice."""
        line = first_line(read_head(path))
        if squeue_names(line) is not None:
            raise TraceError(
                f"{path} is text of squeue, not of sacct: take `squeue --json`, or sacct with -P "
                f"--format={SACCT_FORMAT}"
            )
        names = _names(line.removesuffix(_SEPARATOR).split(_SEPARATOR))
        is_header = len(_KNOWN_FIELDS.intersection(names)) >= 2
        if len(_KNOWN_FIELDS.intersection(_names(line.split()))) >= 2:
            raise TraceError(
                f"{path} was printed by sacct without -P: run it with -P --format={SACCT_FORMAT}"
            )
        if not is_header and not fields:
            raise TraceError(
                f"{path} has no header line (first line {line[:80]!r}): name its fields with "
                "--fields, e.g. --fields JobIDRaw,User,Submit,..., or run sacct without -n"
            )
        names = names if is_header else _names(fields)
        _check_names(path, names)
        return cls(names, line if is_header else "", _has_extra_end(line, names))

    @property
    def has_ids(self) -> bool:
        """Return whether records name their job."""
        return not {"jobid", "jobidraw"}.isdisjoint(self.names)

    @property
    def tells_steps(self) -> bool:
        """Return whether anything tells steps from jobs."""
        return self.has_ids or not _OF_JOBS_ONLY.isdisjoint(self.names)

    def says_nothing_of_the_job(self) -> pl.Expr:
        """Return whether a record has none of what sacct prints for jobs and not for their
        steps."""
        if not self.tells_steps:
            return pl.lit(value=False)
        return pl.all_horizontal(self.text(name).is_null() for name in _OF_JOBS_ONLY)

    def labels(self) -> list[str]:
        """Column names. Fields that nobody reads may come twice: their index tells them apart."""
        return [
            name if name in _READ_FIELDS else f"field {at}" for at, name in enumerate(self.names, 1)
        ]

    def texts(self, but: Collection[str]) -> list[str]:
        """The fields of the file that are read, except these."""
        return [name for name in self.names if name in _READ_FIELDS and name not in but]

    def text(self, *names: str) -> pl.Expr:
        """The first of these fields that the file has and that is not empty, as text."""
        present = (pl.col(name) for name in names if name in self.names)
        return pl.coalesce(*present, pl.lit(None, pl.String))

    def number(self, *names: str) -> pl.Expr:
        """The first of these that the file has and that is not empty, as it was read."""
        return pl.coalesce(*self._values(names), pl.lit(None, pl.Float64))

    def positive(self, *names: str) -> pl.Expr:
        """The first of these that the file has and that is above 0, which is "not requested"."""
        values = (pl.when(value > 0).then(value) for value in self._values(names))
        return pl.coalesce(*values, pl.lit(None, pl.Float64))

    def _values(self, names: Iterable[str]) -> list[pl.Expr]:
        # "reqtres.cpu" is what the field ReqTRES says of cpu.
        return [pl.col(_value(name)) for name in names if name.partition(".")[0] in self.names]


def _names(words: Iterable[str]) -> tuple[str, ...]:
    # "JobName%30" is how a width is asked for.
    return tuple(word.strip().partition("%")[0].lower() for word in words)


def _has_extra_end(line: str, names: tuple[str, ...]) -> bool:
    """Return whether lines end with a separator, as `sacct -p` prints them."""
    return line.endswith(_SEPARATOR) and line.count(_SEPARATOR) == len(names)


def _check_names(path: Path, names: tuple[str, ...]) -> None:
    twice = sorted({name for name in names if names.count(name) > 1 and name in _READ_FIELDS})
    if twice:
        raise TraceError(f"{path}: the field {twice[0]!r} is named twice")


def _check_outcome(path: Path, names: tuple[str, ...]) -> None:
    has = set(names)
    elapsed = bool(has & {"elapsed", "elapsedraw"})
    placed = {"start", "end"} <= has or (elapsed and bool(has & {"start", "end"}))
    if "submit" not in has or not placed:
        raise TraceError(
            f"{path} needs the fields Submit, and two of Start, End and Elapsed; it has "
            f"{', '.join(names)}: run sacct with -P --format={SACCT_FORMAT}"
        )


@dataclass(frozen=True)
class _Reader:
    """Conversion of one field's text to a number; `missing` are the words for none."""

    read: Callable[[pl.Expr], pl.Expr]
    kind: str
    missing: frozenset[str] = frozenset()


def _readers(timezone: str) -> dict[str, _Reader]:
    time = _Reader(lambda text: read.timestamp_s(text, timezone), "a time", _UNKNOWN_TIME)
    count = _Reader(read.count, "a count")
    span = "a time span"
    return {
        "submit": time,
        "start": time,
        "end": time,
        "elapsed": _Reader(lambda text: read.span_s(text, 1.0), span, _NO_SPAN),
        "elapsedraw": _Reader(read.number, span, _NO_SPAN),
        "suspended": _Reader(lambda text: read.span_s(text, 1.0), span, _NO_SPAN),
        "timelimit": _Reader(lambda text: read.span_s(text, read.MINUTE_S), span, _NO_SPAN),
        "timelimitraw": _Reader(
            lambda text: read.number(text) * read.MINUTE_S, "a number of minutes", _NO_SPAN
        ),
        "reqcpus": count,
        "ncpus": count,
        "alloccpus": count,
        "reqnodes": count,
        "nnodes": count,
        "allocnodes": count,
        "restarts": count,
        "reqmem": _Reader(read.memory_amount_mb, "an amount of memory", _NO_MEMORY),
    }


def _records(data: pl.DataFrame, layout: _Layout, timezone: str) -> pl.DataFrame:
    """A record frame from the lines of a log, as far as the texts say."""
    readers = {name: reader for name, reader in _readers(timezone).items() if name in layout.names}
    # Lazy, so that Polars finds what the expressions share.
    texts = _split(data.lazy(), layout).with_columns(
        *(pl.when(pl.col(name) != "").then(pl.col(name)) for name in layout.texts(readers)),
        *(read.words_to_null(pl.col(name), reader.missing) for name, reader in readers.items()),
    )
    values = texts.with_columns(
        *(reader.read(pl.col(name)).alias(_value(name)) for name, reader in readers.items()),
        *(
            amount.alias(_value(name))
            for tres in _TRES_LISTS
            if tres in layout.names
            for name, amount in _tres_amounts(tres).items()
        ),
    ).with_columns(
        processors_req=layout.positive("reqcpus", "ncpus", "alloccpus", *_in_tres("cpu")),
        nodes_req=layout.positive("reqnodes", "nnodes", "allocnodes", *_in_tres("node")),
    )
    unread = first_reason(
        (
            pl.col(name).is_not_null() & pl.col(_value(name)).is_null(),
            f"{name} is not {reader.kind}",
        )
        for name, reader in readers.items()
    )
    shown_id = layout.text("jobid", "jobidraw")
    is_step = shown_id.str.contains(".", literal=True)
    if not layout.has_ids:
        is_step = layout.says_nothing_of_the_job()
    records = values.with_columns(_whole_job_memory(layout)).select(
        "line",
        pl.coalesce("malformed", unread).alias("malformed"),
        pl.when(is_step).then(pl.lit(Skip.JOB_STEP.value)).alias("skipped"),
        "processors_req",
        "nodes_req",
        submit_time=layout.number("submit"),
        mem_req=layout.positive("reqmem", *_in_tres("mem")),
        gpus_req=layout.number(*_in_tres("gpu")),
        time_req=layout.positive("timelimitraw", "timelimit"),
        partition=layout.text("partition"),
        qos=pl.when(layout.text("qos") != "Unknown").then(layout.text("qos")),
        user=layout.text("user"),
        account=layout.text("account", "group"),
        job_name=layout.text("jobname"),
        cluster=layout.text("cluster"),
        array_job_id=shown_id.str.extract(_ARRAY_TASK, 1),
        array_task_id=shown_id.str.extract(_ARRAY_TASK, 2),
        het_job_id=shown_id.str.extract(_HET_COMPONENT, 1),
        gpu_type=read.gpu_type(layout.text(*_TRES_LISTS)),
        job_id=layout.text("jobidraw", "jobid"),
        start_time=layout.number("start"),
        end_time=layout.number("end"),
        runtime=layout.number("elapsedraw", "elapsed"),
        state=layout.text("state"),
        attempt=layout.number("restarts"),
        suspended=layout.number("suspended"),
    )
    return records.collect()


def _tres_amounts(tres: str) -> dict[str, pl.Expr]:
    """Return the amounts in a TRES list as value columns, for where a field is absent or 0."""
    text = pl.col(tres)
    return {
        f"{tres}.cpu": read.number(read.tres_amount(text, "cpu")),
        f"{tres}.node": read.count(read.tres_amount(text, "node")),
        f"{tres}.mem": read.memory_amount_mb(read.tres_amount(text, "mem")),
        f"{tres}.gpu": read.tres_gpus(text),
    }


def _in_tres(resource: str) -> list[str]:
    return [f"{tres}.{resource}" for tres in _TRES_LISTS]


def _whole_job_memory(layout: _Layout) -> list[pl.Expr]:
    """ReqMem as an amount for the whole job, where the file has it."""
    if "reqmem" not in layout.names:
        return []
    amount, per = pl.col(_value("reqmem")), read.memory_per(pl.col("reqmem"))
    nodes, cpus = pl.col("nodes_req"), pl.col("processors_req")
    return [read.whole_job_mb(amount, per, nodes, cpus).alias(_value("reqmem"))]


def _split(data: pl.LazyFrame, layout: _Layout) -> pl.LazyFrame:
    """The fields of the lines as columns, `line`, and in `malformed` what is wrong with a line."""
    labels = layout.labels()
    text = pl.col("text")
    if layout.ends_with_separator:
        text = text.str.strip_suffix(_SEPARATOR)
    # One column more takes what is too much; as the last field, JobName takes it.
    rest = [] if labels[-1] == "jobname" else [_REST]
    split = text.str.splitn(_SEPARATOR, len(labels + rest)).struct.rename_fields(labels + rest)
    too_many = pl.any_horizontal(pl.lit(False), *(pl.col(name).is_not_null() for name in rest))
    structure = first_reason(
        (
            (too_many, f'more than {len(labels)} fields ("|" in a name? ask for JobName last)'),
            (pl.col(labels[-1]).is_null(), f"fewer than {len(labels)} fields"),
        )
    )
    fields = data.select("line", split.alias("fields")).unnest("fields")
    return fields.with_columns(structure.alias("malformed"))


def _value(name: str) -> str:
    return f"{name}:value"
