"""Scenes of the demo: every way of asking, and how a new user becomes known."""

import asyncio
import json
import shlex
import tempfile
import time
import urllib.request
from dataclasses import replace
from pathlib import Path

from demo_site import show_site
from demo_stage import Stage, in_words, run_command, say

from rt_predictor.cli.words import duration
from rt_predictor.client import Client, Job, Outcome, Prediction
from rt_predictor.errors import ServiceError
from rt_predictor.model.answer_flags import Flag

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
LEARN_TIMEOUT_S = 30.0
"""How long the service may take to know of outcomes: it takes a moment."""
METRICS = (
    "rt_predictor_requests_total",
    "rt_predictor_request_duration_seconds_count",
    "rt_predictor_prediction_duration_seconds_count",
    "rt_predictor_active_connections",
)


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
        show_site(stage, target)
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


def show_metrics(stage: Stage) -> None:
    """Prints the first figures of the metrics page."""
    url = f"http://localhost:{stage.metrics}/metrics"
    print(f"$ curl -s {url} | grep -E '^({'|'.join(METRICS)})' | grep -v '}} 0.0'")
    with urllib.request.urlopen(url, timeout=10) as page:
        lines = page.read().decode().splitlines()
    shown = [line for line in lines if line.startswith(METRICS) and not line.endswith("} 0.0")]
    print("\n".join(shown), flush=True)
