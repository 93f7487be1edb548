"""Says what was read of the job logs that a model is trained or evaluated on."""

from rich.console import Console

from rt_predictor.traces import Trace


def log_names(log: Trace) -> list[str]:
    """Names of the files of a log."""
    return [path.name for path in (log.path, *log.more_paths)]


def show_log(log: Trace) -> None:
    """What was read, and what was left out, on stderr."""
    console = Console(stderr=True, soft_wrap=True, highlight=False, markup=False)
    console.print(f"read {len(log.jobs):,} finished jobs from {log.lines:,} records")
    for reason, count in log.skipped.items():
        console.print(f"  left out: {reason}: {count:,}")
    if log.malformed_count:
        console.print(f"  left out: malformed: {log.malformed_count:,}, e.g. {log.malformed[0]}")
    for note in log.notes:
        console.print(f"  note: {note}")
