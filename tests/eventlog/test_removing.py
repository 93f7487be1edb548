"""What is taken out is gone, as if it had never been there, and what was pruned stays out."""

from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rt_predictor.eventlog.files import open_log
from rt_predictor.eventlog.port import Fate
from rt_predictor.eventlog.removing import Removed, Selection
from rt_predictor.eventlog.sqlite import SQLiteEventLog
from rt_predictor.jobs.event_kind import EventKind
from rt_predictor.jobs.events import with_origin
from rt_predictor.traces.generate import generate_jobs
from tests.eventlog.edition_1_0 import Log10
from tests.eventlog.events import an_event, some_kinds

SUBMITTED, STARTED, ENDED, CANCELLED = EventKind


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "history.sqlite"


@pytest.fixture
def log(path: Path) -> Iterator[SQLiteEventLog]:
    log = open_log(path)
    yield log
    log.close()


def all_of(log: SQLiteEventLog, step: int = 1000) -> pl.DataFrame:
    position, pieces = 0, [log.read_after(0, 0).events]
    while len((tail := log.read_after(position, step)).events):
        position = tail.position
        pieces.append(tail.events)
    assert position == log.last_position()
    return pl.concat(pieces)


def test_what_a_client_sent_is_withdrawn(log: SQLiteEventLog) -> None:
    events = some_kinds(40)
    log.append(with_origin(events[:50], "good", 5.0))
    log.append(with_origin(events[50:90], "bad", 6.0))
    log.append(with_origin(events[90:], "good", 7.0))
    before = log.log_id
    assert log.count_selected(Selection(client="bad")).events == 40
    assert log.remove(Selection(client="bad")) == Removed(40, 0)
    assert log.log_id != before
    assert log.read_after(0, 1).log_id == log.log_id
    rest = with_origin(events[:50], "good", 5.0), with_origin(events[90:], "good", 7.0)
    assert all_of(log).equals(pl.concat(rest))
    assert [(one.client, one.events) for one in log.clients()] == [("good", 80)]
    again = with_origin(events[50:90], "good", 8.0)
    assert log.append(again).recorded == 40


@pytest.mark.parametrize(
    ("selection", "left"),
    [
        (Selection(user="ann"), ["3", "4"]),
        (Selection(user="ann", client="a"), ["2", "3", "4"]),
        (Selection(since_s=20.0), ["1"]),
        (Selection(since_s=20.0, until_s=30.0), ["1", "3", "4"]),
        (Selection(before_s=51.0), []),
        (Selection(client="c"), ["1", "2", "3", "4"]),
    ],
)
@pytest.mark.parametrize("kind", EventKind)
def test_events_are_selected_by_all_that_is_given(
    log: SQLiteEventLog, kind: EventKind, selection: Selection, left: list[str]
) -> None:
    for job_id, user, client, arrived_s in (
        ("1", "ann", "a", 10.0),
        ("2", "ann", "b", 20.0),
        ("3", "bob", "a", 30.0),
        ("4", None, "b", 40.0),
    ):
        log.append(an_event(kind, job_id=job_id, user=user, client=client, arrived_s=arrived_s))
    assert log.remove(selection).events == 4 - len(left)
    assert all_of(log)["job_id"].to_list() == left


def test_what_1_0_wrote_is_of_no_client_and_came_in_when_it_ended(
    log: SQLiteEventLog, path: Path
) -> None:
    old = Log10(path)
    jobs = generate_jobs(10, seed=1).sort("end_time")
    old.append(jobs)
    old.close()
    middle_s = float(jobs["end_time"][5])
    log.append(an_event(client="a", arrived_s=middle_s + 1))
    assert log.remove(Selection(client="", since_s=middle_s)).events == 5
    assert len(all_of(log)) == 6


@pytest.mark.parametrize("kind", EventKind)
def test_what_others_had_sent_too_stays_theirs(log: SQLiteEventLog, kind: EventKind) -> None:
    bad, good = (
        an_event(kind, client=client, arrived_s=at_s)
        for client, at_s in (("bad", 1.0), ("good", 2.0))
    )
    log.append(pl.concat([bad, good, bad]))
    assert log.count_conflicts() == 0
    assert log.remove(Selection(client="bad")) == Removed(1, 0, restored=1)
    assert all_of(log).equals(good)


