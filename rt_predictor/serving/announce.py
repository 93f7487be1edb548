"""The line that says what is served and where; scripts and tests read it."""

from loguru import logger

from rt_predictor.observability.page import MetricsPage
from rt_predictor.settings import Settings


def log_serving(
    settings: Settings, port: int, page: MetricsPage | None, model_version: str
) -> None:
    """The one line that says where what is served."""
    metrics = {} if page is None else {"metrics_host": page.host, "metrics_port": page.port}
    logger.info(
        "serving",
        host=settings.server.host,
        port=port,
        model_version=model_version,
        workers=settings.server.max_workers,
        **metrics,
    )
