"""Connections to the metrics port that say nothing, while a worker has to be replaced."""

import os
import resource
import signal
import socket
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

from tests.e2e.conftest import running
from tests.e2e.observed import WORKER_UP, metric, told, until, workers_of
from tests.waiting import PATIENCE_S

SILENT = 400
FILES = 128
"""Files that the supervisor may open: far fewer than there are silent connections."""


async def test_silent_connections_do_not_keep_a_dead_worker_from_coming_back(bundle: Path) -> None:
    with running(bundle) as service, ExitStack() as silent:
        at = urlsplit(service.metrics_url)
        resource.prlimit(service.process.pid, resource.RLIMIT_NOFILE, (FILES, FILES))
        for _ in range(SILENT):
            silent.enter_context(socket.create_connection((at.hostname, at.port), PATIENCE_S))
        (victim,) = workers_of(service)
        os.kill(victim, signal.SIGKILL)
        await until(lambda: told(service, "worker ended") == 1 and metric(service, WORKER_UP) == 1)
        assert service.process.poll() is None
        assert victim not in workers_of(service)
