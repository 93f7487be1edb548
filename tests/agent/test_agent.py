"""The agent at its socket: answers, fallbacks, and clients that behave badly."""

import asyncio
from pathlib import Path

import pytest

from rt_predictor.agent import connection
from rt_predictor.errors import InvalidJobError, ServiceError
from tests.waiting import PATIENCE_S

from .fakes import FakeService, job, running

FALLBACK = {"v": 1, "fallback": True}
SHORT_MS = 20.0


# answers


async def test_a_job_gets_the_fields_of_the_api(tmp_path: Path) -> None:
    async with running(FakeService(), tmp_path) as it, it.caller() as caller:
        assert await caller.ask({**job(), "id": "a"}) == {
            "v": 1,
            "id": "a",
            "prediction": {
                "predicted_runtime": 1800.0,
                "confidence_lower": 900.0,
                "confidence_upper": 3600.0,
                "confidence_level": 0.9,
                "timeout_probability": 0.1,
                "recommended_time_req": 300.0,
                "recommendation_confidence": 0.9,
                "model_predictions": {"xgboost": 1800.0},
                "flags": ["unseen_qos"],
                "model_version": "m1",
            },
        }


async def test_a_connection_may_ask_many_things_at_once(tmp_path: Path) -> None:
    many = connection.MAX_UNANSWERED * 3
    async with running(FakeService(), tmp_path, max_in_flight=many) as it, it.caller() as caller:
        caller.say(*({**job(time_req=n), "id": n} for n in range(1, many + 1)))
        found = {answer["id"]: answer for answer in [await caller.hear() for _ in range(many)]}
    assert {n: a["prediction"]["predicted_runtime"] for n, a in found.items()} == {
        n: n / 2 for n in range(1, many + 1)
    }


async def test_who_closes_the_sending_side_is_answered_all_the_same(tmp_path: Path) -> None:
    many = connection.MAX_UNANSWERED + 5
    async with running(FakeService(), tmp_path, max_in_flight=many) as it, it.caller() as caller:
        caller.say(*(job(time_req=n) for n in range(1, many)))
        caller.writer.write(b'{"v":1,"op":"ping"}')  # no end of line
        caller.writer.write_eof()
        found = [await caller.hear() for _ in range(many)]
        assert sum("prediction" in answer for answer in found) == many - 1
        assert await caller.is_closed()


async def test_ping_and_stats(tmp_path: Path) -> None:
    async with running(FakeService(), tmp_path) as it, it.caller() as caller:
        assert (await caller.ask({"v": 1, "id": 1, "op": "ping"}))["pong"] is True
        for line in (job(), job(), job(user="bo"), {}):
            await caller.ask(line)
        stats = (await caller.ask({"v": 1, "op": "stats"}))["stats"]
    assert (stats["lines"], stats["predicted"], stats["cached"], stats["errors"]) == (6, 3, 1, 1)
    assert (stats["circuit"], stats["clients"], stats["in_flight"]) == ("closed", 1, 0)
    assert stats["answer_ms"]["p50"] <= stats["answer_ms"]["max"]


async def test_a_bad_line_harms_no_other(tmp_path: Path) -> None:
    async with running(FakeService(), tmp_path) as it, it.caller() as caller:
        caller.say(b"nonsense", b"", b"\xff\xfe", job(time_req=-1))
        for _ in range(3):
            assert (await caller.hear())["error"]["code"] == "INVALID_ARGUMENT"
        assert "prediction" in await caller.ask(job())


async def test_what_the_service_refuses_is_an_error_and_no_failure(tmp_path: Path) -> None:
    service = FakeService(error=InvalidJobError("qos", "x", "must be known"))
    async with running(service, tmp_path, failures=1) as it, it.caller() as caller:
        await service.looked.wait()
        it.agent._answers.circuit.succeeded()  # the fake's look fails likewise
        answer = await caller.ask({**job(), "id": 9})
        assert (answer["id"], answer["error"]["field"]) == (9, "qos")
        assert it.agent.stats()["circuit"] == "closed"


# the deadline


async def test_a_service_that_hangs_costs_the_deadline_and_no_more(tmp_path: Path) -> None:
    service = FakeService()
    service.gate.clear()
    async with running(service, tmp_path, deadline_ms=SHORT_MS) as it, it.caller() as caller:
        assert await caller.ask(job()) == {**FALLBACK, "reason": "deadline"}


async def test_a_late_answer_is_kept_for_the_next_request(tmp_path: Path) -> None:
    service = FakeService()
    service.gate.clear()
    async with running(service, tmp_path, deadline_ms=SHORT_MS) as it, it.caller() as caller:
        assert (await caller.ask(job()))["reason"] == "deadline"
        # The call may have begun some time after its caller did.
        await asyncio.sleep(2 * SHORT_MS / 1000)
        service.gate.set()
        await it.until(late=1)
        assert "prediction" in await caller.ask(job())
    assert len(service.asked) == 1


async def test_the_same_job_is_asked_for_once_at_a_time(tmp_path: Path) -> None:
    service = FakeService()
    service.gate.clear()
    async with running(service, tmp_path) as it, it.caller() as caller:
        caller.say(*[job()] * 10)
        await it.until(lines=10, in_flight=1)
        service.gate.set()
        assert all(["prediction" in await caller.hear() for _ in range(10)])
    assert len(service.asked) == 1


async def test_too_many_calls_in_progress_are_not_waited_for(tmp_path: Path) -> None:
    service = FakeService()
    service.gate.clear()
    async with running(service, tmp_path, max_in_flight=2) as it, it.caller() as caller:
        caller.say(*(job(time_req=n) for n in (1, 2)))
        await it.until(in_flight=2)
        assert (await caller.ask(job(time_req=3)))["reason"] == "busy"


