"""Edition 1.0 and this one share a log: each reads what the other wrote, in one order."""

from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rt_predictor.errors import HistoryError
from rt_predictor.eventlog.files import open_log
from rt_predictor.eventlog.port import Fate
from rt_predictor.jobs.event_kind import EventKind
from rt_predictor.jobs.events import ended_events, finished_jobs
from rt_predictor.traces.generate import generate_jobs
from tests.eventlog.edition_1_0 import COLUMNS, Log10
from tests.eventlog.events import an_event, counted, some_kinds

JOBS = generate_jobs(60, seed=1)
ENDS = ended_events(JOBS)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "history.sqlite"


@pytest.fixture
def log_1_0(path: Path) -> Iterator[Log10]:
    log = Log10(path)
    yield log
    log.close()


def test_a_log_of_1_0_is_read_with_its_id_and_positions(log_1_0: Log10, path: Path) -> None:
    log_1_0.append(JOBS)
    log = open_log(path)
    assert log.log_id == log_1_0.log_id
    assert log.last_position() == log_1_0.last_position() == 60
    assert log.read_after(0, 100).events.equals(ENDS)
    assert log.read_after(40, 100).events.equals(ENDS[40:])
    assert counted(log.append(ENDS)) == (0, 60)
    log.close()


def test_1_0_reads_and_writes_a_log_of_this_edition(path: Path) -> None:
    log = open_log(path)
    log.append(some_kinds(60))
    old = Log10(path)
    rows, position = old.read_after(0, 1000)
    ends = finished_jobs(log.read_after(0, 1000).events)
    assert rows == ends.select(COLUMNS).rows()
    assert position == old.last_position() == 60
    later = generate_jobs(80, seed=2).with_columns(pl.col("job_id") + "x")
    assert old.append(pl.concat([later, JOBS[:5]])) == (80, 5)
    assert old.count() == 140
    old.close()
    assert log.read_after(180, 1000).events.equals(ended_events(later))
    log.close()


def test_a_reader_sees_what_1_0_adds_behind_events_of_other_kinds(
    log_1_0: Log10, path: Path
) -> None:
    log_1_0.append(JOBS[:2])
    log = open_log(path)
    submitted = pl.concat([an_event(job_id=f"s{number}") for number in range(5)])
    log.append(submitted)
    tail = log.read_after(0, 100)
    assert tail.position == log.last_position() == 7
    log_1_0.append(JOBS[2:4])
    log.append(submitted.with_columns(pl.col("job_id") + "x"))
    found = log.read_after(tail.position, 100)
    assert found.events["job_id"].to_list() == [
        *JOBS["job_id"][2:4],
        *(f"s{number}x" for number in range(5)),
    ]
    assert found.position == log.last_position() == 14
    log.close()


def test_the_second_of_two_jobs_that_1_0_cannot_tell_apart_is_hidden_from_it(path: Path) -> None:
    log, ended = open_log(path), EventKind.ENDED
    both = pl.concat([an_event(ended, cluster="a"), an_event(ended, cluster="b", runtime=20.0)])
    assert log.append(both).recorded == 2
    old = Log10(path)
    assert old.count() == 1
    job = both[1:].select(COLUMNS)
    assert old.append(job) == (0, 1)
    old.close()
    assert log.append(both).fates == bytes([Fate.DUPLICATE] * 2)
    assert log.read_after(0, 9).events.equals(both)
    log.close()


def test_a_log_of_another_program_is_left_alone(path: Path) -> None:
    open_log(path).close()
    old = Log10(path)
    old.connection.execute("UPDATE fact SET value = 9 WHERE name = 'format'")
    old.close()
    with pytest.raises(HistoryError, match=r"has format 1\.9"):
        open_log(path)


_steps = st.lists(
    st.tuples(st.sampled_from(["old", "ended", "submitted", "read"]), st.integers(1, 4)),
    max_size=25,
)


@settings(max_examples=40, deadline=None)
@given(steps=_steps, limit=st.integers(1, 5))
def test_whoever_writes_readers_get_every_event_once_in_one_order(
    steps: list[tuple[str, int]], limit: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("log") / "history.sqlite"
    log, old = open_log(path), Log10(path)
    number, position, read = 0, 0, []
    wanted: list[tuple[str, str]] = []
    for step, count in steps:
        if step == "read":
            tail = log.read_after(position, limit)
            position = tail.position
            read += tail.events.select("kind", "job_id").rows()
            continue
        kind = EventKind.SUBMITTED if step == "submitted" else EventKind.ENDED
        some = pl.concat([an_event(kind, job_id=str(number + n)) for n in range(count)])
        number += count
        wanted += some.select("kind", "job_id").rows()
        if step == "old":
            old.append(some)
        else:
            log.append(some)
    assert read == wanted[: len(read)]
    while len((tail := log.read_after(position, limit)).events):
        position = tail.position
        read += tail.events.select("kind", "job_id").rows()
    assert read == wanted
    assert position == log.last_position() == len(wanted)
    log.close()
    old.close()
