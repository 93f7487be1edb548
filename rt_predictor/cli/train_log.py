"""Reads the job logs that a model is trained or evaluated on, and says what was read."""

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from rt_predictor.cli.options import LogFormat
from rt_predictor.cli.train_screen import Steps
from rt_predictor.traces import ReadOptions, Trace, TraceFormat, read_traces


def read_log(traces: Sequence[Path], format_: LogFormat | None, options: ReadOptions) -> Trace:
    """Reads logs of one system as one, with a progress bar; a summary goes to stderr.

    Raises TraceError saying which log cannot be read, and why.
    """
    with Steps() as steps:
        log = read_traces(
            traces,
            format=TraceFormat(format_.value) if format_ else None,
            options=options,
            progress=lambda share: steps.show("reading", share),
        )
    show_log(log)
    return log


def log_names(log: Trace) -> list[str]:
    """Names of the files of a log."""
    return [path.name for path in (log.path, *log.more_paths)]


def show_log(log: Trace) -> None:
    """What was read, and what was left out."""
    console = Console(stderr=True, soft_wrap=True, highlight=False, markup=False)
    console.print(f"read {len(log.jobs):,} finished jobs from {log.lines:,} records")
    for reason, count in log.skipped.items():
        console.print(f"  left out: {reason}: {count:,}")
    if log.malformed_count:
        console.print(f"  left out: malformed: {log.malformed_count:,}, e.g. {log.malformed[0]}")
    for note in log.notes:
        console.print(f"  note: {note}")
