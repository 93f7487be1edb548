"""Real worker processes under a real supervisor, with a fake model."""

import asyncio
import fcntl
import json
import os
import signal
import sys
import urllib.request
from pathlib import Path

import grpc
import pytest

from rt_predictor.api.sockets import shares_ports
from rt_predictor.api.v1 import rt_predictor_pb2 as pb
from rt_predictor.api.v1 import rt_predictor_pb2_grpc as pb_grpc
from rt_predictor.jobs.schema import FEW_JOBS
from rt_predictor.processes.served_model import ServedModel
from rt_predictor.processes.worker import Start, WorkerTask
from rt_predictor.processes.worker_process import WorkerProcess
from rt_predictor.settings import Settings
from tests.api.harness import HOST, job
from tests.e2e.observed import workers_below
from tests.predict.fakes import fake_predictor
from tests.waiting import PATIENCE_S

pytestmark = [
    pytest.mark.skipif(not shares_ports(), reason="this system does not share ports"),
    pytest.mark.slow,
]

PROJECT = Path(__file__).resolve().parents[2]
_PROGRAM = """
import sys
from rt_predictor.errors import BundleError
from rt_predictor.processes.run import run
from rt_predictor.settings import load_settings
from tests.predict.fakes import fake_predictor

def broken(settings, history):
    raise BundleError("the bundle is damaged")

def hanging(settings, history):
    import asyncio
    import time
    from tests.predict.fakes import FakePredictor

    loop = asyncio.get_running_loop()

    def hang_for_good():
        time.sleep(3600)

    class Hanging(FakePredictor):
        def predict(self, jobs):
            answer = super().predict(jobs)
            names = set(self.asked[-1]["job_name"])
            if "hang" in names:
                # Here may be a thread, or the loop itself.
                loop.call_soon_threadsafe(hang_for_good)
                hang_for_good()
            if "busy" in names:
                time.sleep(2.0)
            return answer

    return Hanging()

def crashing(settings, history):
    import os
    os._exit(77)

if __name__ == "__main__":
    sys.exit(run(load_settings(), globals()[sys.argv[1]]))
"""


