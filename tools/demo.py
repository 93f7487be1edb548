"""Starts the service, asks it as its users would, shows what it answers, and keeps it running.

    python tools/demo.py [--once]

`make demo` runs this. It needs the libraries of the service and the bundle that is committed.
Ctrl-C (or SIGTERM) stops it; `--once` stops it after the show.
"""

import argparse
import asyncio
import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, fields, replace
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(PROJECT))

from rt_predictor.cli import main as rt_predictor  # noqa: E402
from rt_predictor.cli.words import duration, percent  # noqa: E402
from rt_predictor.client import (  # noqa: E402
    Answer,
    Client,
    Job,
    Outcome,
    Prediction,
    Rejection,
)
from rt_predictor.errors import (  # noqa: E402
    EXIT_FAILURE,
    EXIT_OK,
    RTPredictorError,
    ServiceError,
    outcome_of,
)
from rt_predictor.model.bundle import read_bundle  # noqa: E402
from rt_predictor.serving.predictions import Flag  # noqa: E402
from rt_predictor.settings import Settings, load_settings  # noqa: E402
from rt_predictor.traces.generate import generate_jobs  # noqa: E402

COUNTS = ("processors_req", "nodes_req", "gpus_req")
START_TIMEOUT_S = 60.0
STOP_MARGIN_S = 10.0
"""What the service gets to stop, beyond the time its calls get to finish."""

SMALL_JOB = (
    "--processors 4 --nodes 1 --mem 8000 --time 1:00:00 --partition normal "
    "--qos normal --user alice"
)
LARGE_JOB = (
    "--processors 2048 --nodes 64 --mem 8T --time 2-00:00:00 --partition normal "
    "--qos normal --user bob --account climate --job-name ensemble-run"
)
RUNNING_JOB = f"{SMALL_JOB} --elapsed 0:30:00"
FILE = (
    {"job_id": "train-7", "processors_req": 16, "nodes_req": 1, "mem_req": 64000, "gpus_req": 2,
     "time_req": 28800, "qos": "normal", "user": "carol"},
    {"job_id": "broken", "processors_req": 0, "nodes_req": 1, "mem_req": 2000, "time_req": 600,
     "qos": "normal", "user": "dave"},
    {"job_id": "no-limit", "processors_req": 64, "nodes_req": 2, "mem_req": 256000,
     "qos": "normal", "user": "erin"},
)  # fmt: skip
PYTHON_JOB = Job(
    processors_req=32,
    nodes_req=4,
    mem_req=128_000,
    time_req=3600,
    partition="normal",
    qos="normal",
    user="alice",
)
FRANKS_JOB = replace(PYTHON_JOB, user="frank", job_name="nightly", time_req=86_400.0)
STREAM_LIMITS_S = (600.0, 3600.0, 86_400.0)
FRANKS_RUNTIMES_S = (2986.0, 3011.0, 3002.0, 2994.0, 3007.0)
"""Of five runs of one program, some 50 minutes each."""
LOG_JOBS = 2000
"""Of a made-up job log that is imported."""
LEARN_TIMEOUT_S = 30.0
"""How long the service may take to know of outcomes: it takes a moment."""
METRICS = (
    "rt_predictor_requests_total",
    "rt_predictor_request_duration_seconds_count",
    "rt_predictor_prediction_duration_seconds_count",
    "rt_predictor_active_connections",
)


@dataclass(frozen=True)
class Stage:
    """Where the service listens, and what it takes."""

    grpc: int
    metrics: int
    """0 where the metrics page is switched off."""
    takes_outcomes: bool
    """Whether history is switched on."""

    @property
    def target(self) -> str:
        """What a client on this machine is given."""
        return f"localhost:{self.grpc}"


