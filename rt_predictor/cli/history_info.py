"""Contents of an event log, for people and programs."""

from dataclasses import dataclass
from pathlib import Path

from rt_predictor.cli.words import aligned, duration
from rt_predictor.errors import HistoryError
from rt_predictor.eventlog.files import logs_set_aside, open_log
from rt_predictor.eventlog.snapshots import snapshot_age_s


@dataclass(frozen=True)
class LogDescription:
    """An outcome log, and what lies beside it."""

    path: str
    events: int
    quarantined: int
    """Doubtful events, which are not among those."""
    bytes: int
    """Size of the log, with what is written ahead of it."""
    snapshot_age_s: float | None
    """None where there is no snapshot."""
    set_aside: tuple[str, ...]
    """Damaged logs that lie beside it."""


def describe_log(path: Path) -> LogDescription:
    """Look at a log. Raises HistoryError where there is none, or it cannot be read."""
    if not path.exists():
        raise HistoryError(f"there is no history log {path}: name another with --history")
    log = open_log(path)
    try:
        events, quarantined = log.count(), log.count_quarantined()
    finally:
        log.close()
    return LogDescription(
        path=str(path),
        events=events,
        quarantined=quarantined,
        bytes=_size(path),
        snapshot_age_s=snapshot_age_s(path),
        set_aside=tuple(file.name for file in logs_set_aside(path)),
    )


def _size(path: Path) -> int:
    ahead = path.with_name(f"{path.name}-wal")
    return path.stat().st_size + (ahead.stat().st_size if ahead.exists() else 0)


def log_lines(log: LogDescription) -> str:
    """The same in words."""
    age_s = log.snapshot_age_s
    rows = [
        ("log", log.path),
        ("events", f"{log.events:,}"),
        *([("quarantine", f"{log.quarantined:,}")] if log.quarantined else []),
        ("size", f"{log.bytes / 1e6:.1f} MB"),
        ("snapshot", "none" if age_s is None else f"{duration(age_s)} old"),
        *(("set aside", f"{name}: damaged") for name in log.set_aside),
    ]
    return aligned(rows)
