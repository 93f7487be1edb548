"""The metrics page: what Prometheus reads, served by a thread of its own."""

import errno
import socket
import ssl
from collections import OrderedDict
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from sys import exception
from threading import Lock, Thread
from typing import Any
from wsgiref.simple_server import WSGIServer

from loguru import logger
from prometheus_client import CollectorRegistry, Metric, start_http_server
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.registry import Collector

from rt_predictor.errors import CertificateError, PortInUseError, StartupError
from rt_predictor.security.certificates import CertificateWatch, server_context
from rt_predictor.settings import ServerSettings

SILENT_S = 10.0
"""Time that a connection may send or take nothing."""
MOST_OPEN = 32
"""Connections to the page at once; one more ends the oldest."""


class MetricsPage:
    """A running metrics page."""

    def __init__(self, host: str, server: WSGIServer, thread: Thread) -> None:
        self.host = host
        self.port = server.server_port
        self._server = server
        self._thread = thread

    @property
    def alive(self) -> bool:
        """Return whether the page is served."""
        return self._thread.is_alive()

    def close(self) -> None:
        """Stop serving, and free the port."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def open_metrics_page(
    settings: ServerSettings,
    registry: CollectorRegistry,
    certificates: CertificateWatch | None = None,
) -> MetricsPage:
    """Serve the series of `registry` at `metrics_host:metrics_port`, over TLS with certificates.

    Raises PortInUseError, or StartupError where the address cannot be used.
    """
    host, port = settings.metrics_host, settings.metrics_port
    try:
        server, thread = start_http_server(port, host, registry, **_tls(certificates))
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise PortInUseError("server.metrics_port", port) from error
        raise StartupError(
            f"cannot serve metrics on {host}:{port}: {error.strerror or error}; change "
            "server.metrics_host or server.metrics_port"
        ) from error
    _bound_connections(server)
    if certificates is not None:
        _keep_open_to_others(server)
        _follow(server.socket, certificates)
    return MetricsPage(host, server, thread)


def _tls(certificates: CertificateWatch | None) -> dict[str, Any]:
    if certificates is None:
        return {}
    files = certificates.files
    return {
        "certfile": str(files.certificate),
        "keyfile": str(files.key),
        "tls_min_version": ssl.TLSVersion.TLSv1_2,
    }


def _keep_open_to_others(server: WSGIServer) -> None:
    """A client that connects and says nothing, or speaks no TLS, must not hold up the others.

    So handshakes take place in the thread of their connection, not in the one that accepts.
    """
    listening = server.socket
    assert isinstance(listening, ssl.SSLSocket)
    listening.do_handshake_on_connect = False  # type: ignore[attr-defined]


def _bound_connections(server: WSGIServer) -> None:
    """End connections that are silent for `SILENT_S`, and the oldest where there are too many.

    Each has a thread and a descriptor, of which the process needs some to start workers.
    """
    accept, end = server.get_request, server.shutdown_request
    connected: OrderedDict[int, Any] = OrderedDict()
    lock = Lock()

    def get_request() -> tuple[Any, Any]:
        connection, address = accept()
        connection.settimeout(SILENT_S)
        with lock:
            oldest = connected.popitem(last=False)[1] if len(connected) >= MOST_OPEN else None
            connected[id(connection)] = connection
        if oldest is not None:
            with suppress(OSError):  # it has just ended
                oldest.shutdown(socket.SHUT_RDWR)
        return connection, address

    def shutdown_request(request: Any) -> None:
        with lock:
            connected.pop(id(request), None)
        end(request)

    def say(request: Any, client_address: Any) -> None:
        del request
        client = str(client_address[0])
        logger.debug("metrics page: connection failed", client=client, error=str(exception()))

    server.get_request = get_request  # type: ignore[method-assign]
    server.shutdown_request = shutdown_request  # type: ignore[method-assign]
    server.handle_error = say  # type: ignore[method-assign]


def _follow(listening: Any, certificates: CertificateWatch) -> None:
    """Has new connections shown the certificate that is current by then."""
    shown, context = certificates.current, listening.context

    def choose(connection: ssl.SSLObject, _name: str | None, _context: ssl.SSLContext) -> None:
        nonlocal shown, context
        certificates.look()
        if certificates.current is not shown:
            try:
                context = server_context(certificates.files)
            except CertificateError:
                # Renewed once more meanwhile: the next connection looks again.
                return
            shown = certificates.current
        connection.context = context

    listening.context.sni_callback = choose


def add_shared_metrics(registry: CollectorRegistry, directory: Path) -> None:
    """Add the series that worker processes keep in `directory`."""
    registry.register(_SharedMetrics(directory))


class _SharedMetrics(Collector):
    """Metrics that worker processes keep in files, but for those files that are just being made.

    A file is empty for a moment before its first series is in it, and for good if its worker is
    killed then; prometheus_client would fail on it, and with it the whole page.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def collect(self) -> Iterable[Metric]:
        files = [str(file) for file in self._directory.glob("*.db") if _has_content(file)]
        found: Iterable[Metric] = MultiProcessCollector.merge(files)  # type: ignore[no-untyped-call]
        return found


def _has_content(file: Path) -> bool:
    try:
        return file.stat().st_size > 0
    except FileNotFoundError:  # its worker has just ended
        return False


def forget_worker(directory: Path, worker: int) -> None:
    """Remove the gauges of a worker that has ended; its counters stay."""
    mark_process_dead(worker, str(directory))  # type: ignore[no-untyped-call]
