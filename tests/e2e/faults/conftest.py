"""A site, what an undisturbed service says of its jobs, and means to disturb one."""

import asyncio
import json
import os
import shutil
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from rt_predictor.client import Client
from rt_predictor.history.place import open_log
from tests.e2e.conftest import PATIENCE_S, Service, running
from tests.e2e.ledger import Ledger, Reference, Site, reference_of

WORKER_UP = "rt_predictor_workers_up"


@pytest.fixture(scope="session")
def site(bundle: Path) -> Site:
    """What had happened before the load, and what it asks for."""
    return Site.made_up(bundle)


@pytest.fixture(scope="session")
def past_log(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A log of the site's past, which no service uses."""
    path = tmp_path_factory.mktemp("past") / "history.sqlite"
    log = open_log(path)
    log.append(site.past)
    log.close()
    return path


@pytest.fixture(scope="session")
def reference(
    bundle: Path, site: Site, past_log: Path, tmp_path_factory: pytest.TempPathFactory
) -> Reference:
    """What an undisturbed service says, which is gone afterwards."""
    path = copy_of(past_log, tmp_path_factory.mktemp("undisturbed"))

    async def ask(target: str) -> Reference:
        async with Client(target, timeout_s=PATIENCE_S) as client:
            return await reference_of(client, site)

    with running(bundle, **at(path)) as service:
        return asyncio.run(ask(service.target))


@pytest.fixture
def ledger(site: Site, reference: Reference) -> Ledger:
    """An empty ledger."""
    return Ledger(site, reference)


@pytest.fixture
def path(past_log: Path, tmp_path: Path) -> Path:
    """A log of the site's past, for one service."""
    return copy_of(past_log, tmp_path)


def copy_of(log: Path, folder: Path) -> Path:
    """A copy of a log in another folder."""
    return Path(shutil.copy(log, folder / "history.sqlite"))


def at(path: Path) -> dict[str, str]:
    """The setting that has a service keep its outcomes there."""
    return {"RT_PREDICTOR_HISTORY__PATH": str(path)}


def kept_ids(path: Path) -> list[str]:
    """Ids of all jobs in a log."""
    log = open_log(path)
    ids = log.read_after(0, 10_000_000).events["job_id"].to_list()
    log.close()
    return ids


def workers_of(service: Service) -> list[int]:
    """Processes of a supervisor's workers."""
    pid = service.process.pid
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [
        int(child)
        for child in found
        if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes()
    ]


def metric(service: Service, name: str) -> float:
    """The value of a series without labels."""
    with urllib.request.urlopen(service.metrics_url, timeout=PATIENCE_S) as page:
        lines = page.read().decode().splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith(f"{name} "))


async def until(holds: Callable[[], bool]) -> None:
    """Waits, off the event loop, until something holds."""
    async with asyncio.timeout(PATIENCE_S):
        while not await asyncio.to_thread(holds):
            await asyncio.sleep(0.05)


def told(service: Service, message: str) -> int:
    """How often the service has said so."""
    with service.news:
        return sum(line["message"] == message for line in service.log)


def everything_told(service: Service) -> str:
    """The service's log so far."""
    with service.news:
        return "\n".join(map(json.dumps, service.log))


def descriptors(pid: int) -> int:
    """Files and sockets that a process has open."""
    return len(os.listdir(f"/proc/{pid}/fd"))  # noqa: PTH208 - no paths are wanted


def resident_mb(pid: int) -> float:
    """Memory that a process holds, in MB."""
    status = Path(f"/proc/{pid}/status").read_text()
    (kib,) = [line.split()[1] for line in status.splitlines() if line.startswith("VmRSS:")]
    return int(kib) / 1024