# a service that is away


async def test_after_failures_the_service_is_asked_no_more(tmp_path: Path) -> None:
    service = FakeService()
    async with running(service, tmp_path, failures=2) as it, it.caller() as caller:
        await service.looked.wait()
        service.error = ServiceError("gone")
        reasons = [(await caller.ask(job(time_req=n)))["reason"] for n in range(1, 5)]
    assert reasons == ["error", "error", "away", "away"]
    assert len(service.asked) == 2


async def test_an_unforeseen_error_of_the_client_is_a_failure_like_any_other(
    tmp_path: Path,
) -> None:
    service = FakeService()
    async with running(service, tmp_path) as it, it.caller() as caller:
        await service.looked.wait()
        service.error = KeyError("alice")
        assert (await caller.ask(job()))["reason"] == "error"


@pytest.mark.parametrize("status", ["NOT_SERVING", "UNSPECIFIED"])
async def test_a_service_that_does_not_predict_is_away_until_it_does(
    tmp_path: Path, status: str
) -> None:
    service = FakeService(status=status)
    quick = {"heartbeat_s": 0.02, "backoff_max_s": 0.02}
    async with running(service, tmp_path, **quick) as it, it.caller() as caller:
        await it.until(circuit="open")
        assert (await caller.ask(job()))["reason"] == "away"
        service.error = KeyError("the look itself fails")
        seen = service.looks
        async with asyncio.timeout(PATIENCE_S):
            while service.looks < seen + 2:
                await asyncio.sleep(0.01)
        service.error, service.status = None, "DEGRADED"
        await it.until(circuit="closed")
        assert "prediction" in await caller.ask(job())
    assert len(service.asked) == 1


async def test_kept_answers_are_given_while_the_service_is_away(tmp_path: Path) -> None:
    service = FakeService()
    async with running(service, tmp_path, failures=1) as it, it.caller() as caller:
        await service.looked.wait()
        await caller.ask(job())
        service.error = ServiceError("gone")
        assert (await caller.ask(job(time_req=1)))["reason"] == "error"
        assert (await caller.ask(job(time_req=2)))["reason"] == "away"
        assert "prediction" in await caller.ask(job())


# clients


async def test_a_line_that_is_too_long_is_told_and_the_client_goes(tmp_path: Path) -> None:
    async with running(FakeService(), tmp_path, max_line_bytes=300) as it:
        for text in (b"x" * 10_000, b" " * 299 + b"\n" + b"y" * 301):
            async with it.caller() as caller:
                caller.writer.write(text)
                answer = await caller.hear()
                assert answer["error"]["code"] == "RESOURCE_EXHAUSTED"
                assert "agent.max_line_bytes" in answer["error"]["message"]
                assert await caller.is_closed()
        async with it.caller() as other:
            assert "prediction" in await other.ask(job())


async def test_a_thousand_connections_that_say_nothing_harm_nobody(tmp_path: Path) -> None:
    async with running(FakeService(), tmp_path, max_clients=16) as it:
        path = str(it.path)
        writers = [(await asyncio.open_unix_connection(path))[1] for _ in range(1000)]
        async with it.caller() as caller:
            assert "prediction" in await caller.ask(job())
            assert it.agent.stats()["clients"] <= 16
        for writer in writers:
            writer.transport.abort()


async def test_who_waits_for_an_answer_is_not_closed_for_a_newcomer(tmp_path: Path) -> None:
    service = FakeService()
    service.gate.clear()
    async with (
        running(service, tmp_path, max_clients=2) as it,
        it.caller() as one,
        it.caller() as two,
    ):
        one.say(job(time_req=2))
        two.say(job(time_req=4))
        await it.until(in_flight=2)
        for _ in range(3):
            async with it.caller() as newcomer:
                assert "agent.max_clients" in (await newcomer.hear())["error"]["message"]
                assert await newcomer.is_closed()
        service.gate.set()
        answers = [await client.hear() for client in (one, two)]
    assert [answer["prediction"]["predicted_runtime"] for answer in answers] == [1.0, 2.0]


async def test_a_client_that_never_reads_is_closed_and_holds_nobody_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "SLOW_READER_S", 0.05)
    async with running(FakeService(), tmp_path) as it, it.caller() as deaf:
        await deaf.ask(job())
        deaf.writer.transport.pause_reading()  # type: ignore[attr-defined]
        asked = 0
        async with asyncio.timeout(PATIENCE_S):
            while it.agent.stats()["clients"]:
                if not deaf.writer.is_closing():
                    deaf.say(*[job()] * 100)
                    asked += 100
                await asyncio.sleep(0.005)
        async with it.caller() as other:
            assert "prediction" in await other.ask(job())
        assert it.agent.stats()["lines"] < asked, "it was read no further"


async def test_a_stop_tells_who_waits_and_closes_every_connection(tmp_path: Path) -> None:
    service = FakeService()
    service.gate.clear()
    async with asyncio.timeout(PATIENCE_S):
        async with running(service, tmp_path) as it:
            reader, writer = await asyncio.open_unix_connection(str(it.path))
            _, idle = await asyncio.open_unix_connection(str(it.path))
            writer.write(b'{"v":1,"job":{"time_req":5,"partial":true}}\n')
            await it.until(in_flight=1, clients=2)
        assert await reader.readline() == b'{"v":1,"fallback":true,"reason":"stopping"}\n'
        assert await reader.read() == b""
    assert not it.path.exists()
    writer.transport.abort()
    idle.transport.abort()
