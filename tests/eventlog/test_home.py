"""The home cluster in a log: what had come in under its name is renamed, once."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import polars as pl
import pytest

from rt_predictor.eventlog.files import open_log
from rt_predictor.eventlog.removing import Selection
from rt_predictor.eventlog.sqlite import SQLiteEventLog
from rt_predictor.jobs.event_kind import EventKind
from rt_predictor.jobs.events import QUARANTINE
from tests.eventlog.events import an_event, some_kinds


@pytest.fixture
def log(tmp_path: Path) -> Iterator[SQLiteEventLog]:
    with closing(open_log(tmp_path / "history.sqlite")) as log:
        yield log


def named(events: pl.DataFrame, cluster: str | None) -> pl.DataFrame:
    return events.with_columns(pl.lit(cluster, pl.String).alias("cluster"))


def read(log: SQLiteEventLog) -> pl.DataFrame:
    return log.read_after(0, 1000).events


def test_what_came_in_under_the_name_is_as_if_it_had_come_without(log: SQLiteEventLog) -> None:
    events = some_kinds(20)
    log.append(named(events[:30], "alpha"))
    log.append(named(events[30:], None))
    before = log.log_id
    assert log.take_home("alpha") == 30
    assert log.log_id == log.read_after(0, 1).log_id != before
    assert read(log).equals(named(events, None))
    assert log.append(named(events, None)).duplicates == 60


def test_it_is_done_once(log: SQLiteEventLog) -> None:
    log.append(named(some_kinds(5), "alpha"))
    log.take_home("alpha")
    before = log.log_id
    assert log.take_home("alpha") == 0
    assert log.log_id == before


def test_other_clusters_keep_their_names(log: SQLiteEventLog) -> None:
    events = named(some_kinds(5), "beta")
    log.append(events)
    before = log.log_id
    assert log.take_home("alpha") == 0
    assert log.log_id == before
    assert read(log).equals(events)


@pytest.mark.parametrize("kind", EventKind)
@pytest.mark.parametrize("first", ["alpha", None])
def test_an_event_that_came_in_both_ways_is_one(
    log: SQLiteEventLog, kind: EventKind, first: str | None
) -> None:
    event = an_event(kind)
    second = None if first else "alpha"
    log.append(named(event, first))
    log.append(named(event, second))
    assert log.count() == 2
    log.take_home("alpha")
    assert read(log).equals(named(event, None))
    assert log.count_conflicts() == 0
    assert log.append(named(event, None)).duplicates == 1


def test_what_contradicts_itself_under_both_names_is_kept_apart(log: SQLiteEventLog) -> None:
    log.append(named(an_event(EventKind.STARTED, user="ann"), "alpha"))
    log.append(named(an_event(EventKind.STARTED, user="bob"), None))
    log.take_home("alpha")
    assert read(log)["user"].to_list() == ["bob"]
    assert log.count_conflicts() == 1


def test_what_another_client_said_is_renamed_too(log: SQLiteEventLog) -> None:
    for client in ("bad", "good"):
        log.append(named(an_event(client=client), "alpha"))
    log.take_home("alpha")
    assert log.remove(Selection(client="bad")).restored == 1
    assert read(log).select("client", "cluster").row(0) == ("good", None)


def test_doubtful_events_stay_doubtful(log: SQLiteEventLog) -> None:
    doubtful = an_event(EventKind.ENDED).with_columns(pl.lit("why").alias(QUARANTINE))
    log.append(named(doubtful, "alpha"))
    log.take_home("alpha")
    assert len(read(log)) == 0
    held = log.quarantined(Selection(quarantined=True))
    assert held["cluster"].to_list() == [None]
