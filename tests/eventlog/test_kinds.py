"""Events of all kinds: each is known by its identity, counted once, and keeps its place."""

from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

from rt_predictor.eventlog.files import open_log
from rt_predictor.eventlog.port import Fate
from rt_predictor.eventlog.sqlite import SQLiteEventLog
from rt_predictor.jobs.event_kind import EventKind
from tests.eventlog.events import an_event, counted, some_kinds

SUBMITTED, STARTED, ENDED, CANCELLED = EventKind


@pytest.fixture
def log(tmp_path: Path) -> Iterator[SQLiteEventLog]:
    log = open_log(tmp_path / "history.sqlite")
    yield log
    log.close()


def test_all_kinds_are_read_in_the_order_of_arrival(log: SQLiteEventLog) -> None:
    events = some_kinds(50)
    assert events["kind"].n_unique() == 3
    log.append(events[:70])
    log.append(events[70:])
    assert log.read_after(0, 1000).events.equals(events)
    assert log.last_position() == len(events)


@pytest.mark.parametrize("step", [1, 2, 7])
def test_all_kinds_are_read_in_pieces(log: SQLiteEventLog, step: int) -> None:
    events = some_kinds(30)
    log.append(events)
    position, pieces = 0, []
    while len((tail := log.read_after(position, step)).events):
        assert len(tail.events) <= step
        position = tail.position
        pieces.append(tail.events)
    assert pl.concat(pieces).equals(events)
    assert position == log.last_position()


def test_all_kinds_are_counted_once(log: SQLiteEventLog) -> None:
    events = some_kinds(30)
    assert counted(log.append(events[:60])) == (60, 0)
    assert counted(log.append(events[50:])) == (40 - 10, 10)
    assert counted(log.append(events)) == (0, 90)
    assert log.count_by_kind() == {"submitted": 30, "started": 30, "ended": 30}
    assert log.count_conflicts() == 0


def test_kinds_of_one_job_are_events_of_their_own(log: SQLiteEventLog) -> None:
    events = pl.concat([an_event(kind) for kind in EventKind])
    assert log.append(events).fates == bytes([Fate.RECORDED] * 4)
    assert log.append(events).fates == bytes([Fate.DUPLICATE] * 4)
    assert log.read_after(0, 9).events.equals(events)


@pytest.mark.parametrize("kind", EventKind)
@pytest.mark.parametrize("other", [{"cluster": "b"}, {"attempt": 1.0}, {"job_id": "2"}])
def test_another_cluster_attempt_or_id_is_another_job(
    log: SQLiteEventLog, kind: EventKind, other: dict[str, object]
) -> None:
    both = pl.concat([an_event(kind), an_event(kind, **other)])
    assert log.append(both).fates == bytes([Fate.RECORDED] * 2)
    assert log.append(both[::-1]).fates == bytes([Fate.DUPLICATE] * 2)
    assert log.read_after(0, 9).events.equals(both)


def test_no_attempt_is_the_first(log: SQLiteEventLog) -> None:
    log.append(an_event())
    assert log.append(an_event(attempt=0.0)).fates == bytes([Fate.DUPLICATE])


@pytest.mark.parametrize("kind", EventKind)
def test_the_first_stands_and_a_contradiction_is_kept(log: SQLiteEventLog, kind: EventKind) -> None:
    first, other = an_event(kind, mem_req=1.0, client="a"), an_event(kind, mem_req=2.0, client="b")
    appended = log.append(pl.concat([first, other, other]))
    assert appended.fates == bytes([Fate.RECORDED, Fate.CONFLICT, Fate.CONFLICT])
    assert (appended.recorded, appended.duplicates, appended.conflicts) == (1, 2, 2)
    assert log.read_after(0, 9).events.equals(first)
    assert log.count_conflicts() == 1


@pytest.mark.parametrize("kind", EventKind)
def test_who_says_less_or_more_contradicts_nothing(log: SQLiteEventLog, kind: EventKind) -> None:
    log.append(an_event(kind, mem_req=1.0, qos=None))
    again = an_event(kind, mem_req=None, qos="normal", client="b", arrived_s=9.0)
    assert log.append(again).fates == bytes([Fate.DUPLICATE])


def test_a_state_as_edition_1_0_wrote_it_contradicts_nothing(log: SQLiteEventLog) -> None:
    log.append(an_event(ENDED, state="CANCELLED by 1000"))
    assert log.append(an_event(ENDED, state="CANCELLED")).fates == bytes([Fate.DUPLICATE])
    assert log.append(an_event(ENDED, state="COMPLETED")).fates == bytes([Fate.CONFLICT])


@pytest.mark.parametrize("kind", EventKind)
def test_who_sent_an_event_and_all_else_is_kept(log: SQLiteEventLog, kind: EventKind) -> None:
    event = an_event(
        kind,
        client="epilog",
        arrived_s=99.5,
        cluster="alpha",
        attempt=2.0,
        array_job_id="7",
        array_task_id="3",
        het_job_id="8",
        gpu_type="a100",
        state="RUNNING",
    )
    log.append(event)
    assert log.read_after(0, 9).events.equals(event)
