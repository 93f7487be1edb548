"""The series of a candidate are those of the model that serves, under other names."""

import time
from dataclasses import replace

import numpy as np
from prometheus_client import CollectorRegistry

from rt_predictor.observability.live_metrics import LiveMetrics
from rt_predictor.shadow.metrics import ShadowMetrics
from rt_predictor.shadow.report import Compared, ShadowReport
from tests.observability.test_live_metrics import FIGURES

REPORT = ShadowReport(
    at_s=time.time() + 1e6,
    model_version="v1",
    behind=3,
    live=FIGURES,
    compared=Compared().after(np.array([1.0, 3.0, 10.0]), np.ones(3)).after_failures(2),
    memory_bytes=1000,
)


def page(report: ShadowReport | None) -> CollectorRegistry:
    registry = CollectorRegistry()
    registry.register(ShadowMetrics(lambda: report))
    return registry


def series(registry: CollectorRegistry, prefix: str) -> dict[tuple[object, ...], float]:
    """Samples whose name begins so, by the rest of the name and the labels."""
    return {
        (sample.name.removeprefix(prefix), *sorted(sample.labels.items())): sample.value
        for family in registry.collect()
        for sample in family.samples
        if sample.name.startswith(prefix)
    }


def test_live_figures_of_a_candidate_have_the_names_and_labels_of_those_that_serve() -> None:
    registry = CollectorRegistry()
    LiveMetrics(registry).sample(FIGURES)
    live = series(registry, "rt_predictor_live_")
    assert len(live) > 8
    shadow = series(page(REPORT), "rt_predictor_shadow_")
    assert {key: shadow[key] for key in live} == live


def test_answers_are_told_by_their_ratio() -> None:
    registry = page(REPORT)

    def value(name: str, **labels: str) -> float | None:
        labels = {"model_version": "v1", **labels}
        return registry.get_sample_value(f"rt_predictor_shadow_{name}", labels)

    buckets = [value("answer_ratio_bucket", le=le) for le in ("0.95", "1.0", "4.0", "+Inf")]
    assert buckets == [0, 1, 2, 3]
    assert (value("answer_ratio_count"), value("answer_ratio_sum")) == (3, 14)
    assert (value("failures_total"), value("lag_events")) == (2, 3)
    assert value("resident_memory_bytes") == 1000
    assert registry.get_sample_value("rt_predictor_shadow_up") == 1


def test_a_candidate_that_is_not_there_is_only_not_up() -> None:
    ill = ShadowReport(REPORT.at_s, problem="damaged")
    for report in (None, ill):
        assert series(page(report), "rt_predictor_shadow_") == {("up",): 0}
    gone = series(page(replace(REPORT, at_s=0.0)), "rt_predictor_shadow_")
    assert gone[("up",)] == 0
