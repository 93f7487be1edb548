"""What can be seen of a running service from outside: its metrics, log, processes and outcomes."""

import asyncio
import json
import os
import shutil
import urllib.request
from collections.abc import Callable
from pathlib import Path

from rt_predictor.eventlog.files import open_log
from tests.e2e.conftest import Service
from tests.e2e.ledger import keys_of
from tests.waiting import PATIENCE_S

WORKER_UP = "rt_predictor_workers_up"


def copy_of(log: Path, folder: Path) -> Path:
    """A copy of a log in another folder."""
    return Path(shutil.copy(log, folder / "history.sqlite"))


def at(path: Path) -> dict[str, str]:
    """The setting that has a service keep its outcomes there."""
    return {"RT_PREDICTOR_HISTORY__PATH": str(path)}


def kept_ids(path: Path) -> list[str]:
    """Keys of all events in a log, as the ledger has them: ids of jobs that ended, and so on."""
    log = open_log(path)
    keys = keys_of(log.read_after(0, 10_000_000).events)
    log.close()
    return keys


def workers_of(service: Service) -> list[int]:
    """Processes of a supervisor's workers."""
    return workers_below(service.process.pid)


def workers_below(pid: int) -> list[int]:
    """Children of a supervisor that are not the tracker of multiprocessing."""
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(child) for child in found if b"spawn_main" in _command(child)]


def _command(pid: str) -> bytes:
    """How a process was called; nothing of one that has just gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def server_of(service: Service) -> int:
    """The process that answers, of a service with one worker; it may have a supervisor or not."""
    (pid,) = workers_of(service) or [service.process.pid]
    return pid


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
