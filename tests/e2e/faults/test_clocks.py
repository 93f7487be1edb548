"""The wall clock is stepped under a running service, forward and back."""

import asyncio
import struct
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import grpc
import pytest

from rt_predictor.api.sockets import shares_ports
from rt_predictor.api.v1 import rt_predictor_pb2 as pb
from rt_predictor.api.v1 import rt_predictor_pb2_grpc as pb_grpc
from rt_predictor.client import Client, codec
from tests.e2e.conftest import Service, running
from tests.e2e.ledger import Ledger, load, until_answered
from tests.e2e.observed import at, kept_ids, told, until
from tests.waiting import PATIENCE_S

HOUR_S = 3600
YEAR_S = 365 * 24 * HOUR_S
PREDICT = ("one", "several", "stream", "table")
Step = Callable[[int], None]


@pytest.fixture(scope="session")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library that steps the wall clock of the process that it is loaded into.

    Not libfaketime: with it and a monotonic clock that is left alone, `time.sleep` fails.
    """
    built = tmp_path_factory.mktemp("clock") / "stepped_clock.so"
    source = Path(__file__).with_name("stepped_clock.c")
    command = ["cc", "-shared", "-fPIC", "-O1", "-o", str(built), str(source), "-ldl"]
    try:
        subprocess.run(command, check=True, capture_output=True, timeout=PATIENCE_S)
    except FileNotFoundError:
        pytest.skip("there is no C compiler")
    return built


@pytest.fixture
def stepped(shim: Path, tmp_path: Path) -> tuple[Step, dict[str, str]]:
    """Steps the clock to so many seconds off; and the settings of a process that this holds for."""
    file = tmp_path / "step"

    def step(seconds: int) -> None:
        with file.open("r+b" if file.exists() else "wb") as opened:
            opened.write(struct.pack("q", seconds))

    step(0)
    return step, {"LD_PRELOAD": str(shim), "STEPPED_CLOCK": str(file)}


async def uptime_s(service: Service) -> float:
    async with Client(service.target, timeout_s=PATIENCE_S) as client:
        async with asyncio.timeout(PATIENCE_S):
            # A machine that stands still for a moment may have left the log some seconds ahead.
            while (health := await client.health()).components["history"] != "SERVING":
                await asyncio.sleep(0.05)
        return health.uptime_seconds


async def a_stream_with_a_deadline(
    service: Service, ledger: Ledger, halfway: Callable[[], None]
) -> None:
    """Asserts that a stream whose deadline is far goes on to its end."""
    answered: asyncio.Queue[None] = asyncio.Queue()

    async def requests() -> AsyncIterator[pb.PredictRequest]:
        for number, job in enumerate(ledger.site.jobs):
            if number == len(ledger.site.jobs) // 2:
                halfway()
            yield codec.request(job)
            await answered.get()

    async with grpc.aio.insecure_channel(service.target) as channel:
        stub: pb_grpc.RuntimePredictorAsyncStub = pb_grpc.RuntimePredictorStub(channel)
        async for answer in stub.PredictStream(requests(), timeout=PATIENCE_S):
            ledger.compare(codec.answer(answer))
            answered.put_nowait(None)
            ledger.calls["answers of a stream"] += 1
    assert ledger.calls["answers of a stream"] == len(ledger.site.jobs)


@pytest.mark.skipif(sys.platform != "linux", reason="the clock is stepped by preloading, on Linux")
async def test_steps_of_the_clock_change_no_answer_fail_no_call_and_hinder_no_stop(
    bundle: Path, path: Path, ledger: Ledger, stepped: tuple[Step, dict[str, str]]
) -> None:
    step, environment = stepped
    workers = 2 if shares_ports() else 1
    with running(bundle, "--workers", workers, **at(path), **environment) as service:
        async with load(service.target, ledger, name="shaken"):
            for seconds in (HOUR_S, -HOUR_S, YEAR_S, 0):
                await until_answered(ledger, 20)
                step(seconds)
                await until_answered(ledger, 20)
                assert 0 < await uptime_s(service) < 10 * PATIENCE_S
        async with load(service.target, ledger, kinds=PREDICT):
            step(-20 * YEAR_S)
            await until_answered(ledger, 20)
        async with Client(service.target, timeout_s=PATIENCE_S) as client:
            events = next(ledger.site.news("ahead"))
            refused = await client.record(events)
            assert refused.invalid == len(events)
            assert "must not be in the future" in refused.errors[0].message
            step(0)
            await a_stream_with_a_deadline(service, ledger, lambda: step(YEAR_S))
        service.process.terminate()
        await until(lambda: told(service, "shutting down") > 0)
        step(YEAR_S)
        assert await asyncio.to_thread(service.process.wait, PATIENCE_S) == 0
    ledger.assert_sound()
    ledger.assert_recorded(kept_ids(path))