@pytest.mark.parametrize("kind", EventKind)
def test_another_version_takes_the_place_of_one_that_is_withdrawn(
    log: SQLiteEventLog, kind: EventKind
) -> None:
    bad, good, other = (
        an_event(kind, mem_req=float(number), client=client)
        for number, client in enumerate(("bad", "good", "other"), 1)
    )
    log.append(pl.concat([bad, good, other]))
    assert log.remove(Selection(client="bad")) == Removed(1, 0, restored=1)
    assert all_of(log).equals(good)
    assert log.count_conflicts() == 1
    assert log.remove(Selection(client="other")) == Removed(0, 1)
    assert log.remove(Selection(client="good")) == Removed(1, 0)
    assert all_of(log).is_empty()


def test_what_was_pruned_does_not_come_in_again(log: SQLiteEventLog, path: Path) -> None:
    events = some_kinds(40).sort("event_time")
    middle_s = float(events["event_time"][60])
    old = events.filter(pl.col("event_time") < middle_s)
    new = events[len(old) :]
    log.append(events)
    assert log.prune(middle_s) == Removed(len(old), 0)
    assert log.pruned_before_s() == middle_s
    assert all_of(log).equals(new)
    appended = log.append(events)
    assert appended.fates == bytes([Fate.PRUNED] * len(old) + [Fate.DUPLICATE] * len(new))
    assert (appended.recorded, appended.duplicates) == (0, len(events))
    log.prune(0.0)
    assert log.pruned_before_s() == middle_s, "the mark never goes back"


def test_of_a_pruned_event_no_other_version_comes_back(log: SQLiteEventLog) -> None:
    log.append(pl.concat([an_event(ENDED, end_time=40.0, event_time=40.0), an_event(ENDED)]))
    assert log.count_conflicts() == 1
    log.prune(45.0)
    assert all_of(log).is_empty()
    assert log.count_conflicts() == 0


_clients = ("a", "b", "c")
_an_arrival = st.tuples(
    st.sampled_from(list(EventKind)),
    st.sampled_from("123"),
    st.sampled_from([None, "x"]),
    st.sampled_from(_clients),
    st.sampled_from([1.0, 2.0]),
    st.sampled_from(["ann", "bob"]),
)


@settings(max_examples=60, deadline=None)
@given(
    arrivals=st.lists(_an_arrival, max_size=25),
    more=st.lists(_an_arrival, max_size=5),
    client=st.sampled_from(_clients),
    step=st.integers(1, 4),
)
def test_a_withdrawn_client_might_as_well_never_have_been_there(
    arrivals: list[tuple[EventKind, str, str | None, str, float, str]],
    more: list[tuple[EventKind, str, str | None, str, float, str]],
    client: str,
    step: int,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = tmp_path_factory.mktemp("logs")
    log, without = open_log(folder / "with.sqlite"), open_log(folder / "without.sqlite")
    for kind, job_id, cluster, sender, mem, user in arrivals:
        event = an_event(
            kind, job_id=job_id, cluster=cluster, client=sender, mem_req=mem, user=user
        )
        log.append(event)
        if sender != client:
            without.append(event)
    log.remove(Selection(client=client))
    known = [all_of(each, step).sort(pl.all()) for each in (log, without)]
    assert known[0].equals(known[1])
    # and goes on as any other log
    before = log.last_position()
    new = 0
    for kind, job_id, cluster, sender, mem, user in more:
        event = an_event(
            kind, job_id=job_id, cluster=cluster, client=sender, mem_req=mem, user=user
        )
        new += log.append(event).recorded
    assert len(log.read_after(before, 1000).events) == new
    for each in (log, without):
        each.close()


def test_nothing_of_what_was_taken_out_stays_in_the_files(log: SQLiteEventLog, path: Path) -> None:
    events = some_kinds(300).with_columns(
        user=pl.when(pl.int_range(pl.len()) % 3 == 0).then(pl.lit("ada-lovelace")).otherwise("user")
    )
    for piece in events.iter_slices(50):
        log.append(piece)
    log.append(an_event(user="ada-lovelace"))
    log.append(an_event(user="charles"))
    reader = open_log(path)
    log.remove(Selection(user="ada-lovelace"))
    log.compact()
    kept = b"".join(file.read_bytes() for file in path.parent.iterdir())
    assert b"ada-lovelace" not in kept
    assert b"charles" in kept
    assert len(all_of(reader)) == 600 + 1
    reader.close()


def test_a_copy_is_a_log_of_its_own(log: SQLiteEventLog, path: Path) -> None:
    events = some_kinds(40)
    log.append(events)
    copy_path = path.with_name("copy.sqlite")
    log.copy_to(copy_path)
    assert [file.name for file in path.parent.glob("copy*")] == ["copy.sqlite"]
    copy = open_log(copy_path)
    assert all_of(copy).equals(events)
    copy.close()
