"""Finished jobs from `sacct`, window by window."""

import asyncio
import json
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import polars as pl

from rt_predictor.durable_files import replace_file
from rt_predictor.errors import FeedError, NoJobsError, StartupError, TraceError
from rt_predictor.follow.command import check_is_there, run
from rt_predictor.follow.feed import Batch
from rt_predictor.jobs.schema import JOB_SCHEMA
from rt_predictor.traces import SACCT_FORMAT, ReadOptions, TraceFormat, read_trace

DEFAULT_OVERLAP_S = 3600.0
STATES = "CD,F,TO,OOM,CA,NF,PR,BF,DL"
"""Jobs that are over: completed, failed, timed out, out of memory, cancelled, lost with their node,
preempted, not booted, past their deadline."""
MAX_WINDOW_S = 86400.0
"""Time that one call of sacct looks at, so that neither it nor this process takes in a year."""
_KEY = ("job_id", "submit_time")
_MARK_FORMAT = 1
_READ = ReadOptions(max_malformed_share=1.0, may_be_empty=True, quotes=False)


class SacctFeed:
    """Asks sacct for the jobs that ended since it was asked last, and a while before that.

    Records may reach the accounting database late; `overlap_s` is how late. Jobs of the overlap
    that this process has seen recorded are not given again.

    Args:
        command: sacct and options of its own, e.g. ("sacct", "-M", "alpha").
        state: file that keeps how far this came.
        since_s: where to begin without one, Unix s.

    Raises StartupError where sacct is not there or the file cannot be read.
    """

    def __init__(
        self,
        command: Sequence[str],
        state: Path,
        since_s: float,
        overlap_s: float = DEFAULT_OVERLAP_S,
        clock: Callable[[], float] = time.time,
    ) -> None:
        check_is_there(
            command,
            "install Slurm's client programs, name another with --sacct, or follow a spool with "
            "--spool",
        )
        self._command = tuple(command)
        self._state = state
        self._overlap_s = overlap_s
        self._clock = clock
        self._until_s = mark_s if (mark_s := read_mark_s(state)) is not None else since_s
        self._window_end_s = self._until_s
        self._seen = pl.DataFrame(schema={name: JOB_SCHEMA[name] for name in (*_KEY, "end_time")})

    async def read(self) -> Batch:
        """The jobs of the next window. Raises FeedError."""
        now_s = self._clock()
        begin_s = self._until_s - self._overlap_s
        self._window_end_s = max(min(self._until_s + MAX_WINDOW_S, now_s), self._until_s)
        with tempfile.NamedTemporaryFile(prefix="rt-predictor-", suffix=".sacct") as file:
            await self._run(begin_s, self._window_end_s, file.fileno())
            found = await asyncio.to_thread(read_finished, Path(file.name), "the output of sacct")
        return replace(
            found,
            jobs=self._new(found.jobs),
            cancelled=self._new(found.cancelled),
            more=self._window_end_s < now_s,
        )

    def recorded(self, batch: Batch) -> None:
        """Go on to the next window. Raises FeedError."""
        self._until_s = self._window_end_s
        given = (jobs.select(self._seen.columns) for jobs in (batch.jobs, batch.cancelled))
        seen = pl.concat([self._seen, *given])
        self._seen = seen.filter(pl.col("end_time") >= self._until_s - 2 * self._overlap_s)
        write_mark_s(self._state, self._until_s)

    def _new(self, jobs: pl.DataFrame) -> pl.DataFrame:
        return jobs.join(self._seen, on=_KEY, how="anti", maintain_order="left")

    async def _run(self, begin_s: float, end_s: float, output: int) -> None:
        arguments = (
            *self._command, "-a", "-X", "-P", "-S", _local(begin_s), "-E", _local(end_s + 1),
            f"--state={STATES}", f"--format={SACCT_FORMAT}",
        )  # fmt: skip
        await run(arguments, output, "sacct")


def read_finished(path: Path, called: str) -> Batch:
    """The jobs of `sacct -P` text that are over.

    Raises TraceError, with `called` for the file, where it is no such text.
    """

    def reason_of(error: TraceError) -> str:
        return str(error).replace(str(path), called)

    if not path.stat().st_size:
        return Batch(pl.DataFrame(schema=JOB_SCHEMA))
    try:
        trace = read_trace(path, format=TraceFormat.SACCT, options=_READ)
    except NoJobsError as error:
        unread = (error.malformed, reason_of(error))
        return Batch(pl.DataFrame(schema=JOB_SCHEMA), unread, skipped=error.skipped)
    except TraceError as error:
        raise TraceError(reason_of(error)) from error
    reasons = "; ".join(str(line) for line in trace.malformed[:1])
    return Batch(
        trace.jobs,
        (trace.malformed_count, reasons),
        skipped=trace.skipped,
        cancelled=trace.cancelled,
    )


def _local(unix_s: float) -> str:
    return datetime.fromtimestamp(unix_s, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def read_mark_s(path: Path) -> float | None:
    """Return until when jobs are recorded, Unix s; None where nothing is known.

    Raises StartupError where the file cannot be read.
    """
    try:
        found = json.loads(path.read_text())
        if found["format"] != _MARK_FORMAT:
            raise ValueError(f"format {found['format']!r}")
        return float(found["recorded_until_s"])
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StartupError(
            f"cannot read {path} ({error}): delete it and say with --since where to begin; what is "
            "recorded already is not recorded twice"
        ) from error


def write_mark_s(path: Path, until_s: float) -> None:
    """Write until when jobs are recorded: all of the file, or nothing. Raises FeedError."""
    text = json.dumps({"format": _MARK_FORMAT, "recorded_until_s": until_s})
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(path, text.encode())
    except OSError as error:
        raise FeedError(f"cannot write {path}: {error.strerror or error}") from error