class Service:
    """A supervisor and its log."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.lines: list[dict[str, object]] = []

    async def until(self, message: str) -> dict[str, object]:
        """Reads the log up to a line with that message."""
        assert self.process.stderr is not None
        async with asyncio.timeout(PATIENCE_S):
            while raw := await self.process.stderr.readline():
                self.lines.append(json.loads(raw))
                if self.lines[-1]["message"] == message:
                    return self.lines[-1]
        raise AssertionError(f"never said {message!r}: {self.lines}")

    async def end(self) -> int:
        assert self.process.stderr is not None
        async with asyncio.timeout(PATIENCE_S):
            async for raw in self.process.stderr:
                self.lines.append(json.loads(raw))
            return await self.process.wait()


@pytest.fixture
async def start(tmp_path: Path):
    """Starts a supervisor of two workers with a predictor factory."""
    program = tmp_path / "program.py"
    program.write_text(_PROGRAM)
    started: list[asyncio.subprocess.Process] = []

    async def start(factory: str, **more: str) -> Service:
        kept = {k: v for k, v in os.environ.items() if not k.startswith("RT_PREDICTOR_")}
        settings = {
            "PYTHONPATH": os.pathsep.join([str(PROJECT), kept.get("PYTHONPATH", "")]),
            "TMPDIR": str(tmp_path),
            "RT_PREDICTOR_LOGGING__FORMAT": "json",
            "RT_PREDICTOR_LOGGING__LEVEL": "DEBUG",
            "RT_PREDICTOR_SERVER__HOST": HOST,
            "RT_PREDICTOR_SERVER__PORT": "0",
            "RT_PREDICTOR_SERVER__METRICS_PORT": "0",
            "RT_PREDICTOR_SERVER__MAX_WORKERS": "2",
            "RT_PREDICTOR_HISTORY__PATH": str(tmp_path / "history.sqlite"),
        }
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-W", "error", str(program), factory),
            env={**kept, **settings, **more},
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
        started.append(process)
        return Service(process)

    yield start
    for process in started:
        if process.returncode is None:
            # A worker that hangs would not see that its supervisor is gone.
            os.killpg(process.pid, signal.SIGKILL)
            await process.communicate()


async def _ask(port: object, jobs: int = 1, **fields: object) -> None:
    async with grpc.aio.insecure_channel(
        f"{HOST}:{port}", options=(("grpc.use_local_subchannel_pool", 1),)
    ) as channel:
        stub = pb_grpc.RuntimePredictorStub(channel)
        if jobs == 1:
            answers = [await stub.Predict(job(**fields), timeout=PATIENCE_S, wait_for_ready=True)]
        else:
            batch = pb.PredictBatchRequest(jobs=[job(**fields)] * jobs)
            call = stub.PredictBatch(batch, timeout=PATIENCE_S, wait_for_ready=True)
            answers = (await call).predictions
        assert len(answers) == jobs
        assert all(answer.predicted_runtime > 0 for answer in answers)


async def _metrics(port: object) -> dict[str, float]:
    def read() -> str:
        with urllib.request.urlopen(f"http://{HOST}:{port}/metrics", timeout=PATIENCE_S) as page:
            return page.read().decode()

    lines = [line for line in (await asyncio.to_thread(read)).splitlines() if line[0] != "#"]
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines)}


@pytest.mark.skipif(sys.platform != "linux", reason="finds the workers in /proc")
async def test_workers_share_a_port_outlive_one_another_and_stop_together(
    start, tmp_path: Path
) -> None:
    service = await start("fake_predictor")
    serving = await service.until("serving")
    assert (serving["workers"], serving["model_version"]) == (2, "fake-1")
    assert {line["worker"] for line in service.lines[:-1]} == {0, 1}
    for _ in range(10):
        await _ask(serving["port"])
    metrics = await _metrics(serving["metrics_port"])
    assert metrics['rt_predictor_requests_total{method="Predict",status="OK"}'] == 10
    assert metrics["rt_predictor_workers_up"] == 2
    assert metrics['rt_predictor_model_info{version="fake-1"}'] == 1

    for victim in workers_below(service.process.pid):
        os.kill(victim, signal.SIGKILL)
        ended = await service.until("worker ended")
        assert ended["exit_code"] == -signal.SIGKILL
        await service.until("worker ready")
        await _ask(serving["port"])

    before = set(workers_below(service.process.pid))
    service.process.send_signal(signal.SIGHUP)
    await service.until("workers replaced")
    assert before.isdisjoint(workers_below(service.process.pid))
    await _ask(serving["port"])

    metrics = await _metrics(serving["metrics_port"])
    assert metrics['rt_predictor_requests_total{method="Predict",status="OK"}'] == 13
    assert metrics["rt_predictor_workers_up"] == 2
    assert metrics["rt_predictor_worker_restarts_total"] == 2

    service.process.terminate()
    assert await service.end() == 0
    assert service.lines[-1]["message"] == "stopped"
    assert list(tmp_path.glob("rt-predictor-*")) == []


async def test_a_process_that_was_killed_is_known_to_have_ended(tmp_path: Path) -> None:
    ended: list[WorkerProcess] = []
    start = Start(ServedModel(tmp_path, tmp_path / "copy"))
    task = WorkerTask(Settings(), fake_predictor, 5, 1, tmp_path, start)
    process = WorkerProcess(task, ended.append, lambda *_: None)
    process.kill()
    async with asyncio.timeout(PATIENCE_S):
        assert await process.started() is None
    assert (ended, process.exit_code, process.serves) == ([process], -signal.SIGKILL, False)
    process.terminate()
    process.kill()


@pytest.mark.skipif(sys.platform != "linux", reason="finds the workers in /proc")
async def test_a_worker_that_hangs_is_killed_and_says_where_and_one_that_is_busy_or_paused_is_not(
    start,
) -> None:
    service = await start("hanging", RT_PREDICTOR_SERVER__HUNG_AFTER_S="1.0")
    serving = await service.until("serving")
    await _ask(serving["port"], FEW_JOBS + 1, job_name="busy")
    # All of it stands still, as in a container that is paused: no worker is to blame.
    everybody = (service.process.pid, *workers_below(service.process.pid))
    for number, for_s in ((signal.SIGSTOP, 2.0), (signal.SIGCONT, 0.5)):
        for pid in everybody:
            os.kill(pid, number)
        await asyncio.sleep(for_s)
    await _ask(serving["port"])
    assert (await _metrics(serving["metrics_port"]))["rt_predictor_hung_workers_total"] == 0

    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await _ask(serving["port"], job_name="hang")
    assert raised.value.code() is grpc.StatusCode.UNAVAILABLE
    hangs = await service.until("worker hangs: killed")
    assert (hangs["level"], hangs["silent_for_s"]) == ("ERROR", 1.0)
    assert "hang_for_good" in str(hangs["traceback"])
    assert (await service.until("worker ended"))["exit_code"] == -signal.SIGKILL
    await service.until("worker ready")
    await _ask(serving["port"])
    metrics = await _metrics(serving["metrics_port"])
    assert metrics["rt_predictor_hung_workers_total"] == 1
    assert metrics["rt_predictor_worker_restarts_total"] == 1


async def test_a_worker_that_cannot_start_stops_it_all_with_its_one_line(start) -> None:
    service = await start("broken")
    assert await service.end() == 3
    (line,) = service.lines
    assert (line["level"], line["message"]) == ("ERROR", "the bundle is damaged")


async def test_a_worker_that_crashes_at_start_stops_it_all_and_is_told_of(start) -> None:
    service = await start("crashing")
    assert await service.end() == 1
    (line,) = service.lines
    assert line["message"] == "a worker ended at its start with exit code 77"


async def test_its_folder_is_locked_against_those_who_clean_up(start, tmp_path: Path) -> None:
    service = await start("fake_predictor")
    await service.until("serving")
    (folder,) = tmp_path.glob("rt-predictor-*")
    handle = os.open(folder, os.O_RDONLY)
    try:
        with pytest.raises(BlockingIOError):
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    finally:
        os.close(handle)
    service.process.terminate()
    assert await service.end() == 0


@pytest.mark.skipif(sys.platform != "linux", reason="finds the workers in /proc")
async def test_workers_do_not_outlive_a_supervisor_that_was_killed(start) -> None:
    service = await start("fake_predictor")
    await service.until("serving")
    service.process.kill()
    # The workers hold the other end of the log: it ends once they have.
    assert await service.end() == -signal.SIGKILL
