"""Renewal with real processes: a service takes up what is promoted, and renewals are cut off."""

import asyncio
import json
from pathlib import Path

import polars as pl
import pytest

from rt_predictor.api.sockets import shares_ports
from rt_predictor.client import Client
from rt_predictor.eventlog.files import open_log
from rt_predictor.jobs.events import ended_events
from rt_predictor.model.bundle import read_bundle
from rt_predictor.processes.bundle_watch import is_whole
from rt_predictor.traces.generate import generate_jobs
from tests.e2e.conftest import Program, Service, running, started
from tests.e2e.observed import told, until
from tests.model.plain_bundle import write_plain_bundle
from tests.waiting import PATIENCE_S

pytest.importorskip("catboost", reason="the libraries of the extra `train` are not installed")

JOBS = generate_jobs(2000, seed=14).sort("end_time")
RENEW = ("train", "--every", 7, "--watch")
TRAINED = "a candidate is before the shadow, and will be judged by the jobs that follow"


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """Where the bundle in service is, and its candidates come."""
    write_plain_bundle(tmp_path / "models" / "served", version="plain")
    record(tmp_path, JOBS[:1300])
    return tmp_path / "models"


@pytest.fixture
def settings(models: Path, tiny_bundle: Path) -> dict[str, str]:
    """Settings of a service and of the renewal beside it."""
    said = {
        "MODEL__PATH": models / "served",
        "MODEL__SHADOW_PATH": models / "candidate",
        "MODEL__WATCH": "true",
        "MODEL__WATCH_INTERVAL_S": "0.05",
        "HISTORY__PATH": models.parent / "history.sqlite",
        "TRAINING__BASE": tiny_bundle,
        "TRAINING__THREADS": "1",
        "TRAINING__NETWORK__TUNE_PASSES": "1",
        "TRAINING__NETWORK__JOBS_A_PASS": "2000",
    }
    return {f"RT_PREDICTOR_{name}": str(value) for name, value in said.items()}


def record(folder: Path, jobs: pl.DataFrame) -> None:
    log = open_log(folder / "history.sqlite")
    log.append(ended_events(jobs))
    log.close()


def make_due(models: Path) -> None:
    """Have the last training lie a month back."""
    path = models / "candidate.renewal" / "renewal.json"
    state = json.loads(path.read_text())
    state["candidate"]["trained_at_s"] -= 30 * 86400
    path.write_text(json.dumps(state))


async def version(service: Service) -> str:
    """The version that answers."""
    async with Client(service.target, timeout_s=PATIENCE_S) as client:
        return (await client.model_info()).model_version


@pytest.mark.skipif(not shares_ports(), reason="this system does not share ports")
async def test_a_candidate_that_is_promoted_is_served_without_a_stop(
    program: Program, models: Path, settings: dict[str, str]
) -> None:
    with running(models / "served", **settings) as service:
        first = await asyncio.to_thread(program, *RENEW, "--once", **settings)
        assert first.returncode == 0, first.stderr
        candidate = read_bundle(models / "candidate").info.model_version
        assert await version(service) == "plain"
        make_due(models)
        record(models.parent, JOBS[1300:])
        second = await asyncio.to_thread(program, *RENEW, "--once", **settings)
        assert second.returncode == 0, second.stderr
        assert "the candidate is promoted: it is no worse" in second.stderr
        await asyncio.to_thread(service.wait_for, "model loaded")
        async with asyncio.timeout(PATIENCE_S):
            while await version(service) != candidate:
                await asyncio.sleep(0.1)
        assert service.process.poll() is None
    assert read_bundle(models / "served.previous").info.model_version == "plain"


async def test_a_renewal_ends_when_it_is_told_to_and_a_killed_one_is_done_by_the_next(
    program: Program, models: Path, settings: dict[str, str]
) -> None:
    with started(*RENEW, **settings) as renewal:
        renewal.wait_for("renewal: tuning")
        refused = program(*RENEW, "--once", **settings)
        assert refused.returncode == 3
        assert "another process renews" in refused.stderr.splitlines()[-1]
        renewal.process.terminate()
        assert renewal.process.wait(PATIENCE_S) == 0
        await until(lambda: told(renewal, "stopped") == 1)
    with started(*RENEW, **settings) as renewal:
        renewal.wait_for("renewal: judging")
        renewal.process.kill()
        renewal.process.wait(PATIENCE_S)
    assert is_whole(models / "served")
    with started(*RENEW, **settings) as renewal:
        renewal.wait_for(TRAINED)
        assert is_whole(models / "candidate")
        renewal.process.terminate()
        assert renewal.process.wait(PATIENCE_S) == 0
    done = program(*RENEW, "--once", **settings)
    assert (done.returncode, "not due yet" in done.stderr) == (0, True)
