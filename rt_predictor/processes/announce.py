"""The metrics page of a service, and the line that says what is served where: scripts read it."""

from loguru import logger
from prometheus_client import CollectorRegistry

from rt_predictor.observability.health import Check, Health, State
from rt_predictor.observability.page import MetricsPage, open_metrics_page
from rt_predictor.security.security import Security
from rt_predictor.settings import ServerSettings, Settings


def log_serving(
    settings: Settings, port: int, page: MetricsPage | None, model_version: str
) -> None:
    """The one line that says where what is served; before it, what is not safe about that."""
    if settings.security.tokens and settings.security.certificate is None:
        logger.warning("tokens travel in plain text: set security.certificate, or use a TLS proxy")
    metrics = {} if page is None else {"metrics_host": page.host, "metrics_port": page.port}
    logger.info(
        "serving",
        host=settings.server.host,
        port=port,
        model_version=model_version,
        workers=settings.server.max_workers,
        **metrics,
    )


def page_check(page: MetricsPage | None) -> Check:
    """Whether the metrics page is served from this process."""

    def check() -> Health:
        if page is None:
            return Health(State.SERVING, "switched off (server.metrics_enabled)")
        if page.alive:
            return Health(State.SERVING, f"on port {page.port}")
        return Health(State.DEGRADED, f"the page on port {page.port} is no longer served")

    return check


def open_page(
    options: ServerSettings, registry: CollectorRegistry, security: Security
) -> MetricsPage | None:
    """Serve the metrics page, where the settings want it. Raises StartupError."""
    if not options.metrics_enabled:
        return None
    return open_metrics_page(options, registry, security.page_certificates)
