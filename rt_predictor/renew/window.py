"""The window that a renewal learns from: the sound jobs that ended last.

What is in quarantine is in no window, and beside trusted clients a twentieth of it at most is what
one says that is not. Where none is trusted there is nobody to be bounded by.
"""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from rt_predictor.errors import HistoryError, StartupError
from rt_predictor.eventlog.files import open_log
from rt_predictor.eventlog.port import EventLog
from rt_predictor.jobs.event_kind import EventKind
from rt_predictor.jobs.events import EVENT_SCHEMA
from rt_predictor.jobs.identity import JOB_IDENTITY
from rt_predictor.jobs.schema import JOB_SCHEMA
from rt_predictor.online.influence import LEAST_SHARE, greatest_count
from rt_predictor.training.split import ran

_PIECE_EVENTS = 100_000
_EVENTS_A_JOB = 3
_LAST_FIRST = (EventKind.ENDED, EventKind.CANCELLED, EventKind.STARTED, EventKind.SUBMITTED)
_ATTEMPT = " attempt "
_KEY = (*(name for name in JOB_IDENTITY if name != "attempt"), _ATTEMPT)
_FIRST_ATTEMPT = pl.col("attempt").fill_null(0.0).alias(_ATTEMPT)


@dataclass(frozen=True)
class Window:
    """Window of history: the jobs that ended last."""

    jobs: pl.DataFrame
    """[n] `JOB_SCHEMA`; jobs that wait, run or never started are among them."""
    untrusted: int = 0
    """Jobs that are left out: those of a client that is not trusted, beyond its share"""

    @property
    def ended(self) -> int:
        """Jobs that can be learned from."""
        return int(ran(self.jobs).sum())


def check_log(path: Path) -> None:
    """Raise StartupError where there is no event log."""
    if not path.exists():
        raise StartupError(
            f"there is no history log {path}: start the service first, or set history.path"
        )


def read_events(path: Path, most_jobs: int) -> pl.DataFrame:
    """Read the events (`EVENT_SCHEMA`) of an event log that so many jobs need: the latest.

    Raises HistoryError where it cannot be read.
    """
    log = open_log(path)
    try:
        return _latest(log, most_jobs * _EVENTS_A_JOB)
    finally:
        log.close()


def _latest(log: EventLog, most: int) -> pl.DataFrame:
    """Read the events that happened last, at most so many; bounds memory to twice as many."""
    log_id, position = log.log_id, 0
    known = pl.DataFrame(schema=dict(EVENT_SCHEMA))
    pieces: list[pl.DataFrame] = []
    while True:
        tail = log.read_after(position, _PIECE_EVENTS)
        if tail.log_id != log_id:
            raise HistoryError("events were taken out of the history log meanwhile: try again")
        if tail.position == position:
            return pl.concat([known, *pieces])
        position = tail.position
        pieces.append(tail.events)
        if len(known) + sum(map(len, pieces)) > 2 * most:
            known = pl.concat([known, *pieces]).sort("event_time", maintain_order=True).tail(most)
            pieces = []


def window_of(events: pl.DataFrame, most_jobs: int, trusted: Collection[str]) -> Window:
    """Return the jobs of events that ended last, and what waits or runs beside them.

    Beside jobs of trusted clients, of what another says all but its latest twentieth of the whole
    is left out.

    Args:
        events: `EVENT_SCHEMA`, in any order; an event that is there again changes nothing.
        most_jobs: ended jobs at most.
        trusted: clients as events name them; those of which none is known are trusted too.
    """
    known = _newest(_known(events), most_jobs)
    has_ended = pl.col("kind") == EventKind.ENDED.value
    ended = known.filter(has_ended)
    bounded = _bounded(ended, trusted)
    jobs = pl.concat([bounded, known.filter(~has_ended)]).select(*JOB_SCHEMA)
    return Window(jobs.sort("submit_time", maintain_order=True), len(ended) - len(bounded))


def _known(events: pl.DataFrame) -> pl.DataFrame:
    """Return one row a job: its last event, which has from the earlier ones what it lacks."""
    keyed = events.with_columns(_FIRST_ATTEMPT)
    known, *earlier = (
        keyed.filter(pl.col("kind") == kind.value).unique(_KEY, keep="first", maintain_order=True)
        for kind in _LAST_FIRST
    )
    for others in earlier:
        known = _completed(known, others)
    return known.drop(_ATTEMPT)


def _completed(known: pl.DataFrame, earlier: pl.DataFrame) -> pl.DataFrame:
    """Return what is known of jobs with what events of an earlier kind tell beside it."""
    if known.is_empty() or earlier.is_empty():
        return pl.concat([known, earlier])
    both = known.join(
        earlier, on=_KEY, how="left", nulls_equal=True, suffix=" earlier", maintain_order="left"
    )
    merged = both.select(
        name if name in _KEY else pl.coalesce(name, f"{name} earlier") for name in known.columns
    )
    return pl.concat([merged, earlier.join(known, on=_KEY, how="anti", nulls_equal=True)])


def _newest(known: pl.DataFrame, most: int) -> pl.DataFrame:
    """Return the jobs that ended last, at most so many, and the others from their time on."""
    has_ended = pl.col("kind") == EventKind.ENDED.value
    ends = known.filter(has_ended)
    if len(ends) <= most:
        return known
    kept = ends.sort("event_time", maintain_order=True).tail(most)
    since_s = kept["event_time"][0]
    return pl.concat([kept, known.filter(~has_ended & (pl.col("event_time") >= since_s))])


def _bounded(ended: pl.DataFrame, trusted: Collection[str]) -> pl.DataFrame:
    """Leave out the earlier jobs of clients by whom too many are told beside trusted ones."""
    client = pl.col("client")
    doubtful = client.is_not_null() & ~client.is_in(list(trusted))
    doubted = ended.filter(doubtful)
    others = len(ended) - len(doubted)
    if doubted.is_empty() or not others:
        return ended
    counts = doubted["client"].value_counts()["count"].cast(pl.Float64).to_numpy()
    most = min(greatest_count(counts, LEAST_SHARE, float(others)), counts.max())
    latest_first = pl.col("event_time").rank("ordinal", descending=True).over("client")
    return pl.concat([ended.filter(~doubtful), doubted.filter(latest_first <= int(most))])
