"""The series of live figures, by model version."""

from prometheus_client import CollectorRegistry

from rt_predictor.history.live import LiveFigures, LiveSums
from rt_predictor.model.reference import NO_REFERENCE, Drift
from rt_predictor.observability.live_metrics import LiveMetrics
from tests.history.fakes import A_REFERENCE

FIGURES = LiveFigures(
    model_version="v1",
    jobs=12,
    mae_s=30.0,
    accuracy=0.7,
    underestimated=0.4,
    coverage={0.5: 0.45, 0.9: 0.88},
    interval_score_s={0.5: 90.0, 0.9: 200.0},
    drift={"request": Drift(0.3, "time_req")},
)


def test_live_figures_stand_beside_those_of_training() -> None:
    registry = CollectorRegistry()
    metrics = LiveMetrics(registry)
    metrics.trained("v1", {"mae": 20.0, "accuracy": 0.8, "level": 0.9, "coverage": 0.9})
    metrics.sample(FIGURES)

    def value(name: str, **labels: str) -> float | None:
        return registry.get_sample_value(f"rt_predictor_{name}", {"model_version": "v1", **labels})

    assert (value("live_jobs"), value("live_mae_seconds")) == (12, 30)
    assert (value("live_accuracy"), value("live_underestimated")) == (0.7, 0.4)
    assert value("live_coverage", level="0.9") == 0.88
    assert value("live_interval_score_seconds", level="0.5") == 90
    assert value("live_drift", group="request") == 0.3
    assert (value("trained_mae_seconds"), value("trained_accuracy")) == (20, 0.8)
    assert value("trained_coverage", level="0.9") == 0.9
    assert value("trained_underestimated") is None


def test_there_are_no_means_before_the_first_job() -> None:
    registry = CollectorRegistry()
    LiveMetrics(registry).sample(LiveSums.none(2).figures("v1", A_REFERENCE))
    samples = [sample for family in registry.collect() for sample in family.samples]
    assert [(sample.name, sample.value) for sample in samples] == [("rt_predictor_live_jobs", 0)]


def test_nothing_is_shown_where_no_model_is_judged() -> None:
    registry = CollectorRegistry()
    LiveMetrics(registry).sample(LiveSums.none(0).figures("", NO_REFERENCE))
    assert [sample for family in registry.collect() for sample in family.samples] == []
