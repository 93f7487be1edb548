"""What is no gRPC, on the port: other protocols, noise, connections that say nothing."""

import asyncio
import resource
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.e2e.conftest import Service, running
from tests.e2e.ledger import KINDS, Ledger, load, until_answered
from tests.e2e.nuisances import NOISE, knock
from tests.e2e.observed import at, copy_of, descriptors, everything_told, metric, server_of, until

INTERNAL_ERRORS = "rt_predictor_internal_errors_total"


@pytest.fixture(scope="module")
def service(
    bundle: Path, past_log: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    """One service for all of this: none of it may harm it."""
    path = copy_of(past_log, tmp_path_factory.mktemp("wire"))
    with running(bundle, **at(path)) as service:
        yield service


@pytest.mark.parametrize("reset", [False, True], ids=["half-closed", "reset"])
@pytest.mark.parametrize("kind", NOISE)
async def test_noise_on_the_port_harms_no_other(
    service: Service, ledger: Ledger, kind: str, reset: bool
) -> None:
    async with load(service.target, ledger, callers=1):
        # After a call of each kind, so that all files are open which stay open.
        await until(lambda: ledger.calls.keys() >= set(KINDS))
        before = descriptors(server_of(service))
        async with asyncio.TaskGroup() as knocks:
            for _ in range(20):
                knocks.create_task(knock(service.target, NOISE[kind], reset=reset))
        await until_answered(ledger, 5)
    ledger.assert_sound()
    await until(lambda: descriptors(server_of(service)) <= before)
    assert metric(service, INTERNAL_ERRORS) == 0
    assert "Traceback" not in everything_told(service)


async def test_connections_that_say_nothing_keep_nobody_out(
    service: Service, ledger: Ledger
) -> None:
    host, port = service.target.split(":")
    with ExitStack() as idle:
        for _ in range(300):
            _, writer = await asyncio.open_connection(host, int(port))
            idle.callback(writer.close)
        async with load(service.target, ledger, callers=2):
            await until_answered(ledger, 20)
    ledger.assert_sound()


async def test_descriptors_that_run_out_keep_out_newcomers_and_only_for_a_while(
    service: Service, ledger: Ledger
) -> None:
    host, port = service.target.split(":")
    pid = server_of(service)
    allowed = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    before = descriptors(pid)
    async with load(service.target, ledger, callers=2, kinds=("one", "several", "stream", "table")):
        await until_answered(ledger, 5)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (descriptors(pid) + 20, allowed[1]))
        with ExitStack() as idle:
            for _ in range(60):
                _, writer = await asyncio.open_connection(host, int(port))
                idle.callback(writer.close)
            await until_answered(ledger, 20)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, allowed)
    async with load(service.target, ledger, callers=2, name="newcomers"):
        await until_answered(ledger, 20)
    ledger.assert_sound()
    await until(lambda: descriptors(pid) <= before)
