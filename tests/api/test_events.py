"""RecordOutcomes, RecordEvents: what is valid is on disk, and what is not harms none of it."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import grpc
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rt_predictor.api.events import (
    MAX_ERRORS,
    MAX_WORDS,
    Events,
    EventTally,
    JobEventReader,
    Origin,
    OutcomeReader,
)
from rt_predictor.api.v1 import rt_predictor_pb2 as pb
from rt_predictor.client import Event, EventKind, Job, codec
from rt_predictor.errors import HistoryError, TooLargeError
from rt_predictor.eventlog.files import open_log
from rt_predictor.eventlog.port import Appended
from rt_predictor.eventlog.removing import Selection
from rt_predictor.history.history import History
from rt_predictor.jobs.events import ended_events, finished_jobs, with_origin
from rt_predictor.jobs.schema import JOB_SCHEMA
from rt_predictor.settings import HistorySettings
from rt_predictor.traces.generate import generate_jobs
from tests.api.harness import Running, job, running
from tests.eventlog.events import an_event, some_kinds
from tests.predict.fakes import FakePredictor
from tests.waiting import PATIENCE_S

NOW_S = 2e9
ORIGIN = Origin("someone", NOW_S)
EVENTS = generate_jobs(50, seed=1)


def outcome(**fields: object) -> pb.JobOutcome:
    known = {"job": job(submit_time=10.0), "job_id": "1", "end_time": 50.0, "runtime": 30.0}
    return pb.JobOutcome(**{**known, **fields})


def message(*outcomes: pb.JobOutcome) -> pb.RecordOutcomesRequest:
    return pb.RecordOutcomesRequest(outcomes=outcomes)


def read(*messages: pb.RecordOutcomesRequest) -> Events:
    reader = OutcomeReader(10_000)
    for each in messages:
        reader.add(each)
    return reader.events(ORIGIN)


def event(kind: EventKind = EventKind.SUBMITTED, **fields: object) -> pb.JobEvent:
    own = pb.JobEventKind.Value(f"JOB_EVENT_KIND_{kind.name}")
    known = {"job": job(submit_time=10.0), "job_id": "1", "kind": own}
    return pb.JobEvent(**{**known, **fields})


def events_message(*events: pb.JobEvent) -> pb.RecordEventsRequest:
    return pb.RecordEventsRequest(events=events)


def read_events(*messages: pb.RecordEventsRequest) -> Events:
    reader = JobEventReader(10_000)
    for each in messages:
        reader.add(each)
    return reader.events(ORIGIN)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 50), st.integers(1, 20))
def test_a_frame_goes_through_messages_unchanged(count: int, a_message: int) -> None:
    events = EVENTS[:count]
    outcomes = read(*codec.outcome_messages(events, a_message))
    assert outcomes.valid.equals(ended_events(events, "someone", NOW_S))
    assert len(outcomes) == count


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 50), st.integers(1, 20))
def test_a_frame_of_events_goes_through_messages_unchanged(count: int, a_message: int) -> None:
    events = some_kinds(20)[:count]
    read = read_events(*codec.event_messages(events, a_message))
    assert read.valid.equals(with_origin(events, "someone", NOW_S))
    assert len(read) == count


@pytest.mark.parametrize("kind", EventKind)
def test_values_and_a_frame_are_the_same_messages(kind: EventKind) -> None:
    frame = an_event(kind, cluster="a", attempt=2.0, array_job_id="7", gpu_type="h100")
    (row,) = frame.rows(named=True)
    job = Job(
        partial=True, submit_time=10.0, user="ann", cluster="a", array_job_id="7", gpu_type="h100"
    )
    times = {name: row[name] for name in ("event_time", "start_time", "end_time", "runtime")}
    value = Event(kind, job, "1", attempt=2, **times)
    assert list(codec.event_messages([value], 9)) == list(codec.event_messages(frame, 9))
    (event,) = read_events(*codec.event_messages([value], 9)).valid.rows(named=True)
    assert {**event, "client": None, "arrived_s": None} == row


@pytest.mark.parametrize("kind", EventKind)
def test_the_time_of_an_event_and_of_its_kind_stand_for_each_other(kind: EventKind) -> None:
    runtime = {"runtime": 5.0} if kind is EventKind.ENDED else {}
    timed = event(kind, event_time=50.0 if kind is not EventKind.SUBMITTED else 10.0, **runtime)
    (found,) = read_events(events_message(timed)).valid.rows(named=True)
    names = {EventKind.SUBMITTED: "submit_time", EventKind.STARTED: "start_time"}
    own = names.get(kind, "end_time")
    assert found[own] == found["event_time"]
    if kind is not EventKind.SUBMITTED:
        timed.ClearField("event_time")
        setattr(timed, own, 50.0)
    (again,) = read_events(events_message(timed)).valid.rows(named=True)
    assert again == found


def test_an_event_of_no_kind_is_named() -> None:
    events = read_events(events_message(event(), pb.JobEvent(job=job(submit_time=1.0), job_id="2")))
    assert len(events.valid) == 1
    assert "kind is missing: must be one of submitted, started" in str(events.errors[1])
    assert events.invalid_kinds == {"unknown": 1}


def test_what_is_absent_is_null_and_a_zero_is_a_zero() -> None:
    (row,) = read(message(outcome(job=pb.PredictRequest(submit_time=0, gpus_req=0)))).valid.rows(
        named=True
    )
    known = {"submit_time": 0.0, "gpus_req": 0.0, "job_id": "1", "end_time": 50.0, "runtime": 30.0}
    event = {"kind": "ended", "event_time": 50.0, "client": "someone", "arrived_s": NOW_S}
    assert row == {**dict.fromkeys(JOB_SCHEMA), **known, **event}


def test_an_outcome_without_a_job_is_named() -> None:
    outcomes = read(message(outcome(), pb.JobOutcome(job_id="2", end_time=5, runtime=1)))
    assert len(outcomes.valid) == 1
    assert str(outcomes.errors[1]) == "submit_time is missing: required"


def test_a_large_message_is_read_in_slices() -> None:
    events = generate_jobs(3000, seed=2)
    assert finished_jobs(read(*codec.outcome_messages(events, 2500)).valid).equals(events)


def test_too_large_a_message_is_refused() -> None:
    with pytest.raises(TooLargeError, match=r"outcomes in a message, 2 is over the limit of 1"):
        OutcomeReader(1).add(message(outcome(), outcome()))


def test_the_first_errors_are_told_with_their_place_in_the_call() -> None:
    tally = EventTally(pb.RecordOutcomesResponse())
    good, bad = outcome(), outcome(runtime=-1)
    for part in (message(good, bad), message(*[bad] * MAX_ERRORS), message(bad)):
        outcomes = read(part)
        tally.add(outcomes, Appended(bytes(len(outcomes.valid))))
    answer = tally.response()
    assert (answer.recorded, answer.duplicates, answer.invalid) == (1, 0, MAX_ERRORS + 2)
    assert [error.index for error in answer.errors] == list(range(1, MAX_ERRORS + 1))
    assert (answer.errors[0].code, answer.errors[0].field) == (3, "runtime")


def test_states_that_nobody_knows_are_recorded_and_named() -> None:
    tally = EventTally(pb.RecordOutcomesResponse())
    for states in (["FOO", "COMPLETED", "foo"], ["BAR", "FOO"]):
        outcomes = read(message(*(outcome(state=state) for state in states)))
        tally.add(outcomes, Appended(bytes(len(outcomes.valid))))
    answer = tally.response()
    assert (answer.invalid, list(answer.unknown_states)) == (0, ["FOO", "BAR"])
    assert codec.recorded(answer, 0).unknown_states == ("FOO", "BAR")


def test_no_more_than_a_few_unknown_states_are_told() -> None:
    tally = EventTally(pb.RecordOutcomesResponse())
    outcomes = read(message(*(outcome(state=f"FOO{number}") for number in range(2 * MAX_WORDS))))
    tally.add(outcomes, Appended(bytes(len(outcomes.valid))))
    assert len(tally.response().unknown_states) == MAX_WORDS


@pytest.mark.parametrize("state", ["RUNNING", "pending", "COMPLETING"])
def test_what_has_not_ended_is_no_outcome(state: str) -> None:
    (error,) = read(message(outcome(state=state))).errors.values()
    assert "is the state of a job that has not ended" in str(error)
    for kind in (EventKind.ENDED, EventKind.CANCELLED):
        over = event(kind, end_time=50.0, runtime=30.0, state=state)
        (error,) = read_events(events_message(over)).errors.values()
        assert error.field == "state"
    started = event(EventKind.STARTED, start_time=20.0, state=state)
    assert read_events(events_message(started)).errors == {}


# over a real channel

Stop = Callable[[], None]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "history.sqlite"


@pytest.fixture
def history(path: Path) -> Iterator[History]:
    history = History(HistorySettings(path=path))
    yield history
    history.stop()


@pytest.fixture
async def service(history: History) -> AsyncIterator[Running]:
    async with running(FakePredictor(), history, max_batch_jobs=100) as service:
        yield service


async def test_outcomes_are_on_disk_once_they_are_acknowledged(service, path: Path) -> None:
    answer = await service.stub.RecordOutcomes(codec.outcome_messages(EVENTS, 7))
    assert (answer.recorded, answer.duplicates, answer.invalid) == (50, 0, 0)
    log = open_log(path)
    assert finished_jobs(log.read_after(0, 100).events).equals(EVENTS)
    log.close()
    again = await service.stub.RecordOutcomes(codec.outcome_messages(EVENTS, 50))
    assert (again.recorded, again.duplicates) == (0, 50)
    assert service.metric("outcomes_total", result="recorded") == 50
    assert service.metric("outcomes_total", result="duplicate") == 50
    assert service.metric("requests_total", method="RecordOutcomes", status="OK") == 2


async def test_events_are_on_disk_once_they_are_acknowledged(service, path: Path) -> None:
    events = some_kinds(30)
    answer = await service.stub.RecordEvents(codec.event_messages(events, 7))
    assert (answer.recorded, answer.duplicates, answer.invalid) == (90, 0, 0)
    log = open_log(path)
    found = log.read_after(0, 100).events
    log.close()
    assert found.drop("client", "arrived_s").equals(events.drop("client", "arrived_s"))
    assert found["client"].unique().to_list() == ["@local"]
    assert found["arrived_s"].null_count() == 0
    again = await service.stub.RecordEvents(codec.event_messages(events, 50))
    assert (again.recorded, again.duplicates, again.conflicts) == (0, 90, 0)
    assert service.metric("events_total", kind="started", result="recorded") == 30
    assert service.metric("events_total", kind="ended", result="duplicate") == 30
    assert service.metric("outcomes_total", result="recorded") == 30
    assert service.metric("requests_total", method="RecordEvents", status="OK") == 2


async def test_an_end_is_the_same_event_through_both_calls(service) -> None:
    await service.stub.RecordOutcomes(codec.outcome_messages(EVENTS, 50))
    ends = codec.event_messages(ended_events(EVENTS), 50)
    answer = await service.stub.RecordEvents(ends)
    assert (answer.recorded, answer.duplicates) == (0, 50)
    other = generate_jobs(20, seed=9).with_columns(pl.col("job_id") + "x")
    await service.stub.RecordEvents(codec.event_messages(ended_events(other), 50))
    again = await service.stub.RecordOutcomes(codec.outcome_messages(other, 50))
    assert (again.recorded, again.duplicates) == (0, 20)


async def test_what_contradicts_a_recorded_event_is_counted_and_changes_nothing(
    service, path: Path
) -> None:
    first, other = outcome(), outcome(runtime=31.0)
    answer = await service.stub.RecordOutcomes(iter([message(first, other)]))
    assert (answer.recorded, answer.duplicates, answer.conflicts) == (1, 1, 1)
    end = event(EventKind.ENDED, end_time=50.0, runtime=32.0)
    again = await service.stub.RecordEvents(iter([events_message(end)]))
    assert (again.recorded, again.duplicates, again.conflicts) == (0, 1, 1)
    assert service.metric("events_total", kind="ended", result="conflict") == 2
    log = open_log(path)
    assert log.read_after(0, 9).events["runtime"].to_list() == [30.0]
    log.close()


async def test_a_doubtful_end_is_on_disk_and_counts_for_nothing(path: Path) -> None:
    history = History(HistorySettings(path=path), limits_enforced=True)
    asked = job(submit_time=10.0, time_req=3600.0)
    plain, doubtful = (
        outcome(job=asked, job_id=name, runtime=runtime, end_time=9e4)
        for name, runtime in (("1", 3600.0), ("2", 8000.0))
    )
    async with running(FakePredictor(), history) as service:
        answer = await service.stub.RecordOutcomes(iter([message(plain, doubtful)]))
        assert (answer.recorded, answer.quarantined, answer.duplicates) == (1, 1, 0)
        assert service.metric("events_total", kind="ended", result="quarantined") == 1
        assert service.metric("outcomes_total", result="quarantined") == 1
    history.stop()
    log = open_log(path)
    assert log.read_after(0, 9).events["job_id"].to_list() == ["1"]
    assert log.quarantined(Selection(quarantined=True))["job_id"].to_list() == ["2"]
    log.close()


async def test_a_job_of_the_home_cluster_is_one_with_its_name_and_without(path: Path) -> None:
    history = History(HistorySettings(path=path, home_cluster="alpha"))
    async with running(FakePredictor(), history) as service:
        record, events = service.stub.RecordOutcomes, service.stub.RecordEvents

        def asked(cluster: str) -> pb.PredictRequest:
            return job(submit_time=10.0, cluster=cluster)

        first = await record(iter([message(outcome(job=asked("alpha")))]))
        again = await record(iter([message(outcome(job=asked("")))]))
        end = event(EventKind.ENDED, job=asked("alpha"), end_time=50.0, runtime=30.0)
        third = await events(iter([events_message(end)]))
        other = await record(iter([message(outcome(job=asked("beta")))]))
        assert [one.recorded for one in (first, again, third, other)] == [1, 0, 0, 1]
        assert [one.conflicts for one in (first, again, third, other)] == [0] * 4
    history.stop()
    log = open_log(path)
    assert log.read_after(0, 9).events["cluster"].to_list() == [None, "beta"]
    log.close()


async def test_a_bad_event_harms_no_other(service) -> None:
    bad = event(EventKind.ENDED, job_id="2", end_time=50.0)
    answer = await service.stub.RecordEvents(iter([events_message(event(), bad, event())]))
    assert (answer.recorded, answer.duplicates, answer.invalid) == (1, 1, 1)
    assert answer.errors[0].index == 1
    assert answer.errors[0].field == "runtime"
    assert service.metric("events_total", kind="ended", result="invalid") == 1


async def test_a_bad_outcome_harms_no_other(service) -> None:
    good = [outcome(job_id=str(number)) for number in range(3)]
    answer = await service.stub.RecordOutcomes(iter([message(good[0], outcome(runtime=-1), *good)]))
    assert (answer.recorded, answer.duplicates, answer.invalid) == (3, 1, 1)
    assert answer.errors[0].index == 1
    assert "runtime = -1.0: must be" in answer.errors[0].message
    assert service.metric("outcomes_total", result="invalid") == 1


async def test_a_call_without_outcomes_is_no_trouble(service) -> None:
    for messages in ([], [message()], [message(), message(outcome()), message()]):
        answer = await service.stub.RecordOutcomes(iter(messages))
    assert answer.recorded == 1


async def test_what_has_come_is_recorded_while_the_call_goes_on(service, history: History) -> None:
    call = service.stub.RecordOutcomes()
    await call.write(message(outcome()))
    async with asyncio.timeout(PATIENCE_S):
        while not history.state().events:
            await asyncio.sleep(0.01)
    await call.done_writing()
    assert (await call).recorded == 1


async def test_many_clients_record_at_once(service, path: Path) -> None:
    pieces = list(EVENTS.iter_slices(5))
    calls = (service.stub.RecordOutcomes(codec.outcome_messages(piece, 2)) for piece in pieces)
    answers = await asyncio.gather(*calls)
    assert [answer.recorded for answer in answers] == [5] * 10
    log = open_log(path)
    assert log.count() == 50
    log.close()


async def _status(call: grpc.aio.StreamUnaryCall) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value.code(), caught.value.details()


async def test_too_many_in_one_message_is_refused(service) -> None:
    call = service.stub.RecordOutcomes(iter([message(*[outcome()] * 101)]))
    code, details = await _status(call)
    assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "server.max_batch_jobs" in details


async def test_history_that_is_off_says_so() -> None:
    async with running(FakePredictor()) as service:
        code, details = await _status(service.stub.RecordOutcomes(iter([])))
        assert code is grpc.StatusCode.FAILED_PRECONDITION
        assert "history.enabled" in details


async def test_a_log_that_cannot_be_written_is_unavailable_and_predictions_go_on(
    tmp_path: Path,
) -> None:
    (tmp_path / "file").write_text("")
    history = History(HistorySettings(path=tmp_path / "file" / "history.sqlite"))
    async with running(FakePredictor(), history) as service:
        code, details = await _status(service.stub.RecordOutcomes(iter([message(outcome())])))
        assert code is grpc.StatusCode.UNAVAILABLE
        assert "cannot be opened" in details
        assert (await service.stub.Predict(job())).predicted_runtime > 0
        health = await service.stub.HealthCheck(pb.HealthCheckRequest())
        assert health.status == pb.HealthCheckResponse.STATUS_DEGRADED
        assert "history: history log" in health.message
        async with asyncio.timeout(PATIENCE_S):
            while not service.metric("history_errors_total"):
                await asyncio.sleep(0.01)


async def test_after_an_error_nothing_of_that_part_is_acknowledged(
    service, history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = history.record
    calls: list[pl.DataFrame] = []

    def second_fails(events: pl.DataFrame):
        calls.append(events)
        if len(calls) == 2:
            raise HistoryError("the disk is full")
        return record(events)

    monkeypatch.setattr(history, "record", second_fails)
    call = service.stub.RecordOutcomes()
    await call.write(message(outcome()))
    async with asyncio.timeout(PATIENCE_S):
        while not history.state().events:
            await asyncio.sleep(0.01)
    await call.write(message(outcome(job_id="2")))
    assert await _status(call) == (grpc.StatusCode.UNAVAILABLE, "the disk is full")
    again = await service.stub.RecordOutcomes(iter([message(outcome(), outcome(job_id="2"))]))
    assert (again.recorded, again.duplicates) == (1, 1)


async def test_malformed_bytes_are_the_clients_mistake(service) -> None:
    call = service.channel.stream_unary("/rt_predictor.v1.RuntimePredictor/RecordOutcomes")
    code, _ = await _status(call(iter([b"\xff\xff"])))
    assert code is grpc.StatusCode.INVALID_ARGUMENT
