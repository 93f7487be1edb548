"""Doubtful events are kept and read by nobody, until an operator releases or drops them."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rt_predictor.eventlog.files import open_log
from rt_predictor.eventlog.port import Fate
from rt_predictor.eventlog.removing import Selection
from rt_predictor.eventlog.sqlite import SQLiteEventLog
from rt_predictor.jobs.event_kind import EventKind
from rt_predictor.jobs.events import EVENT_SCHEMA, QUARANTINE, with_doubts, with_origin
from tests.eventlog.events import an_event, some_kinds

ENDED = EventKind.ENDED
HELD = Selection(quarantined=True)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "history.sqlite"


@pytest.fixture
def log(path: Path) -> Iterator[SQLiteEventLog]:
    with closing(open_log(path)) as log:
        yield log


def doubted(events: pl.DataFrame, reason: str | None = "why") -> pl.DataFrame:
    return events.with_columns(pl.lit(reason, pl.String).alias(QUARANTINE))


def doubted_where(events: pl.DataFrame, some: list[bool]) -> pl.DataFrame:
    reasons = ["why" if one else None for one in some]
    return events.with_columns(pl.Series(QUARANTINE, reasons, pl.String))


def read(log: SQLiteEventLog, step: int = 1000) -> pl.DataFrame:
    """All that readers are given."""
    position, pieces = 0, [log.read_after(0, 0).events]
    while (tail := log.read_after(position, step)).position > position:
        position = tail.position
        pieces.append(tail.events)
    assert position == log.last_position()
    return pl.concat(pieces)


def test_doubtful_events_are_kept_counted_and_not_read(log: SQLiteEventLog) -> None:
    plain, doubtful = an_event(ENDED, job_id="1"), an_event(ENDED, job_id="2", client="epilog")
    appended = log.append(pl.concat([doubted(plain, None), doubted(doubtful)]))
    assert list(appended.fates) == [Fate.RECORDED, Fate.QUARANTINED]
    assert (appended.recorded, appended.quarantined, appended.duplicates) == (1, 1, 0)
    assert read(log).equals(plain)
    assert (log.count(), log.count_quarantined()) == (1, 1)
    held = log.quarantined(HELD)
    assert held.select(*EVENT_SCHEMA).equals(doubtful)
    assert held[QUARANTINE].to_list() == ["why"]


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.booleans(), min_size=60, max_size=60),
    st.lists(st.booleans(), min_size=60, max_size=60),
    st.integers(1, 30),
)
def test_a_log_of_which_some_is_released_is_the_log_that_never_doubted_it(
    tmp_path_factory: pytest.TempPathFactory, some: list[bool], released: list[bool], step: int
) -> None:
    folder = tmp_path_factory.mktemp("logs")
    events = with_origin(some_kinds(20), "epilog", 1e9)
    # By the job, since that is how a person chooses.
    chosen = {job for job, one in zip(events["job_id"].to_list(), released, strict=True) if one}
    left = [
        one and job not in chosen for one, job in zip(some, events["job_id"].to_list(), strict=True)
    ]
    with (
        closing(open_log(folder / "released")) as log,
        closing(open_log(folder / "plain")) as other,
    ):
        log.append(doubted_where(events, some))
        other.append(doubted_where(events, left))
        count = log.release(Selection(quarantined=True, job_ids=(*chosen,))) if chosen else 0
        assert count == sum(some) - sum(left)
        assert read(log, step).equals(read(other, step))
        assert read(log, step).equals(events.filter(~pl.Series(left)))
        assert log.last_position() == other.last_position() == 60
        assert log.count_by_kind() == other.count_by_kind()


def test_a_release_has_everything_folded_again_and_none_does_not(log: SQLiteEventLog) -> None:
    log.append(doubted(an_event(ENDED)))
    before = log.log_id
    assert log.release(Selection(quarantined=True, job_ids=("2",))) == 0
    assert log.log_id == before
    assert log.release(HELD) == 1
    assert log.log_id == log.read_after(0, 1).log_id != before
    assert (log.count(), log.count_quarantined()) == (1, 0)


def test_what_is_dropped_had_never_come_in(log: SQLiteEventLog) -> None:
    events = some_kinds(20)
    log.append(doubted_where(events, [place % 3 == 0 for place in range(60)]))
    assert log.remove(HELD).events == 20
    assert read(log).equals(events.filter(pl.int_range(pl.len()) % 3 != 0))
    assert log.count_quarantined() == 0
    assert log.append(doubted(events[:1])).quarantined == 1


def test_only_what_is_in_quarantine_is_dropped(log: SQLiteEventLog) -> None:
    log.append(an_event(ENDED, job_id="1", client="epilog"))
    log.append(doubted(an_event(ENDED, job_id="2", client="epilog")))
    log.append(doubted(an_event(ENDED, job_id="3", client="other")))
    selection = Selection(client="epilog", quarantined=True)
    assert log.count_selected(selection).events == 1
    assert log.remove(selection).events == 1
    assert log.quarantined(HELD)["job_id"].to_list() == ["3"]
    assert read(log)["job_id"].to_list() == ["1"]


def test_what_is_told_again_is_known(log: SQLiteEventLog) -> None:
    doubtful = doubted(an_event(ENDED, client="epilog"))
    log.append(doubtful)
    assert list(log.append(doubtful).fates) == [Fate.DUPLICATE]
    assert log.count_quarantined() == 1


def test_what_was_put_right_takes_the_place_of_what_is_dropped(log: SQLiteEventLog) -> None:
    right = an_event(ENDED, client="epilog", runtime=20.0)
    log.append(doubted(an_event(ENDED, client="epilog")))
    assert list(log.append(right).fates) == [Fate.CONFLICT]
    assert log.remove(HELD).restored == 1
    assert read(log).equals(right)


def test_what_another_client_said_stays_doubtful(log: SQLiteEventLog) -> None:
    log.append(doubted(an_event(ENDED, client="epilog")))
    log.append(doubted(an_event(ENDED, client="other")))
    assert log.remove(Selection(client="epilog", quarantined=True)).restored == 0
    assert log.quarantined(HELD)["client"].to_list() == ["other"]
    assert len(read(log)) == 0


def test_a_doubtful_end_of_a_job_whose_end_is_known_changes_nothing(log: SQLiteEventLog) -> None:
    log.append(an_event(ENDED))
    assert list(log.append(doubted(an_event(ENDED, runtime=40.0))).fates) == [Fate.CONFLICT]
    assert read(log)["runtime"].to_list() == [30.0]
    assert log.count_quarantined() == 0


def test_a_user_is_forgotten_in_quarantine_too(log: SQLiteEventLog) -> None:
    log.append(doubted(an_event(ENDED, user="ann")))
    assert log.remove(Selection(user="ann")).events == 1
    assert log.count_quarantined() == 0


def test_a_log_that_was_made_without_a_quarantine_gets_one(path: Path) -> None:
    events = some_kinds(5)
    with closing(open_log(path)) as log:
        log.append(events)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("DROP INDEX event_quarantine")
        for table in ("event", "version"):
            connection.execute(f"ALTER TABLE {table} DROP COLUMN {QUARANTINE}")
        connection.commit()
    with closing(open_log(path)) as log:
        assert read(log).equals(events)
        assert log.append(doubted(an_event(ENDED))).quarantined == 1
        assert read(log).equals(events)


def test_ends_long_over_an_enforced_limit_are_doubted() -> None:
    fields = {"end_time": 9e4, "event_time": 9e4, "time_req": 3600.0}
    long, short = (an_event(ENDED, runtime=runtime, **fields) for runtime in (7300.0, 7100.0))
    events = pl.concat([long, short, an_event(EventKind.STARTED, time_req=1.0)])
    found = with_doubts(events, limits_enforced=True)
    assert found[QUARANTINE].to_list() == ["long over an enforced limit", None, None]
    assert with_doubts(events, limits_enforced=False)[QUARANTINE].null_count() == 3
