"""Metrics of a candidate, as it last reported: beside the `live` series."""

from collections.abc import Callable, Iterator
from itertools import accumulate
from math import isnan

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

from rt_predictor.online.live import LiveFigures
from rt_predictor.shadow.report import RATIO_EDGES, ShadowReport

_MODEL = ("model_version",)
_LEVEL = (*_MODEL, "level")
_NOTHING = ShadowReport(at_s=0.0, problem="it has not been heard of yet")


class ShadowMetrics(Collector):
    """The series of a candidate. They are made from its latest report at each scrape."""

    def __init__(self, latest: Callable[[], ShadowReport | None]) -> None:
        """Series of what `latest` gives; before the first report only that it is not up."""
        self._latest = latest

    def collect(self) -> Iterator[Metric]:
        """All series, also those that have no value yet."""
        report = self._latest() or _NOTHING
        version = (report.model_version,) if report.model_version else None
        yield _gauge("up", "1 where the shadow model is there and well.", (), {(): report.up})
        yield from _of_process(report, version)
        yield from _of_answers(report, version)
        yield from _of_live_jobs(report.live if version else None)


Labels = tuple[str, ...]


def _of_process(report: ShadowReport, version: Labels | None) -> Iterator[Metric]:
    behind = "Events of the outcome log that the shadow model has not folded yet."
    yield _gauge("lag_events", behind, _MODEL, {version: report.behind} if version else {})
    memory = "Resident memory of the shadow model's process."
    yield _gauge(
        "resident_memory_bytes", memory, _MODEL, {version: report.memory_bytes} if version else {}
    )


def _of_answers(report: ShadowReport, version: Labels | None) -> Iterator[Metric]:
    ratio = HistogramMetricFamily(
        "rt_predictor_shadow_answer_ratio",
        "The shadow model's prediction over the one that was served, of the same job.",
        labels=_MODEL,
    )
    failures = CounterMetricFamily(
        "rt_predictor_shadow_failures",
        "Jobs that were answered, and on which the shadow model failed.",
        labels=_MODEL,
    )
    if version:
        edges = [*map(str, RATIO_EDGES), "+Inf"]
        counts = accumulate(report.compared.counts)
        buckets = list(zip(edges, map(float, counts), strict=True))
        ratio.add_metric(version, buckets, sum_value=report.compared.ratio_sum)
        failures.add_metric(version, report.compared.failed)
    yield ratio
    yield failures


def _of_live_jobs(live: LiveFigures | None) -> Iterator[Metric]:
    version = (live.model_version,) if live is not None else ()
    some = live if live is not None and live.jobs else None
    yield _as_live("jobs", _MODEL, {version: live.jobs} if live is not None else {})
    means = (
        ("mae_seconds", "mae_s"),
        ("accuracy", "accuracy"),
        ("underestimated", "underestimated"),
        ("crps_seconds", "crps_s"),
    )
    for name, value in means:
        yield _as_live(name, _MODEL, {version: getattr(some, value)} if some else {})
    for name, value in (("coverage",) * 2, ("interval_score_seconds", "interval_score_s")):
        levels = getattr(some, value) if some else {}
        of_level = {(*version, f"{level:g}"): figure for level, figure in levels.items()}
        yield _as_live(name, _LEVEL, of_level)
    errors = some.proposals_mae_s if some else {}
    of_proposal = {(*version, name): error for name, error in errors.items() if not isnan(error)}
    yield _as_live("proposal_mae_seconds", (*_MODEL, "proposal"), of_proposal)
    drift = {(*version, group): drift.psi for group, drift in (some.drift if some else {}).items()}
    yield _as_live("drift", (*_MODEL, "group"), drift)


def _as_live(name: str, labels: Labels, values: dict[Labels, float]) -> Metric:
    text = f"What `rt_predictor_live_{name}` would be with the shadow model."
    return _gauge(name, text, labels, values)


def _gauge(name: str, text: str, labels: Labels, values: dict[Labels, float]) -> Metric:
    family = GaugeMetricFamily(f"rt_predictor_shadow_{name}", text, labels=labels)
    for key, value in values.items():
        family.add_metric(key, float(value))
    return family
