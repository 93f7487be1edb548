"""A server's life: start up, serve, drain, stop."""

import asyncio
import gc
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import grpc
from grpc_reflection.v1alpha import reflection, reflection_pb2_grpc
from loguru import logger

from rt_predictor.api.admission import Admission
from rt_predictor.api.backlog import BacklogProbe
from rt_predictor.api.health import HEALTH_SERVICE, StandardHealth
from rt_predictor.api.large_messages import MOST_SLOW_MESSAGES, LargeMessages
from rt_predictor.api.middleware import SERVICE, Middleware, lean_registrar
from rt_predictor.api.reload import ReloadModel, administration_is_off, cannot_reload
from rt_predictor.api.servicer import Limits, RuntimePredictorServicer
from rt_predictor.api.shedding import Shedding
from rt_predictor.api.sockets import PORT_SETTING, address_of
from rt_predictor.api.tls import certificate_check, sample_certificates, server_credentials
from rt_predictor.api.v1 import rt_predictor_pb2_grpc as pb_grpc
from rt_predictor.errors import StartupError, traceback_text
from rt_predictor.history.history import History
from rt_predictor.observability.health import (
    MODEL,
    Check,
    HealthReport,
    history_check,
    memory_check,
)
from rt_predictor.observability.metrics import BROKEN_OFF, Metrics
from rt_predictor.observability.spans import Tracer
from rt_predictor.predict.batcher import Batcher
from rt_predictor.predict.checks import model_check, self_test
from rt_predictor.predict.description import BASE
from rt_predictor.predict.dispatch import Dispatcher, WorkPool
from rt_predictor.predict.port import PredictorPort
from rt_predictor.security.security import OPEN, Security
from rt_predictor.settings import ServerSettings
from rt_predictor.shadow.check import shadow_check
from rt_predictor.shadow.folder import ShadowFolder
from rt_predictor.shadow.sampler import SampledPredictor, Sampler

FLUSH_S = 1.0
"""Time for the last answers to leave, once all calls are done."""
SETTLE_S = 0.25
"""How long no call must be in progress: what gRPC had taken in before the stop comes up later."""
SAMPLE_S = 1.0
"""Time between two looks at the memory and at history, for the metrics."""
_SWITCH_S = 0.0005
"""How long a thread with a large batch may keep the interpreter from the event loop."""
_KEEPALIVE_MS = 60_000
_KEEPALIVE_TIMEOUT_MS = 20_000
"""The connection of a client that vanished without a word is closed after these two."""
_LEAST_PING_INTERVAL_MS = 10_000
_BYTES_PER_MB = 1024 * 1024
_MAX_SOCKET_PATH_BYTES = 107
"""The kernel takes no more; gRPC's core complains on stderr of a longer one."""


