"""The disk of the outcome log is full, or may not be written."""

import asyncio
import os
import re
import resource
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from rt_predictor.client import Client, Recorded
from rt_predictor.errors import ServiceError
from tests.e2e.conftest import Service, running
from tests.e2e.ledger import Ledger, load, until_answered
from tests.e2e.observed import at, copy_of, kept_ids, metric, server_of, until
from tests.waiting import PATIENCE_S

ERRORS = "rt_predictor_history_errors_total"
PREDICT = ("one", "several", "stream", "table")


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A small disk of its own."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(folder)]
    if os.geteuid() or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("only root may mount a disk, where it may")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def fill(disk: Path) -> Path:
    """A file that takes all the room that is left."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file:
        while shutil.disk_usage(disk).free:  # the service may just give some room back
            with suppress(OSError):
                file.write(bytes(4096))
    return ballast


UNWRITABLE = "cannot be (written|opened)"
"""A log that could not be written is opened anew, which may fail as well."""


async def refused_because(service: Service, ledger: Ledger, reason: str) -> list[str]:
    """Asserts that outcomes are refused, and the health says why. Returns their ids."""
    events = next(ledger.site.news("refused"))
    async with Client(service.target, timeout_s=PATIENCE_S, attempts=1) as client:
        with pytest.raises(ServiceError, match=rf"{reason}.* \(UNAVAILABLE\)"):
            await client.record(events)
        health = await client.health()
    assert health.components["history"] == "DEGRADED"
    assert re.search(reason, health.message)
    return events["job_id"].to_list()


async def recorded_after_all(service: Service, ledger: Ledger) -> None:
    """Asserts that the outcomes that were refused are recorded now, and nothing is wrong."""
    events = next(ledger.site.news("refused"))
    async with Client(service.target, timeout_s=PATIENCE_S) as client:
        found = await client.record(events)
        assert isinstance(found, Recorded)
        assert found.recorded + found.duplicates == len(events)
        ledger.acknowledged.extend(events["job_id"])
        async with asyncio.timeout(PATIENCE_S):  # who reads the log tries again once a second
            while (await client.health()).components["history"] != "SERVING":
                await asyncio.sleep(0.05)


async def test_a_full_disk_stops_no_prediction_and_loses_no_outcome(
    bundle: Path, past_log: Path, disk: Path, ledger: Ledger
) -> None:
    path = copy_of(past_log, disk)
    with running(bundle, "--workers", 2, **at(path)) as service:
        async with load(service.target, ledger, callers=2, name="before"):
            await until_answered(ledger, 20)
        ballast = fill(disk)
        async with load(service.target, ledger, callers=2, kinds=PREDICT):
            ledger.in_doubt += await refused_because(service, ledger, "disk is full")
            await until_answered(ledger, 40)
            ballast.unlink()
            await recorded_after_all(service, ledger)
        async with load(service.target, ledger, callers=2, name="after"):
            await until_answered(ledger, 20)
    ledger.assert_sound()
    ledger.assert_recorded(kept_ids(path))


async def test_a_file_at_its_largest_is_a_full_disk(
    bundle: Path, path: Path, ledger: Ledger
) -> None:
    with running(bundle, **at(path)) as service:
        pid = server_of(service)
        allowed = resource.prlimit(pid, resource.RLIMIT_FSIZE)
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (1024, allowed[1]))
        async with load(service.target, ledger, callers=2, kinds=PREDICT):
            ledger.in_doubt += await refused_because(service, ledger, UNWRITABLE)
            await until_answered(ledger, 40)
            resource.prlimit(pid, resource.RLIMIT_FSIZE, allowed)
            await recorded_after_all(service, ledger)
        await until(lambda: metric(service, ERRORS) > 0)
    ledger.assert_sound()
    ledger.assert_recorded(kept_ids(path))


async def test_a_disk_that_may_not_be_written_is_used_once_it_may(
    bundle: Path, past_log: Path, disk: Path, ledger: Ledger
) -> None:
    path = copy_of(past_log, disk)
    remount = ["mount", "-o", "remount,{}", str(disk)]
    subprocess.run([part.format("ro") for part in remount], check=True)
    with running(bundle, **at(path)) as service:
        await refused_because(service, ledger, "cannot be opened")
        async with Client(service.target, timeout_s=PATIENCE_S) as client:
            assert (await client.predict(ledger.site.jobs[0])).predicted_runtime > 0
        subprocess.run([part.format("rw") for part in remount], check=True)
        events = len(ledger.site.past)
        await until(lambda: metric(service, "rt_predictor_history_events") == events)
        await recorded_after_all(service, ledger)
        async with load(service.target, ledger, callers=2):
            await until_answered(ledger, 20)
    ledger.assert_sound()
    ledger.assert_recorded(kept_ids(path))
