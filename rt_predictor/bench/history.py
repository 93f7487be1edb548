"""Cost of history: recording outcomes, starting with many, and asking with many."""

import asyncio
import tempfile
from dataclasses import replace
from pathlib import Path
from time import perf_counter

import grpc

from rt_predictor.api.v1 import rt_predictor_pb2 as pb
from rt_predictor.api.v1 import rt_predictor_pb2_grpc as pb_grpc
from rt_predictor.bench.figures import Figures, Skipped, quantile_ms, rounds
from rt_predictor.bench.load import at_once
from rt_predictor.bench.plan import BenchPlan
from rt_predictor.bench.processes import Running, service
from rt_predictor.client import Client
from rt_predictor.errors import ServiceError
from rt_predictor.jobs.schema import JOB_SCHEMA
from rt_predictor.traces.generate import WorkloadShape, generate_jobs

EVENTS = 1_000_000
"""Finished jobs that a service restarts with."""
_RECORDED = 100_000
_ASKED = 500
_SHAPE = WorkloadShape(users=2000, days=700.0)
_FOLDED_WITHIN_S = 600.0


async def measure(plan: BenchPlan) -> Figures:
    """Events recorded a second by one client, and on disk; then, with a history of `EVENTS`:

    the time from the start of a service's process until it serves with all of it, and the median
    time of one Predict.
    """
    events = generate_jobs(plan.count(EVENTS, 2_000), 3, _SHAPE).select(*JOB_SCHEMA)
    events = events.sort("end_time", maintain_order=True)
    recorded = min(plan.count(_RECORDED, 1_000), len(events) // (plan.rounds + 1))
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "history.sqlite"
        rates = []
        with service(plan.bundle, history=log) as running:
            async with Client(running.target, timeout_s=600) as client:
                for number in range(plan.rounds):
                    some = events[number * recorded : (number + 1) * recorded]
                    started = perf_counter()
                    await client.record(some)
                    rates.append(len(some) / (perf_counter() - started))
                await client.record(events[plan.rounds * recorded :])
            await _until_folded(running, len(events))
        figures: Figures = {"history.record_per_s": rounds(rates, "1/s")}
        ready, asked = [], []
        for _ in range(plan.rounds):
            with service(plan.bundle, history=log) as running:
                ready.append(running.ready_s)
                await _until_folded(running, len(events))
                async with Client(running.target, timeout_s=60) as client:
                    drawn = plan.source.client_jobs(plan.count(_ASKED, 20))
                    jobs = [replace(job, submit_time=None) for job in drawn]  # submitted now
                    _, taken = await at_once(client.predict, jobs, 1)
                    asked.append(quantile_ms(taken, 0.5))
    if plan.scale < 1:
        figures["history.ready_s"] = Skipped("only at full scale")
    else:
        figures["history.ready_s"] = rounds(ready, "s")
    figures["history.predict_p50_ms"] = rounds(asked, "ms")
    return figures


async def _until_folded(running: Running, events: int) -> None:
    """Wait until a service's memory holds so many finished jobs. Raises ServiceError if not."""
    async with grpc.aio.insecure_channel(running.target) as channel:
        stub: pb_grpc.RuntimePredictorAsyncStub = pb_grpc.RuntimePredictorStub(channel)
        give_up = perf_counter() + _FOLDED_WITHIN_S
        while perf_counter() < give_up:
            health = await stub.HealthCheck(pb.HealthCheckRequest())
            message = health.components["history"].message
            if message.startswith(f"{events} jobs"):
                return
            await asyncio.sleep(0.1)
    raise ServiceError(f"the service did not read {events} outcomes: {message}")
