"""A bundle that is deleted or damaged under a running service."""

import asyncio
import os
import shutil
import signal
from functools import partial
from pathlib import Path

import pytest

from rt_predictor.api.sockets import shares_ports
from tests.e2e.conftest import Program, running
from tests.e2e.ledger import Ledger, load, until_answered
from tests.e2e.observed import at, until, workers_of

pytestmark = pytest.mark.skipif(not shares_ports(), reason="this system does not share ports")

GRAPH = "graph.onnx"


def delete(bundle: Path) -> None:
    shutil.rmtree(bundle)


def truncate(bundle: Path) -> None:
    graph = bundle / GRAPH
    os.truncate(graph, graph.stat().st_size // 2)


def flip_a_bit(bundle: Path) -> None:
    with (bundle / GRAPH).open("r+b") as file:
        middle = file.seek(0, os.SEEK_END) // 2
        file.seek(middle)
        (byte,) = file.read(1)
        file.seek(middle)
        file.write(bytes([byte ^ 1]))


DAMAGE = {
    flip_a_bit: f"{GRAPH} is damaged",
    truncate: f"{GRAPH} is damaged",
    delete: "no model bundle at",
}
"""What is done to the bundle, one after the other, and what a start then says of it."""


async def test_a_damaged_bundle_stops_no_service_that_runs_and_none_starts_from_it(
    bundle: Path, path: Path, ledger: Ledger, program: Program
) -> None:
    copy = Path(shutil.copytree(bundle, path.with_name("bundle")))
    start = partial(program, "serve", "--bundle", copy, "--port", 0, "--metrics-port", 0)
    with running(copy, "--workers", 2, **at(path)) as service:
        async with load(service.target, ledger, callers=2):
            for damage, says in DAMAGE.items():
                damage(copy)
                await until_answered(ledger, 20)
                refused = await asyncio.to_thread(start)
                assert refused.returncode == 3
                (line,) = refused.stderr.splitlines()
                assert says in line
            victim = workers_of(service)[0]
            os.kill(victim, signal.SIGKILL)
            await until(lambda: victim not in workers_of(service))
            await until_answered(ledger, 40)
            service.process.send_signal(signal.SIGHUP)
            await until_answered(ledger, 40)
        assert service.process.poll() is None
    ledger.assert_sound()
