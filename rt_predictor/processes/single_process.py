"""All of the service in one process, where processes cannot share a port."""

from contextlib import ExitStack

from loguru import logger
from prometheus_client import CollectorRegistry

from rt_predictor.api.server import Server, settle_process
from rt_predictor.api.sockets import check_port_free
from rt_predictor.errors import EXIT_OK
from rt_predictor.history.history import History
from rt_predictor.observability.metrics import Metrics
from rt_predictor.observability.spans import tracer_of
from rt_predictor.observability.worker_metrics import WorkerMetrics
from rt_predictor.predict.checks import coverage_check
from rt_predictor.predict.port import PredictorFactory
from rt_predictor.processes.announce import log_serving, open_page, page_check
from rt_predictor.processes.signals import stop_signals
from rt_predictor.security.security import Security
from rt_predictor.settings import Settings
from rt_predictor.shadow.folder import ShadowFolder
from rt_predictor.shadow.metrics import ShadowMetrics


async def serve(
    settings: Settings, predictor_factory: PredictorFactory, shadow: ShadowFolder | None = None
) -> int:
    """Serves from this process until SIGTERM or SIGINT, then drains. Returns an exit code.

    Raises StartupError where the port, the metrics port or the model cannot be used.
    """
    options = settings.server
    with ExitStack() as stack:
        stop = stack.enter_context(stop_signals(hangup=_warn_of_hangup))
        check_port_free(options.host, options.port)
        security = Security.open(settings.security)
        registry = CollectorRegistry()
        if shadow is not None:
            registry.register(ShadowMetrics(shadow.latest))
        page = open_page(options, registry, security)
        if page is not None:
            stack.callback(page.close)
        tracer = tracer_of(settings.tracing)
        if tracer is not None:
            stack.callback(tracer.close)
        history = History(settings.history, limits_enforced=settings.prediction.limits_enforced)
        stack.callback(history.stop)
        metrics, predictor = Metrics(registry), predictor_factory(settings, history)
        metrics.live.watched(predictor.views.level, settings.watching)
        server = Server(
            options,
            predictor,
            history,
            metrics,
            {
                "metrics": page_check(page),
                "coverage": coverage_check(predictor, settings.watching),
            },
            shares_port=False,
            shadow=shadow,
            tracer=tracer,
            security=security,
        )
        workers = WorkerMetrics(registry)
        workers.wanted.set(1)
        port = await server.start(options.port)
        workers.up.set(1)
        settle_process()
        log_serving(settings, port, page, predictor.model_version)
        await stop.asked.wait()
        logger.info("shutting down", drain_timeout_s=options.drain_timeout_s)
        await server.stop(stop.insisted)
    logger.info("stopped")
    return EXIT_OK


def _warn_of_hangup() -> None:
    logger.warning("SIGHUP changes nothing: one process serves, and must be restarted")
