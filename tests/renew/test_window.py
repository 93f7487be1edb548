"""The window that a renewal learns from, out of the events of a service."""

from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rt_predictor.errors import HistoryError, StartupError
from rt_predictor.eventlog.files import open_log
from rt_predictor.jobs.event_kind import EventKind
from rt_predictor.jobs.events import QUARANTINE, ended_events, job_events
from rt_predictor.jobs.schema import JOB_SCHEMA
from rt_predictor.renew import window as window_module
from rt_predictor.renew.window import Window, check_log, read_events, window_of
from rt_predictor.traces.generate import generate_jobs
from tests.eventlog.events import an_event

JOBS = generate_jobs(200, seed=6)
MANY = 1000


def of(events: pl.DataFrame, most: int = MANY, *trusted: str) -> Window:
    return window_of(events, most, trusted)


def by_id(jobs: pl.DataFrame) -> pl.DataFrame:
    return jobs.sort("job_id")


@given(st.permutations(range(12)), st.lists(st.integers(0, 11), max_size=6))
def test_the_order_of_events_and_repetitions_change_nothing(
    order: list[int], again: list[int]
) -> None:
    events = job_events(JOBS[:4])
    mixed = pl.concat([events[order], events[again]])
    assert by_id(of(mixed).jobs).equals(by_id(JOBS[:4]))


def test_a_job_is_what_all_of_its_events_say() -> None:
    events = pl.concat(
        [
            an_event(EventKind.SUBMITTED, time_req=600.0, partition="p"),
            an_event(EventKind.STARTED, nodes_req=2.0),
            an_event(EventKind.ENDED, user=None, start_time=None, state="COMPLETED"),
        ]
    )
    (job,) = of(events).jobs.to_dicts()
    said = {name: value for name, value in job.items() if value is not None}
    assert said == {
        "submit_time": 10.0, "nodes_req": 2.0, "time_req": 600.0, "partition": "p", "user": "ann",
        "job_id": "1", "start_time": 20.0, "end_time": 50.0, "runtime": 30.0, "state": "COMPLETED",
    }  # fmt: skip


def test_attempts_and_clusters_are_jobs_of_their_own() -> None:
    ends = [
        an_event(EventKind.ENDED, attempt=attempt, cluster=cluster)
        for attempt in (None, 0.0, 1.0)
        for cluster in (None, "a")
    ]
    assert of(pl.concat(ends)).ended == 4  # no attempt is the first one


def test_jobs_that_wait_run_or_never_started_are_told_of_and_not_learned_from() -> None:
    events = pl.concat(
        [
            an_event(EventKind.SUBMITTED, job_id="waits"),
            an_event(EventKind.STARTED, job_id="runs"),
            an_event(EventKind.CANCELLED, job_id="never ran"),
            an_event(EventKind.ENDED, job_id="ended"),
        ]
    )
    found = of(events)
    assert (len(found.jobs), found.ended, found.untrusted) == (4, 1, 0)


def test_the_jobs_that_ended_last_are_taken() -> None:
    latest = JOBS.sort("end_time").tail(30)
    found = of(job_events(JOBS), 30)
    assert set(found.jobs["job_id"]) == set(latest["job_id"])
    old = an_event(job_id="waits since long ago")
    assert of(pl.concat([job_events(JOBS), old]), 30).ended == 30


def test_beside_a_trusted_client_another_has_a_twentieth_at_most_the_latest() -> None:
    mine, theirs = JOBS[:95], JOBS[95:]
    events = pl.concat([ended_events(mine, "@import"), ended_events(theirs, "somebody")])
    found = of(events, MANY, "@import")
    assert found.ended == 100
    assert found.untrusted == 100
    kept = set(found.jobs["job_id"]) - set(mine["job_id"])
    assert kept == set(theirs.sort("end_time").tail(5)["job_id"])
    assert of(events, MANY, "@import", "somebody").ended == 200
    assert of(ended_events(JOBS, None)).ended == 200


def test_where_no_client_is_trusted_nobody_is_bounded() -> None:
    events = pl.concat([ended_events(JOBS[:95], "one"), ended_events(JOBS[95:], "other")])
    assert (of(events).ended, of(events).untrusted) == (200, 0)


def test_what_is_in_quarantine_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "log.sqlite"
    log = open_log(path)
    ends = ended_events(JOBS[:30])
    doubts = pl.int_range(pl.len()).is_between(5, 24)
    log.append(ends.with_columns(pl.when(doubts).then(pl.lit("why")).alias(QUARANTINE)))
    log.close()
    monkeypatch.setattr(window_module, "_PIECE_EVENTS", 4)  # some pieces have none but those
    assert of(read_events(path, MANY)).ended == 10


def test_a_log_is_read_in_pieces_and_the_latest_events_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "log.sqlite"
    log = open_log(path)
    log.append(job_events(JOBS))
    log.close()
    monkeypatch.setattr(window_module, "_PIECE_EVENTS", 70)
    assert by_id(of(read_events(path, MANY)).jobs).equals(by_id(JOBS))
    few = read_events(path, 40)
    assert 120 <= len(few) <= 240
    latest = JOBS.sort("end_time").tail(40)["job_id"]
    assert set(of(few, 40).jobs.filter(pl.col("runtime") > 0)["job_id"]) == set(latest)


def test_a_log_that_changes_meanwhile_is_read_again_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "log.sqlite"
    log = open_log(path)
    log.append(job_events(JOBS))
    read_after = type(log).read_after

    def changing(self: object, position: int, limit: int) -> object:
        if position:
            log.begin_anew()
        return read_after(self, position, limit)  # type: ignore[arg-type]

    monkeypatch.setattr(type(log), "read_after", changing)
    with pytest.raises(HistoryError, match=r"taken out .* meanwhile"):
        read_events(path, MANY)
    log.close()


def test_where_there_is_no_log_none_is_made(tmp_path: Path) -> None:
    with pytest.raises(StartupError, match="there is no history log"):
        check_log(tmp_path / "none.sqlite")
    assert list(tmp_path.iterdir()) == []


def test_no_events_are_no_jobs() -> None:
    nothing = of(ended_events(JOBS[:0]))
    assert (nothing.ended, nothing.jobs.columns) == (0, list(JOB_SCHEMA))
