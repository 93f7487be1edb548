"""What is no gRPC, on the port: other protocols, noise, connections that say nothing."""

import asyncio
import random
import ssl
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from tests.e2e.conftest import PATIENCE_S, Service, running
from tests.e2e.ledger import Ledger, load, until_answered

from .conftest import at, copy_of, descriptors, everything_told, metric, until

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
SETTINGS = bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
GREATEST_FRAME = b"\xff\xff\xff\x00\x00\x00\x00\x00\x01"
INTERNAL_ERRORS = "rt_predictor_internal_errors_total"


def _client_hello() -> bytes:
    """What a client that expects TLS says first."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    context = ssl.create_default_context()
    with pytest.raises(ssl.SSLWantReadError):
        context.wrap_bio(incoming, outgoing, server_hostname="localhost").do_handshake()
    return outgoing.read()


NOISE = {
    "HTTP/1": b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "TLS": _client_hello(),
    "random": random.Random(1).randbytes(4096),
    "zeros": bytes(65_536),
    "only a preface": PREFACE,
    "half a preface": PREFACE[:10],
    "a frame greater than any": PREFACE + SETTINGS + GREATEST_FRAME,
    "random frames": PREFACE + SETTINGS + random.Random(2).randbytes(4096),
    "nothing": b"",
}


@pytest.fixture(scope="module")
def service(
    bundle: Path, past_log: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    """One service for all of this: none of it may harm it."""
    path = copy_of(past_log, tmp_path_factory.mktemp("wire"))
    with running(bundle, **at(path)) as service:
        yield service


async def _knock(service: Service, noise: bytes, *, reset: bool) -> None:
    """Says something on a connection, and waits for its end or breaks off."""
    host, port = service.target.split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    async with asyncio.timeout(PATIENCE_S):
        with suppress(OSError):  # the service may break off first
            writer.write(noise)
            await writer.drain()
            if reset:
                writer.transport.abort()
                return
            writer.write_eof()
            while await reader.read(65_536):
                pass
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()


@pytest.mark.parametrize("reset", [False, True], ids=["half-closed", "reset"])
@pytest.mark.parametrize("kind", NOISE)
async def test_noise_on_the_port_harms_no_other(
    service: Service, ledger: Ledger, kind: str, reset: bool
) -> None:
    before = descriptors(service.process.pid)
    async with load(service.target, ledger, callers=1):
        await until_answered(ledger, 2)
        async with asyncio.TaskGroup() as knocks:
            for _ in range(20):
                knocks.create_task(_knock(service, NOISE[kind], reset=reset))
        await until_answered(ledger, 5)
    ledger.assert_sound()
    await until(lambda: descriptors(service.process.pid) <= before)
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
