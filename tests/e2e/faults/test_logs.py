"""An outcome log that others use too: locked for seconds by another program, or of two services."""

import asyncio
import os
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from rt_predictor.api.sockets import shares_ports
from rt_predictor.client import Client
from rt_predictor.errors import ServiceError
from tests.e2e.conftest import running
from tests.e2e.ledger import Ledger, load, until_answered
from tests.e2e.observed import WORKER_UP, at, kept_ids, metric, told, until, workers_of
from tests.waiting import PATIENCE_S

ROWS = 1_000_000
LOCKED_S = 2.0
PREDICT = ("one", "several", "stream", "table")
EVENTS = "rt_predictor_history_events"


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Another program writes to the log, and does not come to an end."""
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        other.execute("ROLLBACK")
        other.close()


def make_large(path: Path) -> None:
    """Adds rows to a log up to `ROWS`, before the first place: so that none has to be read."""
    with sqlite3.connect(path) as log:
        log.execute("PRAGMA synchronous = OFF")
        columns = [name for _, name, *_ in log.execute("PRAGMA table_info(outcome)")]
        new = {"position": f"n - {ROWS + 1}", "job_id": "printf('old%07d', n)"}
        log.execute(
            f"WITH RECURSIVE number (n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM number "
            f"WHERE n < {ROWS}) INSERT INTO outcome ({', '.join(columns)}) "
            f"SELECT {', '.join(new.get(name, name) for name in columns)} "
            "FROM number, outcome WHERE position = 1"
        )
    log.close()


@pytest.mark.skipif(not shares_ports(), reason="this system does not share ports")
async def test_a_large_log_that_another_program_locks_delays_outcomes_and_nothing_else(
    bundle: Path, path: Path, ledger: Ledger
) -> None:
    make_large(path)
    events = ledger.site.news("waited")
    with running(bundle, "--workers", 2, **at(path)) as service:
        async with (
            load(service.target, ledger, callers=2, kinds=PREDICT),
            Client(service.target, timeout_s=PATIENCE_S, attempts=1) as client,
        ):
            with locked(path):
                recording = asyncio.create_task(client.record(first := next(events)))
                await asyncio.sleep(LOCKED_S)
                await until_answered(ledger, 20)
                assert not recording.done()
            assert (await recording).recorded == len(first)

            with locked(path):
                recording = asyncio.create_task(client.record(second := next(events)))
                os.kill(workers_of(service)[0], signal.SIGKILL)
                await until(lambda: told(service, "worker ended") == 1)
                await until(lambda: metric(service, WORKER_UP) == 2)
                await until_answered(ledger, 20)
            with suppress(ServiceError):  # it may have waited in the worker that was killed
                await recording
            assert (await client.record(second)).invalid == 0
        ledger.acknowledged += [*first["job_id"], *second["job_id"]]
    ledger.assert_sound()
    ledger.assert_recorded([job_id for job_id in kept_ids(path) if not job_id.startswith("old")])


async def test_two_services_on_one_log_know_the_same_and_lose_nothing(
    bundle: Path, path: Path, ledger: Ledger
) -> None:
    with running(bundle, **at(path)) as one:
        with running(bundle, **at(path)) as other:
            async with (
                load(one.target, ledger, callers=2, name="one"),
                load(other.target, ledger, callers=2, name="other"),
            ):
                await until_answered(ledger, 60)
            events = len(ledger.site.past) + len(ledger.ended)
            for service in (one, other):
                await until(lambda service=service: metric(service, EVENTS) == events)
        async with load(one.target, ledger, callers=2, name="left"):
            await until_answered(ledger, 20)
    ledger.assert_sound()
    ledger.assert_recorded(kept_ids(path))
