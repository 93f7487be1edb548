"""The metrics page."""

import socket
import ssl
import urllib.request
from contextlib import ExitStack
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, Counter

from rt_predictor.errors import PortInUseError, StartupError
from rt_predictor.observability import page as module
from rt_predictor.observability.page import MOST_OPEN, MetricsPage, open_metrics_page
from rt_predictor.security.certificates import CertificateWatch
from rt_predictor.settings import ServerSettings
from tests.security.files import Place
from tests.waiting import PATIENCE_S

HOST = "127.0.0.1"


def _settings(port: int, host: str = HOST) -> ServerSettings:
    return ServerSettings(metrics_host=host, metrics_port=port)


def test_it_shows_the_series_and_frees_the_port_when_closed() -> None:
    registry = CollectorRegistry()
    Counter("things", "Things.", registry=registry).inc(7)
    page = open_metrics_page(_settings(0), registry)
    with urllib.request.urlopen(f"http://{HOST}:{page.port}/metrics", timeout=PATIENCE_S) as answer:
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


def _silent(page: MetricsPage, count: int, places: ExitStack) -> list[socket.socket]:
    address = HOST, page.port
    return [
        places.enter_context(socket.create_connection(address, PATIENCE_S)) for _ in range(count)
    ]


def test_silent_connections_take_few_places_and_keep_nobody_out() -> None:
    page = open_metrics_page(_settings(0), CollectorRegistry())
    with ExitStack() as places:
        silent = _silent(page, 3 * MOST_OPEN, places)
        with urllib.request.urlopen(f"http://{HOST}:{page.port}/", timeout=PATIENCE_S) as answer:
            assert answer.status == 200
        # The oldest are told to go, at once; who came last may stay for a while.
        assert [one.recv(1) for one in silent[:MOST_OPEN]] == [b""] * MOST_OPEN
    page.close()


def test_a_silent_connection_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SILENT_S", 0.05)
    page = open_metrics_page(_settings(0), CollectorRegistry())
    with ExitStack() as places:
        (silent,) = _silent(page, 1, places)
        assert silent.recv(1) == b""
    page.close()


# over TLS


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def _get(page: MetricsPage, place: Place) -> str:
    context = ssl.create_default_context(cafile=place.ca_file)
    url = f"https://{HOST}:{page.port}/metrics"
    with urllib.request.urlopen(url, timeout=PATIENCE_S, context=context) as answer:
        text: str = answer.read().decode()
        return text


def _shown(page: MetricsPage, place: Place) -> bytes | None:
    context = ssl.create_default_context(cafile=place.ca_file)
    with (
        socket.create_connection((HOST, page.port)) as connection,
        context.wrap_socket(connection, server_hostname=HOST) as secure,
    ):
        return secure.getpeercert(binary_form=True)


def test_over_tls_it_shows_the_certificate_that_is_current(place: Place) -> None:
    registry = CollectorRegistry()
    Counter("things", "Things.", registry=registry).inc(7)
    page = open_metrics_page(_settings(0), registry, CertificateWatch(place.issue()))
    assert "things_total 7.0" in _get(page, place)
    old = _shown(page, place)
    place.issue()
    assert _shown(page, place) != old
    place.issue("server", expired=True)
    assert "things_total 7.0" in _get(page, place)
    page.close()


def test_a_client_that_says_nothing_or_no_tls_does_not_hold_up_the_others(
    place: Place, capfd: pytest.CaptureFixture[str]
) -> None:
    page = open_metrics_page(_settings(0), CollectorRegistry(), CertificateWatch(place.issue()))
    with (
        socket.create_connection((HOST, page.port)),
        socket.create_connection((HOST, page.port)) as plain,
    ):
        plain.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
        plain.settimeout(60)
        assert b"200" not in plain.recv(1000)
        _get(page, place)
    page.close()
    assert "Traceback" not in capfd.readouterr().err
