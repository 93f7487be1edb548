"""A candidate beside the service, with real processes: what it says is what it would do."""

import asyncio
import os
import shutil
import signal
import time
import urllib.request
from pathlib import Path

import polars as pl
import pytest

from rt_predictor.api.sockets import shares_ports
from rt_predictor.client import Client, Job, Shadow
from rt_predictor.eventlog.snapshots import snapshot_path
from rt_predictor.model.bundle import GRAPH_FILE
from rt_predictor.traces.generate import generate_jobs
from tests.waiting import PATIENCE_S

from .conftest import Service, running

LATER_S = 208 * 7 * 86_400.0
"""Four years: both models are judged on jobs that ended after their training alone."""
EVENTS = (
    generate_jobs(3000, seed=6)
    .with_columns(pl.col("submit_time", "start_time", "end_time") + LATER_S)
    .sort("end_time")
)
HALF = len(EVENTS) // 2
CALLS = 8
"""Fewer than the kernel holds for a candidate that does not get to run meanwhile."""
SHADOW, ALL = "RT_PREDICTOR_MODEL__SHADOW_PATH", {"RT_PREDICTOR_MODEL__SHADOW_SHARE": "1"}


def at(path: Path) -> dict[str, str]:
    return {"RT_PREDICTOR_HISTORY__PATH": str(path)}


def client(service: Service) -> Client:
    return Client(service.target, timeout_s=PATIENCE_S)


def page(service: Service) -> dict[str, float]:
    """Every series of the metrics page, but when each was created."""
    with urllib.request.urlopen(service.metrics_url, timeout=PATIENCE_S) as answer:
        lines = answer.read().decode().splitlines()
    series = (line.rpartition(" ") for line in lines if not line.startswith("#"))
    return {name: float(value) for name, _, value in series}


def figures(service: Service, kind: str) -> dict[str, float]:
    """The series of live jobs, by name and labels; `kind` is "live" or "shadow"."""
    prefix = f"rt_predictor_{kind}_"
    known = ("jobs", "mae", "accuracy", "underestimated", "coverage", "interval_score", "drift")
    named = {k.removeprefix(prefix): v for k, v in page(service).items() if k.startswith(prefix)}
    return {name: value for name, value in named.items() if name.startswith(known)}


