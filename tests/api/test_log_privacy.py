"""A real process: whatever goes wrong, its log holds no name that a client sent."""

import asyncio
import json
import os
import sys
from pathlib import Path

import grpc
import polars as pl
import pytest

from rt_predictor.api.middleware import SERVICE
from rt_predictor.api.v1 import rt_predictor_pb2 as pb
from rt_predictor.api.v1 import rt_predictor_pb2_grpc as pb_grpc
from tests.api.harness import HOST, job
from tests.api.test_arrow import stream_of
from tests.predict.fakes import POISON
from tests.waiting import PATIENCE_S

pytestmark = pytest.mark.slow

PROJECT = Path(__file__).resolve().parents[2]
MARKER = "marker0user"
NAMES = ("user", "account", "job_name", "partition", "qos")
_PROGRAM = """
import sys
from rt_predictor.processes.run import run
from rt_predictor.settings import load_settings
from tests.predict.fakes import fake_predictor
sys.exit(run(load_settings(), fake_predictor))
"""


async def _log_of_a_service(folder: Path, form: str, users: str) -> str:
    """All that a service writes while clients of all kinds fail at it."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("RT_PREDICTOR_")}
    settings = {
        "PYTHONPATH": os.pathsep.join([str(PROJECT), kept.get("PYTHONPATH", "")]),
        "RT_PREDICTOR_LOGGING__FORMAT": form,
        "RT_PREDICTOR_LOGGING__LEVEL": "TRACE",
        "RT_PREDICTOR_LOGGING__USERS": users,
        "RT_PREDICTOR_SERVER__HOST": HOST,
        "RT_PREDICTOR_SERVER__PORT": "0",
        "RT_PREDICTOR_SERVER__METRICS_ENABLED": "false",
        "RT_PREDICTOR_SERVER__SLOW_CALL_S": "1e-9",
        "RT_PREDICTOR_SERVER__MAX_MESSAGE_MB": "1",
        "RT_PREDICTOR_HISTORY__PATH": str(folder / "history.sqlite"),
    }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-W", "error", "-c", _PROGRAM),
        env={**kept, **settings},
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stderr is not None
    try:
        async with asyncio.timeout(PATIENCE_S):
            said = b""
            while b"serving" not in said:
                said += await process.stderr.readline()
            await _fail(_port(said.decode(), form))
            process.terminate()
            said += await process.stderr.read()
            assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()
    return said.decode()


def _port(said: str, form: str) -> int:
    line = said.splitlines()[-1]
    found = json.loads(line)["port"] if form == "json" else line.split(" port=")[1].split()[0]
    return int(found)


async def _fail(port: int) -> None:
    """Calls of every kind that are refused, fail or are left, all with the name in them."""
    named = {name: f"{MARKER} {name}" for name in NAMES}
    poison = job(**{**named, "job_name": POISON})
    bad = [job(**{**named, name: MARKER * 50}) for name in NAMES]
    async with grpc.aio.insecure_channel(f"{HOST}:{port}") as channel:
        stub = pb_grpc.RuntimePredictorStub(channel)
        await stub.Predict(job(**named, request_id="good"))
        for request in (*bad, job(**named, nodes_req=0), job(**named, request_id="x" * 300)):
            await _refused(stub.Predict(request))
        poison.request_id = "failing"
        await _refused(stub.Predict(poison))
        await _refused(stub.Predict(job(**{**named, "job_name": MARKER * 2**18})))
        for method in (f"{SERVICE}/{MARKER}", f"{MARKER}/Predict", f"{SERVICE}/Predict"):
            raw = channel.unary_unary(f"/{method}", request_serializer=bytes)
            await _refused(raw(b"\xff" + MARKER.encode()))
        batch = pb.PredictBatchRequest(jobs=[poison, *bad, job(**named)], batch_id="failing batch")
        assert (await stub.PredictBatch(batch)).failed == 6
        large = pb.PredictBatchRequest(jobs=[*batch.jobs] * 20)
        assert (await stub.PredictBatch(large)).failed == 120
        await _stream(stub, [poison, *bad])
        await _tables(stub, poison)
        await _outcomes(stub, bad)
        left = stub.PredictStream(metadata=((MARKER, MARKER),))
        await left.write(job(**named))
        await left.read()
        left.cancel()


async def _refused(call) -> None:
    with pytest.raises(grpc.aio.AioRpcError):
        await call


async def _stream(stub, jobs: list[pb.PredictRequest]) -> None:
    stream = stub.PredictStream()
    for one in jobs:
        await stream.write(one)
    for _ in jobs:
        assert (await stream.read()).error.code
    await stream.done_writing()


async def _tables(stub, poison: pb.PredictRequest) -> None:
    failing = pl.DataFrame({name: [getattr(poison, name), MARKER * 50] for name in NAMES})
    for frame in (failing, pl.DataFrame({MARKER: [MARKER]})):
        call = stub.PredictArrow()
        await call.write(pb.PredictArrowRequest(jobs=stream_of(frame), partial=True))
        if frame is failing:
            assert (await call.read()).failed == 2
            await call.done_writing()
        else:
            await _refused(call.read())


async def _outcomes(stub, bad: list[pb.PredictRequest]) -> None:
    call = stub.RecordOutcomes()
    outcomes = [pb.JobOutcome(job=one, job_id=MARKER, state=MARKER) for one in bad]
    await call.write(pb.RecordOutcomesRequest(outcomes=outcomes))
    await call.done_writing()
    assert (await call).invalid == len(bad)


@pytest.mark.parametrize("form", ["json", "console"])
async def test_no_name_that_a_client_sent_is_in_the_log(tmp_path: Path, form: str) -> None:
    log = await _log_of_a_service(tmp_path, form, "false")
    assert MARKER not in log
    # What went wrong is there all the same, so the names were left out and not the lines.
    for said in ("internal error", "call refused", "slow call", "failing", "failing batch"):
        assert said in log
    assert log.count("RuntimeError") >= 4


async def test_a_setting_allows_the_name_of_the_user_and_no_other(tmp_path: Path) -> None:
    log = await _log_of_a_service(tmp_path, "json", "true")
    lines = [json.loads(line) for line in log.splitlines()]
    assert f"{MARKER} user" in {line.get("user") for line in lines}
    for line in lines:
        line.pop("user", "")
        assert MARKER not in json.dumps(line)
