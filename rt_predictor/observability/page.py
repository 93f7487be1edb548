"""The metrics page: what Prometheus reads, served by a thread of its own."""

import errno
from collections.abc import Iterable
from pathlib import Path
from threading import Thread
from wsgiref.simple_server import WSGIServer

from prometheus_client import CollectorRegistry, Metric, start_http_server
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.registry import Collector

from rt_predictor.errors import PortInUseError, StartupError
from rt_predictor.settings import ServerSettings


class MetricsPage:
    """A running metrics page."""

    def __init__(self, host: str, server: WSGIServer, thread: Thread) -> None:
        self.host = host
        self.port = server.server_port
        self._server = server
        self._thread = thread

    @property
    def alive(self) -> bool:
        """Whether the page is served."""
        return self._thread.is_alive()

    def close(self) -> None:
        """Stops serving, and frees the port."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def open_metrics_page(settings: ServerSettings, registry: CollectorRegistry) -> MetricsPage:
    """Serves the series of `registry` at `metrics_host:metrics_port`.

    Raises PortInUseError, or StartupError where the address cannot be used.
    """
    host, port = settings.metrics_host, settings.metrics_port
    try:
        server, thread = start_http_server(port, host, registry)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise PortInUseError("server.metrics_port", port) from error
        raise StartupError(
            f"cannot serve metrics on {host}:{port}: {error.strerror or error}; change "
            "server.metrics_host or server.metrics_port"
        ) from error
    return MetricsPage(host, server, thread)


def add_shared_metrics(registry: CollectorRegistry, directory: Path) -> None:
    """Adds the series that worker processes keep in `directory`."""
    registry.register(_SharedMetrics(directory))


class _SharedMetrics(Collector):
    """What worker processes keep in files, but for those that are only just being made.

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
    """Removes the gauges of a worker that has ended; its counters stay."""
    mark_process_dead(worker, str(directory))  # type: ignore[no-untyped-call]
