"""The life of a supervisor process: start workers, keep and replace them, stop them.

It also serves the metrics of them all. SIGHUP has it load the model, and who may ask, anew; SIGTERM
and SIGINT let all workers finish what they do.
"""

import asyncio
import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from loguru import logger
from prometheus_client import CollectorRegistry

from rt_predictor.api.sockets import reserve_port
from rt_predictor.errors import (
    EXIT_CANNOT_START,
    EXIT_FAILURE,
    EXIT_OK,
    SettingsError,
    StartupError,
)
from rt_predictor.observability.page import MetricsPage, add_shared_metrics
from rt_predictor.observability.worker_metrics import WorkerMetrics
from rt_predictor.processes.announce import log_serving, open_page
from rt_predictor.processes.bundle_watch import BundleWatch, watch
from rt_predictor.processes.event_loop import together, until
from rt_predictor.processes.reloads import Reloads
from rt_predictor.processes.signals import stop_signals
from rt_predictor.processes.supervisor import CannotStartError, Patience, Supervisor
from rt_predictor.processes.worker import Start, WorkerTask
from rt_predictor.processes.worker_process import OnExit, WorkerProcess
from rt_predictor.security.security import Security
from rt_predictor.settings import SecuritySettings, Settings
from rt_predictor.shadow.folder import ShadowFolder

if TYPE_CHECKING:  # costs a supervisor time and memory
    from rt_predictor.predict.port import PredictorFactory

STOP_MARGIN_S = 5.0
"""What a worker gets beyond `drain_timeout_s` before it is killed."""
_PREFIX = "rt-predictor-serve-"
_ABANDONED_S = 60.0
"""Age of a folder whose owner has had the time to lock it."""
_FIXED = ("certificate", "key", "client_ca", "metrics_tls")
"""Settings of security that the metrics page, which is not replaced, has from the start."""


async def supervise(
    settings: Settings,
    predictor_factory: "PredictorFactory",
    shadow: ShadowFolder | None = None,
    reread: Callable[[], Settings] | None = None,
) -> int:
    """Serves from `server.max_workers` processes until SIGTERM or SIGINT. Returns an exit code.

    With `reread`, SIGHUP reads the settings anew; `[security]` is taken up from them.

    Raises StartupError where the port, the metrics port or the temporary folder cannot be used.
    """
    options = settings.server
    with ExitStack() as stack:

        def hang_up() -> None:
            reloads.hangup()

        stop = stack.enter_context(stop_signals(hangup=hang_up))
        reserved = stack.enter_context(reserve_port(options.host, options.port))
        port: int = reserved.getsockname()[1]
        directory = stack.enter_context(_own_directory())
        registry = CollectorRegistry()
        add_shared_metrics(registry, directory)
        if shadow is not None:
            # Costs a supervisor that has no candidate time and memory.
            from rt_predictor.shadow.metrics import ShadowMetrics

            registry.register(ShadowMetrics(shadow.latest))
        metrics = WorkerMetrics(registry)
        page = open_page(options, registry, Security.open(settings.security))
        if page is not None:
            stack.callback(page.close)

        def start_worker(number: int, on_exit: OnExit, start: Start) -> WorkerProcess:
            task = WorkerTask(settings, predictor_factory, number, port, directory, start, shadow)
            return WorkerProcess(task, on_exit, reloads.asked)

        supervisor = Supervisor(
            start_worker,
            metrics,
            directory,
            settings.model.path,
            Patience(
                settings.model.reload_timeout_s,
                options.drain_timeout_s + STOP_MARGIN_S,
                options.hung_after_s,
            ),
            security=settings.security,
        )

        def read_security() -> SecuritySettings | None:
            return None if reread is None else _changed(settings.security, reread().security)

        reloads = Reloads(supervisor, metrics, read_security)
        try:
            stopped = asyncio.create_task(stop.asked.wait())
            await until(stopped, _live(settings, port, page, supervisor, reloads))
            logger.info("shutting down", drain_timeout_s=options.drain_timeout_s)
        except CannotStartError as error:
            # The worker has said why, and one line is enough; a crash says nothing.
            if error.exit_code != EXIT_CANNOT_START:
                logger.error(str(error))
            return EXIT_CANNOT_START if error.exit_code == EXIT_CANNOT_START else EXIT_FAILURE
        finally:
            await supervisor.stop(stop.insisted)
    logger.info("stopped")
    return EXIT_OK


@contextmanager
def _own_directory() -> Iterator[Path]:
    """A folder for as long as the context lasts, which those who clean up after days leave alone.

    systemd-tmpfiles passes over a folder, and all in it, that a process has locked. Raises
    StartupError.
    """
    try:
        _remove_abandoned(Path(tempfile.gettempdir()))
        folder = tempfile.TemporaryDirectory(prefix=_PREFIX, ignore_cleanup_errors=True)
    except OSError as error:
        raise StartupError(
            f"there is no folder for temporary files ({error.strerror}): set TMPDIR to a folder "
            "that can be written to; in a container, mount a tmpfs at /tmp"
        ) from error
    with folder as name:
        handle = os.open(name, os.O_RDONLY)
        try:
            fcntl.flock(handle, fcntl.LOCK_SH)
            yield Path(name)
        finally:
            os.close(handle)


def _remove_abandoned(folder: Path) -> None:
    """Removes what supervisors that were killed have left: folders that none has locked."""
    for left in folder.glob(f"{_PREFIX}*"):
        with suppress(OSError):
            if left.is_symlink() or left.stat().st_mtime > time.time() - _ABANDONED_S:
                continue
            handle = os.open(left, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(left)
            finally:
                os.close(handle)


def _changed(old: SecuritySettings, new: SecuritySettings) -> SecuritySettings:
    """The new settings. Raises SettingsError where they differ in what cannot change."""
    for name in _FIXED:
        if getattr(old, name) != getattr(new, name):
            raise SettingsError(
                f"security.{name} has changed: restart the service for that (files that are "
                "renewed in place need none), or put it back"
            )
    return new


async def _live(
    settings: Settings,
    port: int,
    page: MetricsPage | None,
    supervisor: Supervisor,
    reloads: Reloads,
) -> None:
    await supervisor.start(settings.server.max_workers)
    log_serving(settings, port, page, supervisor.model_version)
    works = [supervisor.keep(), reloads.run()]
    if settings.model.watch:
        bundle = BundleWatch(settings.model.path, supervisor.model.digest)
        works.append(watch(bundle, settings.model.watch_interval_s, reloads.changed))
    await together(works)