async def until_folded(
    service: Service, kind: str, recorded: int = len(EVENTS)
) -> dict[str, float]:
    """The figures, once all recorded events are in them: they have stopped moving."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            await asyncio.sleep(0.3)
            found = figures(service, kind)
            jobs = next((v for name, v in found.items() if name.startswith("jobs{")), 0.0)
            if jobs == recorded:
                return found


async def shadow_of(service: Service) -> Shadow:
    async with client(service) as some:
        found = (await some.model_info()).shadow
    assert found is not None
    return found


async def test_a_candidate_has_the_figures_that_it_would_have_as_the_model_that_serves(
    tiny_bundle: Path, bundle: Path, tmp_path: Path
) -> None:
    """To the last bit, over a restart; and the ratios are those of the answers."""
    path, copy = tmp_path / "history.sqlite", tmp_path / "copy" / "history.sqlite"
    copy.parent.mkdir()
    later_s = float(EVENTS["end_time"].to_numpy().max()) + 60
    users = EVENTS["user"].unique(maintain_order=True).to_list()
    jobs = [
        Job(time_req=600.0 * (n + 1), user=users[n % len(users)], submit_time=later_s, partial=True)
        for n in range(CALLS)
    ]
    beside = {**at(path), **ALL, SHADOW: str(bundle)}
    with running(tiny_bundle, **beside) as service:
        async with client(service) as some:
            await some.record(EVENTS[:HALF])
        await until_folded(service, "shadow", HALF)
    assert snapshot_path(path, "shadow").exists()
    with running(tiny_bundle, **beside) as service:
        async with client(service) as some:
            await some.record(EVENTS[HALF:])
            found = await until_folded(service, "shadow")
            shadow = await shadow_of(service)
            served = [(await some.predict(job)).predicted_runtime for job in jobs]
            async with asyncio.timeout(PATIENCE_S):
                while (now := await shadow_of(service)).compared < CALLS:
                    await asyncio.sleep(0.1)
        assert now.failed == 0
        seen = page(service)
        total = "rt_predictor_shadow_answer_ratio_sum{"
        ratios = next(value for name, value in seen.items() if name.startswith(total))
        assert seen["rt_predictor_shadow_up"] == 1
        assert found != await until_folded(service, "live"), "both models are alike: no test"
    shutil.copy(path, copy)
    with running(bundle, **at(copy)) as service:
        assert await until_folded(service, "live") == found
        async with client(service) as some:
            assert shadow.live == (await some.model_info()).live
            would = [(await some.predict(job)).predicted_runtime for job in jobs]
    expected = [one / other for one, other in zip(would, served, strict=True)]
    assert ratios == pytest.approx(sum(expected), rel=1e-12)
    assert now.differing == pytest.approx(sum(not 0.9 < r <= 1.1 for r in expected) / CALLS)


async def test_a_bundle_that_cannot_be_used_is_told_of_harms_nothing_and_can_be_mended(
    tiny_bundle: Path, tmp_path: Path
) -> None:
    candidate = tmp_path / "candidate"
    shutil.copytree(tiny_bundle, candidate)
    graph = candidate / GRAPH_FILE
    graph.write_bytes(graph.read_bytes()[:-1])
    workers = 2 if shares_ports() else 1
    with running(tiny_bundle, "--workers", workers, "--shadow", candidate, **ALL) as service:
        service.wait_for("the shadow model cannot be used")
        async with client(service) as some:
            assert (await some.predict(Job(time_req=60.0, partial=True))).predicted_runtime > 0
            # The candidate says it in the log first, and then to the service.
            async with asyncio.timeout(PATIENCE_S):
                while (health := await some.health()).components["shadow"] != "DEGRADED":
                    await asyncio.sleep(0.05)
        assert health.status == "DEGRADED"
        assert f"shadow: {graph} is damaged" in health.message
        assert (await shadow_of(service)).problem in health.message
        assert page(service)["rt_predictor_shadow_up"] == 0

        graph.write_bytes((tiny_bundle / GRAPH_FILE).read_bytes())
        service.wait_for("shadow model loaded")
        async with asyncio.timeout(PATIENCE_S):
            while not page(service)["rt_predictor_shadow_up"]:
                await asyncio.sleep(0.1)
        async with client(service) as some:
            assert (await some.health()).status == "SERVING"
        assert not (await shadow_of(service)).problem


def candidate_of(service: Service) -> int:
    """The one process of the service that gives way to all others.

    What a thread has started is another's child once that has gone: look again.
    """
    give_up = time.monotonic() + PATIENCE_S
    while True:
        tasks = Path(f"/proc/{service.process.pid}/task").iterdir()
        children = {pid for task in tasks for pid in _children_of(task)}
        found = [pid for pid in children if lives(pid) and _gives_way(pid)]
        if len(found) == 1 or time.monotonic() > give_up:
            break
        time.sleep(0.05)
    (candidate,) = found
    return candidate


def _children_of(task: Path) -> list[int]:
    """What a thread has started; nothing of one that has just gone."""
    try:
        return [int(pid) for pid in (task / "children").read_text().split()]
    except OSError:
        return []


def _gives_way(pid: int) -> bool:
    try:
        return os.getpriority(os.PRIO_PROCESS, pid) == 19
    except ProcessLookupError:
        return False


def lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] != "Z"
    except OSError:
        return False


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="no /proc to find it with")
async def test_a_candidate_comes_back_when_it_is_killed_and_goes_when_the_service_is(
    tiny_bundle: Path,
) -> None:
    with running(tiny_bundle, "--shadow", tiny_bundle, **ALL) as service:
        service.wait_for("shadow model loaded")
        first = candidate_of(service)
        os.kill(first, signal.SIGKILL)
        async with client(service) as some:
            for _ in range(50):
                assert (await some.predict(Job(time_req=60.0, partial=True))).predicted_runtime > 0
        assert service.wait_for("shadow model ended")["exit_code"] == -signal.SIGKILL
        async with asyncio.timeout(PATIENCE_S):
            while [line["message"] for line in service.log].count("shadow model loaded") < 2:
                await asyncio.sleep(0.05)
            second = candidate_of(service)
            service.process.kill()
            while lives(second):
                await asyncio.sleep(0.05)
        assert second != first
