"""Metrics of the worker processes, as seen from outside of them."""

from prometheus_client import CollectorRegistry, Counter, Gauge

RELOADED, UNCHANGED, FAILED = "loaded", "unchanged", "failed"
RELOADS: tuple[str, ...] = (RELOADED, UNCHANGED, FAILED)
"""Result of a reload."""


class WorkerMetrics:
    """Metrics of the worker processes, as seen from outside of them."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.up = Gauge(
            "rt_predictor_workers_up", "Worker processes that are ready.", registry=registry
        )
        self.wanted = Gauge(
            "rt_predictor_workers_wanted",
            "Worker processes that there should be.",
            registry=registry,
        )
        self.restarts = Counter(
            "rt_predictor_worker_restarts",
            "Workers started again because one had died.",
            registry=registry,
        )
        self.hung = Counter(
            "rt_predictor_hung_workers",
            "Workers that were killed because their event loop hung.",
            registry=registry,
        )
        reloads = Counter(
            "rt_predictor_model_reloads",
            "Reloads of the model: loaded (workers replaced), unchanged (nothing to load) or "
            "failed (the old model stays).",
            ("result",),
            registry=registry,
        )
        self.reloads = {result: reloads.labels(result) for result in RELOADS}