class Server:
    """The gRPC server of one process."""

    def __init__(
        self,
        settings: ServerSettings,
        predictor: PredictorPort,
        history: History,
        metrics: Metrics,
        checks: Mapping[str, Check],
        *,
        shares_port: bool,
        folder: Path | None = None,
        shadow: ShadowFolder | None = None,
        tracer: Tracer | None = None,
        reload: ReloadModel = cannot_reload,
        security: Security = OPEN,
    ) -> None:
        """A server that does not listen yet.

        Args:
            settings: `[server]`.
            predictor: the loaded model.
            history: what it predicts from; started and stopped with the server.
            metrics: where calls are counted.
            checks: parts of the service to report on, beside the model and the memory.
            shares_port: whether other processes listen on the same port.
            folder: where it may keep what it needs while it runs; None for a temporary one.
            shadow: where a candidate is, if there is one.
            tracer: what traces calls, if anything does; closed by who made it.
            reload: loads another model.
            security: what surrounds the port.
        """
        self._settings = settings
        self._metrics = metrics
        self._predictor = predictor
        self._history = history
        self._security = security
        self._shares_port = shares_port
        self._pool = WorkPool()
        self._shedding = Shedding(settings.max_wait_ms / 1000)
        self._admission = Admission(settings.max_concurrent_calls)
        metrics.max_concurrent_calls.set(settings.max_concurrent_calls)
        if security.gate is not None:
            metrics.security.tokens(security.gate.tokens.expiries_s())
        self._health = StandardHealth()
        self._sampler = None if shadow is None else Sampler(shadow, metrics)
        answering = predictor
        if self._sampler is not None:
            answering = SampledPredictor(predictor, self._sampler)
        self._dispatcher = dispatcher = Dispatcher(answering, self._pool, metrics)
        self._report = HealthReport(
            {
                MODEL: model_check(dispatcher, predictor.model_version),
                "history": history_check(history),
                "memory": memory_check,
                **({} if shadow is None else {"shadow": shadow_check(shadow)}),
                "tls": certificate_check(security.certificates),
                **checks,
            }
        )
        self._servicer = RuntimePredictorServicer(
            predictor,
            Batcher(dispatcher, max_waiting_jobs=settings.max_waiting_jobs),
            history,
            shadow=shadow,
            reload=reload if settings.admin else administration_is_off,
            served=lambda: dispatcher.predicted,
            pool=self._pool,
            admission=self._admission,
            report=self._report,
            metrics=metrics,
            limits=Limits(settings.max_batch_jobs, settings.stream_chunk_jobs),
        )
        self._middleware = Middleware(
            self._admission,
            metrics,
            slow_call_s=settings.slow_call_s,
            tracer=tracer,
            security=security,
            shedding=self._shedding,
            large=LargeMessages(settings.max_large_mb * _BYTES_PER_MB, MOST_SLOW_MESSAGES),
        )
        self._probe: BacklogProbe | None = None
        self._probing: asyncio.Task[None] | None = None
        self._folder = folder
        self._own_folder: TemporaryDirectory[str] | None = None
        self._grpc = grpc.aio.server(
            interceptors=self._middleware.interceptors(),
            options=_channel_options(settings, shares_port=shares_port),
        )

    async def start(self, port: int) -> int:
        """Reads history, tries the model once, listens on `port` (0: any). Returns the port.

        Raises StartupError where the model does not answer or the port cannot be listened on.
        """
        self._history.start()
        if not await asyncio.to_thread(self._history.wait_until_read):
            logger.warning("serving before all of history is read")
        self_test(self._predictor, time.time())
        registrar = self._middleware.registrar(self._grpc)
        pb_grpc.add_RuntimePredictorServicer_to_server(self._servicer, registrar)
        lean = lean_registrar(self._grpc)
        await self._health.add_to(lean)
        if self._settings.reflection:
            services = (SERVICE, HEALTH_SERVICE, reflection.SERVICE_NAME)
            reflection_pb2_grpc.add_ServerReflectionServicer_to_server(
                reflection.aio.ReflectionServicer(services), lean
            )
        address = address_of(self._settings.host, port)
        try:
            port = self._listen(address)
        except RuntimeError as error:
            raise StartupError(
                f"cannot listen on {address}: change server.host or {PORT_SETTING}"
            ) from error
        self._probe = self._open_probe()
        await self._grpc.start()
        version, model = self._predictor.model_version, self._predictor.describe()
        # What was measured on other sites, and when, says nothing of how a base does on this one.
        of_site = model.kind != BASE
        self._metrics.started(
            version, time.time(), trained_at_s=model.trained_at if of_site else None
        )
        self._metrics.live.trained(version, model.metrics if of_site else {})
        self._sampling = asyncio.create_task(self._sample())
        if self._probe is not None:
            self._probing = asyncio.create_task(self._probe.run())
        self._report.ready()
        await self._health.set_ready(ready=True)
        return port

    def _open_probe(self) -> BacklogProbe | None:
        """What looks how long calls wait; None where there can be no socket for it."""
        if not self._settings.max_wait_ms:
            return None
        self._own_folder = TemporaryDirectory(prefix="rt-predictor-", dir=self._folder)
        socket = Path(self._own_folder.name, "own")
        if len(os.fsencode(socket)) > _MAX_SOCKET_PATH_BYTES:
            logger.warning(
                "calls are not refused while others wait: the path in TMPDIR is too long"
            )
            return None
        probe = BacklogProbe(self._shedding, socket)
        try:
            self._grpc.add_insecure_port(probe.address)
        except RuntimeError:
            logger.warning("calls are not refused while others wait: no socket in TMPDIR")
            return None
        return probe

    def _listen(self, address: str) -> int:
        certificates = self._security.certificates
        if certificates is None:
            return self._grpc.add_insecure_port(address)
        return self._grpc.add_secure_port(address, server_credentials(certificates))

    async def stop(self, hurry: asyncio.Event) -> None:
        """Says that it is not ready, takes no more calls, lets those in progress finish, stops.

        A call that has reached a server that shares its port is in progress, so that none is lost
        while workers are replaced. Those that take longer than `drain_timeout_s`, or are in
        progress once `hurry` is set, are cut off.
        """
        self._report.draining()
        await self._health.set_ready(ready=False)
        self._admission.drain()
        closing = None
        if self._shares_port:
            # New connections and calls must go to the other processes: gRPC sends them away.
            closing = asyncio.create_task(self._grpc.stop(self._settings.drain_timeout_s))
        else:
            # There is no other: they are told UNAVAILABLE, and why.
            self._admission.close()
        await self._finish_calls(hurry)
        unfinished = self._admission.in_progress
        if unfinished:
            logger.warning("calls cut off at shutdown", calls=unfinished)
        await self._grpc.stop(None if unfinished else FLUSH_S)
        if closing is not None:
            await closing
        self._sampling.cancel()
        if self._probing is not None:
            self._probing.cancel()
        if self._own_folder is not None:
            self._own_folder.cleanup()
        self._pool.close()
        self._dispatcher.close()
        if self._sampler is not None:
            self._sampler.close()
        await asyncio.to_thread(self._history.stop)

    async def _finish_calls(self, hurry: asyncio.Event) -> None:
        idle = self._quiet() if self._shares_port else self._admission.idle()
        waits = [asyncio.create_task(idle), asyncio.create_task(hurry.wait())]
        await asyncio.wait(
            waits,
            timeout=self._settings.drain_timeout_s,
            return_when=asyncio.FIRST_COMPLETED,
        )
        for wait in waits:
            wait.cancel()

    async def _quiet(self) -> None:
        while True:
            await self._admission.idle()
            await asyncio.sleep(SETTLE_S)
            if not self._admission.in_progress:
                return

    async def _sample(self) -> None:
        fails = False
        while True:
            try:
                await self._sample_once()
            except Exception as error:
                # Whatever it is, figures that stood still for good would look like good ones.
                if not fails:
                    logger.error("figures are not up to date", traceback=traceback_text(error))
                fails = True
            else:
                fails = False
            await asyncio.sleep(SAMPLE_S)

    async def _sample_once(self) -> None:
        certificates = self._security.certificates
        self._metrics.sample_memory()
        if self._probe is not None:
            self._metrics.rejected[BROKEN_OFF].inc(self._probe.newly_broken_off())
        self._metrics.sample_history(self._history.state())
        self._metrics.live.sample(self._predictor.live())
        if certificates is not None:
            await asyncio.to_thread(sample_certificates, certificates, self._metrics.security)


def settle_process() -> None:
    """Once all is loaded: keeps the interpreter from making calls wait for threads or for GC."""
    sys.setswitchinterval(_SWITCH_S)
    gc.collect()
    gc.freeze()


def _channel_options(
    settings: ServerSettings, *, shares_port: bool
) -> tuple[tuple[str, int | str], ...]:
    return (
        ("grpc.so_reuseport", int(shares_port)),
        ("grpc.max_receive_message_length", settings.max_message_mb * _BYTES_PER_MB),
        ("grpc.max_send_message_length", -1),
        ("grpc.max_connection_age_ms", round(settings.max_connection_age_s * 1000)),
        ("grpc.keepalive_time_ms", _KEEPALIVE_MS),
        ("grpc.keepalive_timeout_ms", _KEEPALIVE_TIMEOUT_MS),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.min_ping_interval_without_data_ms", _LEAST_PING_INTERVAL_MS),
    )
