"""The line that says what is served and where; scripts and tests read it."""

from loguru import logger

from rt_predictor.observability.page import MetricsPage
from rt_predictor.settings import Settings


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
