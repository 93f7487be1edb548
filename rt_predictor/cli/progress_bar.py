"""Progress of a command that reads a job log, and what was read, on stderr."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

from rt_predictor.cli.options import LogFormat
from rt_predictor.cli.words import counted, duration

if TYPE_CHECKING:
    from rt_predictor.traces import ReadOptions, Trace

_READING = 0.1
"""Share of a run that reading the log is taken for."""

_SURE = 0.03
"""Share of a run after which the time that is left can be told."""


class ProgressBar:
    """One bar for a whole run with the time that is left, on a terminal; nothing in a pipe."""

    def __init__(self, reading: float = _READING) -> None:
        """Take reading the log for this share of the run."""
        console = Console(stderr=True)
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("{task.fields[left]}"),
            console=console,
            disable=not console.is_terminal,
        )
        self._task = self._progress.add_task("", total=1.0, left="")
        self._started_s = time.monotonic()
        self._before = 0.0
        self._reading = reading

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._progress.stop()

    def read(
        self, traces: Sequence[Path], format_: LogFormat | None, options: "ReadOptions"
    ) -> "Trace":
        """Read logs of one system as one; what comes after takes the rest of the bar.

        Raises TraceError saying which log cannot be read, and why.
        """
        from rt_predictor.traces import TraceFormat, read_traces

        log = read_traces(
            traces,
            format=TraceFormat(format_.value) if format_ else None,
            options=options,
            progress=lambda share: self.show("reading", share * self._reading),
        )
        self._before = self._reading
        return log

    def show(self, step: str, share: float) -> None:
        """Tell which step is at hand, and what share (0 to 1) of the run is done."""
        done = self._before + share * (1 - self._before)
        passed_s = time.monotonic() - self._started_s
        left = f"{duration(passed_s * (1 - done) / done)} left" if _SURE < done < 1 else ""
        self._progress.update(self._task, description=step, completed=done, left=left)


def log_names(log: "Trace") -> list[str]:
    """Names of the files of a log."""
    return [path.name for path in (log.path, *log.more_paths)]


def show_log(log: "Trace", left_out: Mapping[str, int] | None = None) -> None:
    """Print on stderr what was read and left out: by default all that is no finished job."""
    console = Console(stderr=True, soft_wrap=True, highlight=False, markup=False)
    finished, records = counted(len(log.jobs), "finished job"), counted(log.lines, "record")
    console.print(f"read {finished} from {records}")
    for reason, count in (log.skipped if left_out is None else left_out).items():
        console.print(f"  left out: {reason}: {count:,}")
    if log.malformed_count:
        console.print(f"  left out: malformed: {log.malformed_count:,}, e.g. {log.malformed[0]}")
    for note in log.notes:
        console.print(f"  note: {note}")
