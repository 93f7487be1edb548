"""Is the port free, may it be shared, how is it written."""

import socket
import sys

import pytest

from rt_predictor.api.sockets import address_of, check_port_free, reserve_port, shares_ports
from rt_predictor.errors import PortInUseError, StartupError

HOST = "127.0.0.1"


@pytest.fixture
def listener():
    """Listens as gRPC does."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shares_ports():
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.bind((HOST, 0))
        listener.listen()
        yield listener


def test_a_port_that_someone_shares_is_still_in_use(listener: socket.socket) -> None:
    port = listener.getsockname()[1]
    for host in (HOST, "0.0.0.0"):
        with pytest.raises(PortInUseError, match=rf"port {port} \(server.port\) is already in use"):
            check_port_free(host, port)
        with pytest.raises(PortInUseError):
            reserve_port(host, port)


def test_a_port_whose_connections_still_close_is_free(listener: socket.socket) -> None:
    port = listener.getsockname()[1]
    client = socket.create_connection((HOST, port))
    server, _ = listener.accept()
    server.close()  # who closes first keeps the address in TIME_WAIT
    client.close()
    listener.close()
    check_port_free(HOST, port)


@pytest.mark.skipif(not shares_ports(), reason="this system does not share ports")
def test_a_reserved_port_can_be_shared_but_not_taken() -> None:
    with reserve_port(HOST, 0) as reserved:
        port = reserved.getsockname()[1]
        with socket.socket() as worker:
            worker.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            worker.bind((HOST, port))
            worker.listen()
            socket.create_connection((HOST, port)).close()
            with pytest.raises(PortInUseError):
                check_port_free(HOST, port)


@pytest.mark.parametrize("host", ["192.0.2.1", "no-such-host.invalid"])
def test_a_host_that_is_not_this_one_is_told_so(host: str) -> None:
    with pytest.raises(StartupError, match=f"cannot listen on {host}:0: .*change server.host"):
        check_port_free(host, 0)


def test_addresses_of_ipv6_are_bracketed() -> None:
    assert address_of("::1", 5) == "[::1]:5"
    assert address_of("0.0.0.0", 5) == "0.0.0.0:5"


@pytest.mark.parametrize(("platform", "shares"), [("linux", True), ("darwin", False)])
def test_only_linux_spreads_connections_over_a_shared_port(
    monkeypatch: pytest.MonkeyPatch, platform: str, shares: bool
) -> None:
    monkeypatch.setattr(socket, "SO_REUSEPORT", 15, raising=False)
    monkeypatch.setattr(sys, "platform", platform)
    assert shares_ports() is shares