class Service:
    """The service as a process of its own."""

    def __init__(self, stage: Stage, settings: Settings) -> None:
        self.stage = stage
        self._stop_timeout_s = settings.server.drain_timeout_s + STOP_MARGIN_S
        command = [sys.executable, "-m", "rt_predictor", "serve"]
        command += ["--port", str(stage.grpc), "--metrics-port", str(stage.metrics)]
        self._folder = tempfile.TemporaryDirectory(prefix="rt-predictor-")
        environment = {"RT_PREDICTOR_LOGGING__LEVEL": "WARNING", **os.environ}
        # Whatever is set: made-up outcomes must not get into a real log.
        environment["RT_PREDICTOR_HISTORY__PATH"] = str(Path(self._folder.name) / "history.sqlite")
        # In a group of its own: a Ctrl-C is for this program, which stops the service once.
        self.process = subprocess.Popen(command, env=environment, process_group=0)

    async def until_ready(self) -> None:
        """Waits until the service can answer.

        Raises ServiceError where it stops instead, or is not ready in time.
        """
        give_up = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < give_up:
            if self.process.poll() is not None:
                raise ServiceError("the service stopped while it was starting; see above")
            with suppress(ServiceError):
                async with Client(self.stage.target, timeout_s=2.0) as client:
                    if await client.is_serving():
                        return
            await asyncio.sleep(0.1)
        raise ServiceError(f"the service was not ready within {START_TIMEOUT_S:g} s")

    def stop(self) -> int:
        """Asks the service to stop, waits until it has, and returns its exit code.

        A Ctrl-C meanwhile asks again, which hurries the service.
        """
        with self._folder:
            for timeout_s in (self._stop_timeout_s, STOP_MARGIN_S):
                self.process.terminate()
                with suppress(subprocess.TimeoutExpired, KeyboardInterrupt):
                    return self.process.wait(timeout_s)
            self.process.kill()
            return self.process.wait()


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the show and returns the exit code."""
    parser = argparse.ArgumentParser(description="Starts the service and shows what it can do.")
    parser.add_argument("--once", action="store_true", help="stop after the show")
    once = parser.parse_args(arguments).once
    # SIGTERM and a closed terminal end the program the way Ctrl-C does.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    os.chdir(PROJECT)
    try:
        settings = load_settings()
        bundle = read_bundle(settings.model.path)
        stage = set_up(settings)
    except RTPredictorError as error:
        print(f"error: {error}", file=sys.stderr)
        return outcome_of(error).exit_code
    say(f"Model {bundle.info.model_version} in {settings.model.path} is whole.")
    return run(Service(stage, settings), once=once)


def run(service: Service, *, once: bool) -> int:
    """Shows what the service can do, keeps it running unless `once`, and stops it."""
    stopped, code = EXIT_OK, EXIT_OK
    try:
        asyncio.run(service.until_ready())
        say(f"The service is ready at {service.stage.target}.")
        show(service.stage)
        if not once:
            say(f"The service keeps running at {service.stage.target}; Ctrl-C stops it.")
            service.process.wait()
    except KeyboardInterrupt:
        say("Stopping the service.")
    except RTPredictorError as error:
        print(f"error: {error}", file=sys.stderr)
        code = EXIT_FAILURE
    finally:
        stopped = service.stop()
    return stopped or code


def set_up(settings: Settings) -> Stage:
    """The ports of the settings, or free ones in place of those that are taken."""
    server = settings.server
    port = _free_port(server.port, "server.port")
    metrics = server.metrics_enabled and _free_port(server.metrics_port, "server.metrics_port")
    return Stage(port, int(metrics), settings.history.enabled)


def _free_port(wanted: int, setting: str) -> int:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("", wanted))
        except OSError:
            probe.bind(("", 0))
            say(f"Port {wanted} ({setting}) is taken; this uses {probe.getsockname()[1]}.")
        return int(probe.getsockname()[1])


def show(stage: Stage) -> None:
    """Every way of asking, each with what a user would type."""
    target = [] if stage.target == "localhost:50051" else ["--target", stage.target]
    say("A small job:")
    run_command(["predict", *shlex.split(SMALL_JOB), *target])
    say("A large one:")
    run_command(["predict", *shlex.split(LARGE_JOB), *target])
    say("The small one once it has run for half an hour:")
    run_command(["predict", *shlex.split(RUNNING_JOB), *target])
    say("The same for programs:")
    run_command(["predict", *shlex.split(SMALL_JOB), *target, "--json"])
    say("A file of jobs. One is broken, one has no time limit; the others get their answers:")
    show_file(target)
    say("A batch from Python; a job that breaks a rule does not fail its neighbours:")
    asyncio.run(show_batch(stage))
    say("A stream from Python; each answer comes as soon as its job has been sent:")
    asyncio.run(show_stream(stage))
    if stage.takes_outcomes:
        say("What it learns when jobs end: a new user becomes known.")
        asyncio.run(show_learning(stage))
        say("What it learns from a job log: a new site becomes known.")
        show_import(stage, target)
    say("What model answers:")
    run_command(["info", "--top", "5", *target])
    if stage.metrics:
        say("What Prometheus sees:")
        show_metrics(stage)


def show_file(target: list[str]) -> None:
    """Scores a file of jobs."""
    with tempfile.TemporaryDirectory(prefix="rt-predictor-") as folder:
        jobs, answers = Path(folder) / "jobs.jsonl", Path(folder) / "answers.csv"
        lines = (json.dumps({**job, "partition": "normal"}) for job in FILE)
        jobs.write_text("\n".join(lines) + "\n")
        print(f"$ cat {jobs}\n{jobs.read_text()}", end="", flush=True)
        run_command(["score", str(jobs), "-o", str(answers), *target])
        print(f"$ cat {answers}\n{answers.read_text()}", end="", flush=True)


async def show_batch(stage: Stage) -> None:
    """Predicts three jobs at once."""
    print(
        f'>>> async with Client("{stage.target}") as client:\n'
        ">>>     async for answer in client.predict_many(jobs):\n"
        ">>>         print(answer)"
    )
    job = PYTHON_JOB
    jobs = [job, replace(job, nodes_req=0), replace(job, gpus_req=4)]
    async with Client(stage.target) as client:
        async for answer in client.predict_many(jobs):
            print(in_words(answer), flush=True)


async def show_stream(stage: Stage) -> None:
    """Predicts a stream of jobs."""
    print(
        f'>>> async with Client("{stage.target}") as client:\n'
        ">>>     async for answer in client.stream(jobs):\n"
        ">>>         print(answer)"
    )
    job = PYTHON_JOB
    jobs = (replace(job, time_req=limit_s) for limit_s in STREAM_LIMITS_S)
    async with Client(stage.target) as client:
        async for answer in client.stream(jobs):
            print(in_words(answer), flush=True)


async def show_learning(stage: Stage) -> None:
    """Predicts a job, tells how the same user's last jobs ended, and predicts it again.

    Raises ServiceError where the service does not take them in.
    """
    job = replace(FRANKS_JOB, confidence_level=0.5)
    now_s = time.time()
    ended = [
        Outcome(
            job=replace(FRANKS_JOB, submit_time=now_s - (6 - number) * 3600.0),
            job_id=f"frank-{number}",
            end_time=now_s - (6 - number) * 3600.0 + runtime_s,
            runtime=runtime_s,
        )
        for number, runtime_s in enumerate(FRANKS_RUNTIMES_S)
    ]
    async with Client(stage.target) as client:
        print(f"before: {in_words(await client.predict(job))}", flush=True)
        recorded = await client.record(ended)
        runtimes = ", ".join(duration(runtime_s) for runtime_s in FRANKS_RUNTIMES_S)
        print(f"recorded {recorded.recorded} finished jobs, which took {runtimes}")
        after = await until_known(client, job)
        print(f"after:  {in_words(after)}", flush=True)


async def until_known(client: Client, job: Job) -> Prediction:
    """The prediction for a job, once finished jobs of its user are known.

    Raises ServiceError where they are not within `LEARN_TIMEOUT_S`.
    """
    give_up = time.monotonic() + LEARN_TIMEOUT_S
    while Flag.COLD_START_USER in (answer := await client.predict(job)).flags:
        if time.monotonic() > give_up:
            raise ServiceError(f"outcomes were not known within {LEARN_TIMEOUT_S:g} s")
        await asyncio.sleep(0.05)
    return answer


def show_import(stage: Stage, target: list[str]) -> None:
    """Imports a made-up job log, and predicts a job of it before and after."""
    log = generate_jobs(LOG_JOBS, seed=1)
    times = ("submit_time", "start_time", "end_time")
    shift_s = time.time() - 3600.0 - log["end_time"].to_numpy().max()
    log = log.with_columns(*(log[name] + shift_s for name in times))
    last = log.sort("end_time").row(-1, named=True)
    known = {field.name for field in fields(Job)} - {"submit_time"}
    given = {name: value for name, value in last.items() if name in known and value is not None}
    given |= {name: int(given[name]) for name in COUNTS if name in given}
    job = Job(**given, partial=True)
    with tempfile.TemporaryDirectory(prefix="rt-predictor-") as folder:
        path = Path(folder) / "log.csv"
        log.write_csv(path)
        print(f"before: {in_words(asyncio.run(ask(stage, job)))}", flush=True)
        run_command(["history", "import", str(path), *(target or ["--target", stage.target])])
        print(f"after:  {in_words(asyncio.run(ask(stage, job, known=True)))}", flush=True)
        print(f"        it took {duration(last['runtime'])} last time")


async def ask(stage: Stage, job: Job, *, known: bool = False) -> Prediction:
    """Predicts a job; once its user is known, if that is to be waited for."""
    async with Client(stage.target) as client:
        return await until_known(client, job) if known else await client.predict(job)


def in_words(answer: Answer) -> str:
    """An answer on one line."""
    if isinstance(answer, Rejection):
        return f"not predicted: {answer.message}"
    interval = f"{duration(answer.confidence_lower)} to {duration(answer.confidence_upper)}"
    return f"{duration(answer.predicted_runtime)} ({percent(answer.confidence_level)}: {interval})"


def show_metrics(stage: Stage) -> None:
    """Prints the first figures of the metrics page."""
    url = f"http://localhost:{stage.metrics}/metrics"
    print(f"$ curl -s {url} | grep -E '^({'|'.join(METRICS)})' | grep -v '}} 0.0'")
    with urllib.request.urlopen(url, timeout=10) as page:
        lines = page.read().decode().splitlines()
    shown = [line for line in lines if line.startswith(METRICS) and not line.endswith("} 0.0")]
    print("\n".join(shown), flush=True)


def run_command(words: list[str]) -> None:
    """Shows a command as a user would type it, and runs it.

    Raises ServiceError where it fails.
    """
    print(f"$ rt-predictor {shlex.join(words)}", flush=True)
    code = rt_predictor(words)
    sys.stdout.flush()
    if code == 128 + signal.SIGINT:
        raise KeyboardInterrupt
    if code != EXIT_OK:
        raise ServiceError(f"the command above failed with exit code {code}")


def say(text: str) -> None:
    """One line to the user, apart from what programs print."""
    print(f"\n{text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
