"""The metrics page."""

import socket
import urllib.request

import pytest
from prometheus_client import CollectorRegistry, Counter

from rt_predictor.errors import PortInUseError, StartupError
from rt_predictor.observability.page import open_metrics_page
from rt_predictor.settings import ServerSettings

HOST = "127.0.0.1"


def _settings(port: int, host: str = HOST) -> ServerSettings:
    return ServerSettings(metrics_host=host, metrics_port=port)


def test_it_shows_the_series_and_frees_the_port_when_closed() -> None:
    registry = CollectorRegistry()
    Counter("things", "Things.", registry=registry).inc(7)
    page = open_metrics_page(_settings(0), registry)
    with urllib.request.urlopen(f"http://{HOST}:{page.port}/metrics", timeout=60) as answer:
        assert b"things_total 7.0" in answer.read()
    assert page.alive
    page.close()
    assert not page.alive
    open_metrics_page(_settings(page.port), registry).close()


def test_a_port_in_use_is_told_with_its_setting() -> None:
    with socket.socket() as other:
        other.bind((HOST, 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(PortInUseError, match=rf"port {port} \(server.metrics_port\)"):
            open_metrics_page(_settings(port), CollectorRegistry())


@pytest.mark.parametrize("host", ["192.0.2.1", "no-such-host.invalid"])
def test_a_host_that_is_not_this_one_is_told_so(host: str) -> None:
    with pytest.raises(StartupError, match=f"cannot serve metrics on {host}:0: .*metrics_host"):
        open_metrics_page(_settings(0, host), CollectorRegistry())
