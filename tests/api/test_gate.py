"""The gate before a server in this process: who is let in, for what, and how often."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from loguru import logger

from rt_predictor.api.middleware import SERVICE
from rt_predictor.api.v1 import rt_predictor_pb2 as pb
from rt_predictor.client import Access, Client, Outcome, codec
from rt_predictor.client import Job as ClientJob
from rt_predictor.errors import ServiceError
from rt_predictor.eventlog.files import open_log
from rt_predictor.history.history import History
from rt_predictor.processes.served_model import OPEN_TO_ALL
from rt_predictor.security.security import Security
from rt_predictor.security.tokens import hash_of, new_token
from rt_predictor.settings import HistorySettings, SecuritySettings
from tests.api.harness import HOST, Running, job, running
from tests.eventlog.events import an_event
from tests.predict.fakes import FakePredictor
from tests.security.files import Place

PREDICT, RECORD, ADMIN, EXPLAIN = (new_token() for _ in range(4))
TOKENS = [
    {"name": "hooks", "hash": hash_of(PREDICT), "roles": ["predict"]},
    {"name": "epilog", "hash": hash_of(RECORD), "roles": ["record"]},
    {"name": "root", "hash": hash_of(ADMIN), "roles": ["admin"]},
    {"name": "portal", "hash": hash_of(EXPLAIN), "roles": ["predict", "explain"]},
    {"name": "old", "hash": hash_of("old"), "roles": ["predict"], "expires": "2020-01-01"},
]


def _security(**settings: object) -> Security:
    return Security.open(SecuritySettings.model_validate({"tokens": TOKENS, **settings}))


def _bearer(token: str) -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer {token}"),)


async def _refused(call) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await call
    return raised.value


@pytest.fixture
def log() -> Iterator[list[str]]:
    lines: list[str] = []
    sink = logger.add(lines.append, level="TRACE", format="{message} {extra}")
    yield lines
    logger.remove(sink)


async def test_a_call_with_a_token_of_its_role_is_answered() -> None:
    async with running(FakePredictor(), security=_security()) as service:
        answer = await service.stub.Predict(job(), metadata=_bearer(PREDICT))
        assert answer.predicted_runtime > 0
        lower = (("authorization", f"bearer {PREDICT}"),)
        assert await service.stub.Predict(job(), metadata=lower) == answer
        assert 0 < service.metric("token_expiry_timestamp_seconds", token="old") < 1.6e9


@pytest.mark.parametrize(
    "metadata",
    [
        (),
        _bearer(""),
        _bearer("old"),
        _bearer(PREDICT[:-1]),
        _bearer(hash_of(PREDICT)),
        (("authorization", PREDICT),),
        (("authorization", f"Basic {PREDICT}"),),
        (*_bearer(PREDICT), *_bearer(PREDICT)),
    ],
)
async def test_without_a_token_that_is_known_nothing_is_answered(metadata) -> None:
    predictor = FakePredictor()
    async with running(predictor, security=_security()) as service:
        predictor.asked.clear()
        stub = service.stub
        calls = [
            lambda: stub.Predict(job(), metadata=metadata),
            lambda: stub.PredictBatch(pb.PredictBatchRequest(jobs=[job()]), metadata=metadata),
            lambda: stub.GetModelInfo(pb.GetModelInfoRequest(), metadata=metadata),
            lambda: stub.HealthCheck(pb.HealthCheckRequest(), metadata=metadata),
            lambda: stub.RecordOutcomes(iter([pb.RecordOutcomesRequest()]), metadata=metadata),
            lambda: stub.RecordEvents(iter([pb.RecordEventsRequest()]), metadata=metadata),
            lambda: stub.PredictStream(metadata=metadata).read(),
            lambda: stub.PredictArrow(metadata=metadata).read(),
            lambda: service.channel.unary_unary(f"/{SERVICE}/None")(b"", metadata=metadata),
        ]
        for number, call in enumerate(calls, 1):
            error = await _refused(call())
            assert error.code() is grpc.StatusCode.UNAUTHENTICATED
            assert "authorization: Bearer TOKEN" in error.details()
            assert service.metric("rejected_calls_total", reason="unauthenticated") == number
        assert service.metric("requests_total", method="Predict", status="UNAUTHENTICATED") == 1
        assert predictor.asked == []


@pytest.mark.parametrize("plain", [1, 100], ids=["a few jobs", "many jobs"])
async def test_a_job_that_asks_why_takes_a_role_of_its_own_and_its_neighbours_do_not(
    plain: int,
) -> None:
    jobs = [job(explain=True), *(job(processors_req=n + 1) for n in range(plain))]
    async with running(FakePredictor(), security=_security()) as service:
        stub, metadata = service.stub, _bearer(PREDICT)
        error = await _refused(stub.Predict(jobs[0], metadata=metadata))
        assert error.code() is grpc.StatusCode.PERMISSION_DENIED
        assert "the role explain" in error.details()
        batch = await stub.PredictBatch(pb.PredictBatchRequest(jobs=jobs), metadata=metadata)
        assert batch.failed == 1
        stream = stub.PredictStream(metadata=metadata)
        await stream.write(jobs[0])
        for refused in (batch.predictions[0], await stream.read()):
            assert refused.error.code == grpc.StatusCode.PERMISSION_DENIED.value[0]
            assert refused.error.field == "explain"
        assert all(answer.predicted_runtime > 0 for answer in batch.predictions[1:])
        stream.cancel()


async def test_who_may_be_told_why_is() -> None:
    predictor = FakePredictor()
    for security, metadata in ((_security(), _bearer(EXPLAIN)), (Security.open(OPEN_TO_ALL), ())):
        async with running(predictor, security=security) as service:
            await service.stub.Predict(job(explain=True), metadata=metadata)
            assert predictor.asked[-1]["explain"].to_list() == [True]


@pytest.mark.parametrize(
    ("token", "allowed"),
    [(PREDICT, {"Predict"}), (RECORD, {"Record", "Events"}), (ADMIN, set())],
    ids=["predict", "record", "admin"],
)
async def test_a_caller_who_lacks_the_role_is_told_which(token: str, allowed: set[str]) -> None:
    async with running(FakePredictor(), security=_security()) as service:
        stub, metadata = service.stub, _bearer(token)
        calls = {
            "Predict": ("predict", lambda: stub.Predict(job(), metadata=metadata)),
            "Record": ("record", lambda: stub.RecordOutcomes(iter(()), metadata=metadata)),
            "Events": ("record", lambda: stub.RecordEvents(iter(()), metadata=metadata)),
        }
        for name, (role, make) in calls.items():
            if name in allowed:
                # Said after the gate: history is off here.
                off = () if name == "Predict" else (grpc.aio.AioRpcError,)
                with suppress(*off):
                    await make()
                continue
            error = await _refused(make())
            assert error.code() is grpc.StatusCode.PERMISSION_DENIED
            assert error.details().endswith(f"lacks the role for this call: {role}")
        await stub.GetModelInfo(pb.GetModelInfoRequest(), metadata=metadata)
        await stub.HealthCheck(pb.HealthCheckRequest(), metadata=metadata)
        assert service.metric("rejected_calls_total", reason="forbidden") == 3 - len(allowed)


async def test_each_event_is_kept_with_the_name_of_who_sent_it(tmp_path: Path) -> None:
    history = History(HistorySettings(path=tmp_path / "history.sqlite"))
    async with running(FakePredictor(), history, security=_security()) as service:
        record, metadata = service.stub.RecordEvents, _bearer(RECORD)
        await record(codec.event_messages(an_event(), 9), metadata=metadata)
    history.stop()
    log = open_log(tmp_path / "history.sqlite")
    assert log.read_after(0, 9).events["client"].to_list() == ["epilog"]
    log.close()


async def test_a_method_that_no_table_knows_is_for_administrators(log: list[str]) -> None:
    async with running(FakePredictor(), security=_security()) as service:
        method = service.channel.unary_unary(f"/{SERVICE}/NoSuchMethod")
        assert (await _refused(method(b"", metadata=_bearer(PREDICT)))).code() is (
            grpc.StatusCode.PERMISSION_DENIED
        )
        assert (await _refused(method(b"", metadata=_bearer(ADMIN)))).code() is (
            grpc.StatusCode.UNIMPLEMENTED
        )


async def test_a_token_is_in_no_line_of_the_log(log: list[str]) -> None:
    async with running(FakePredictor(), security=_security()) as service:
        secret = new_token()
        await _refused(service.stub.Predict(job(), metadata=_bearer(secret)))
        await _refused(service.stub.RecordOutcomes(iter(()), metadata=_bearer(PREDICT)))
        await service.stub.Predict(job(), metadata=_bearer(PREDICT))
    text = "".join(log)
    assert "UnauthenticatedError" in text, "refused calls are in the log of DEBUG"
    for token in (secret, PREDICT, hash_of(PREDICT)):
        assert token not in text


async def test_an_unread_message_costs_nothing() -> None:
    """A message over the limit would be RESOURCE_EXHAUSTED, had anybody read it."""
    async with running(FakePredictor(), security=_security(), max_message_mb=1) as service:
        large = pb.PredictBatchRequest(batch_id="x" * (3 << 20))
        error = await _refused(service.stub.PredictBatch(large, metadata=_bearer("wrong")))
        assert error.code() is grpc.StatusCode.UNAUTHENTICATED


@pytest.mark.parametrize("open_health", [True, False])
async def test_standard_health_is_open_unless_it_is_not(open_health: bool) -> None:
    async with running(FakePredictor(), security=_security(open_health=open_health)) as service:
        health = health_pb2_grpc.HealthStub(service.channel)
        request = health_pb2.HealthCheckRequest(service=SERVICE)
        answer = await health.Check(request, metadata=_bearer(RECORD))
        assert answer.status == health_pb2.HealthCheckResponse.SERVING
        if open_health:
            assert await health.Check(request) == answer
            assert await health.Watch(request).read() == answer
        else:
            for call in (health.Check(request), health.Watch(request).read()):
                assert (await _refused(call)).code() is grpc.StatusCode.UNAUTHENTICATED


async def test_reflection_is_for_those_who_are_known() -> None:
    async with running(FakePredictor(), security=_security()) as service:
        reflection = reflection_pb2_grpc.ServerReflectionStub(service.channel)
        asked = reflection_pb2.ServerReflectionRequest(list_services="")
        error = await _refused(reflection.ServerReflectionInfo(iter([asked])).read())
        assert error.code() is grpc.StatusCode.UNAUTHENTICATED
        call = reflection.ServerReflectionInfo(iter([asked]), metadata=_bearer(RECORD))
        assert (await call.read()).list_services_response.service


async def test_the_client_sends_its_token_with_every_call(tmp_path) -> None:
    async with running(FakePredictor(), security=_security()) as service:
        file = tmp_path / "token"
        file.write_text(f"{PREDICT}\n")
        target = f"{HOST}:{service.port}"
        one = ClientJob(partial=True)
        for access in (Access(token=PREDICT), Access(token_file=file)):
            async with Client(target, access=access) as client:
                await client.predict(one)
                assert len([answer async for answer in client.predict_many([one])]) == 1
                assert len([answer async for answer in client.stream([one])]) == 1
                await client.model_info()
                await client.health()
                assert await client.is_serving()
                with pytest.raises(ServiceError, match="hooks lacks the role for this call: rec"):
                    await client.record([Outcome(one, "1", 2.0, 1.0)])
        async with Client(target) as client:
            with pytest.raises(ServiceError, match=r"no token that is known.*UNAUTHENTICATED"):
                await client.predict(one)


async def test_a_renewed_token_file_is_read_without_a_new_client(tmp_path) -> None:
    async with running(FakePredictor(), security=_security()) as service:
        file = tmp_path / "token"
        file.write_text("old")
        async with Client(f"{HOST}:{service.port}", access=Access(token_file=file)) as client:
            with pytest.raises(ServiceError):
                await client.model_info()
            file.write_text(PREDICT)
            await client.model_info()


# certificates


def _mutual(place: Place, *certificates: dict[str, object], **settings: object) -> Security:
    files = replace(place.issue(), client_ca=place.ca_file)
    named = {
        "certificate": files.certificate,
        "key": files.key,
        "client_ca": files.client_ca,
        "client_certificates": certificates,
    }
    return Security.open(SecuritySettings.model_validate({**named, **settings}))


@pytest.fixture
def place(tmp_path) -> Place:
    return Place(tmp_path)


@pytest.mark.parametrize("name", ["portal", "portal.cluster.example"])
async def test_a_client_certificate_has_the_roles_of_one_of_its_names(
    place: Place, name: str
) -> None:
    security = _mutual(place, {"name": name, "roles": ["predict"]})
    place.issue("portal", "portal.cluster.example")
    own = {"certificate": place.folder / "portal.pem", "key": place.folder / "portal.key"}
    async with running(
        FakePredictor(), security=security, access=Access(ca=place.ca_file, **own)
    ) as service:
        assert (await service.stub.Predict(job())).predicted_runtime > 0
        error = await _refused(service.stub.RecordOutcomes(iter(())))
        assert error.code() is grpc.StatusCode.PERMISSION_DENIED
        other = place.access("other")
        async with other.channel(f"{HOST}:{service.port}") as channel:
            call = channel.unary_unary(f"/{SERVICE}/GetModelInfo")
            assert (await _refused(call(b""))).code() is grpc.StatusCode.UNAUTHENTICATED


async def test_a_token_says_more_than_a_certificate(place: Place) -> None:
    security = _mutual(place, {"name": "portal", "roles": ["predict"]}, tokens=TOKENS)
    async with running(
        FakePredictor(), security=security, access=place.access("portal")
    ) as service:
        assert (await service.stub.Predict(job())).predicted_runtime > 0
        error = await _refused(service.stub.Predict(job(), metadata=_bearer(RECORD)))
        assert error.code() is grpc.StatusCode.PERMISSION_DENIED
        error = await _refused(service.stub.Predict(job(), metadata=_bearer("wrong")))
        assert error.code() is grpc.StatusCode.UNAUTHENTICATED


# limits of one client


def _limited(**settings: object) -> Security:
    return Security.open(SecuritySettings.model_validate(settings))


async def test_a_client_that_asks_too_often_is_told_when_to_come_back() -> None:
    security = _limited(calls_per_second_per_client=0.01, burst_per_client=3)
    async with running(FakePredictor(), security=security) as service:
        for _ in range(3):
            await service.stub.Predict(job())
        error = await _refused(service.stub.Predict(job()))
        assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert "more than 0.01 calls a second" in error.details()
        pushback = int(dict(error.trailing_metadata())["grpc-retry-pushback-ms"])
        assert 90_000 < pushback <= 100_000
        assert service.metric("rejected_calls_total", reason="client_limit") == 1
        await service.stub.HealthCheck(pb.HealthCheckRequest())


async def test_each_token_has_a_share_of_its_own() -> None:
    security = _security(calls_per_second_per_client=0.01, burst_per_client=1)
    async with running(FakePredictor(), security=security) as service:
        info, asked = service.stub.GetModelInfo, pb.GetModelInfoRequest()
        for token in (PREDICT, RECORD, ADMIN):
            await info(asked, metadata=_bearer(token))
            error = await _refused(info(asked, metadata=_bearer(token)))
            assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


async def _stream(service: Running):
    stream = service.stub.PredictStream()
    await stream.write(job())
    await stream.read()
    return stream


async def test_calls_in_progress_of_one_client_are_bounded_and_a_place_comes_free() -> None:
    async with running(FakePredictor(), security=_limited(max_calls_per_client=2)) as service:
        streams = [await _stream(service) for _ in range(2)]
        error = await _refused(service.stub.Predict(job()))
        assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert "2 calls in progress" in error.details()
        await streams[0].done_writing()
        assert await streams[0].read() is grpc.aio.EOF
        assert (await service.stub.Predict(job())).predicted_runtime > 0
        streams[1].cancel()


# limits of one stream


async def test_a_stream_of_too_many_messages_is_ended() -> None:
    async with running(FakePredictor(), security=_limited(max_stream_messages=3)) as service:
        stream = service.stub.PredictStream()
        for _ in range(3):
            await stream.write(job())
            await stream.read()
        await stream.write(job())
        error = await _refused(stream.read())
        assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert "4 is over the limit of 3 (security.max_stream_messages)" in error.details()
        assert (await service.stub.Predict(job())).predicted_runtime > 0


@pytest.mark.parametrize("method", ["PredictStream", "PredictArrow"])
async def test_a_stream_that_brings_nothing_is_ended(method: str) -> None:
    async with running(FakePredictor(), security=_limited(stream_idle_timeout_s=0.05)) as service:
        call = getattr(service.stub, method)()
        error = await _refused(call.read())
        assert error.code() is grpc.StatusCode.ABORTED
        assert "idle for 0.05 s" in error.details()
        assert service.metric("rejected_calls_total", reason="idle") == 1


def test_without_settings_there_is_no_gate() -> None:
    assert Security.open(SecuritySettings()) == Security()
