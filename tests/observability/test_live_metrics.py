"""The series of live figures, by model version."""

import pytest
from prometheus_client import CollectorRegistry

from rt_predictor.observability.live_metrics import LiveMetrics
from rt_predictor.online.live import NO_FIGURES, Drift, LiveFigures, LiveShape, LiveSums
from rt_predictor.settings import WatchingSettings

FIGURES = LiveFigures(
    model_version="v1",
    jobs=12,
    mae_s=30.0,
    accuracy=0.7,
    underestimated=0.4,
    crps_s=25.0,
    coverage={0.5: 0.45, 0.9: 0.88},
    interval_score_s={0.5: 90.0, 0.9: 200.0},
    drift={"calibration": Drift(0.3, "pit")},
    proposals_mae_s={"last2": 40.0, "xgboost": float("nan")},
)


def _shown(registry: CollectorRegistry) -> list[tuple[str, float]]:
    """All series of figures, without those of what they are held against."""
    samples = (sample for family in registry.collect() for sample in family.samples)
    return [(s.name, s.value) for s in samples if not s.name.startswith("rt_predictor_watched")]


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
    assert value("live_drift", group="calibration") == 0.3
    assert value("live_crps_seconds") == 25
    assert value("live_proposal_mae_seconds", proposal="last2") == 40
    assert value("live_proposal_mae_seconds", proposal="xgboost") is None
    assert (value("trained_mae_seconds"), value("trained_accuracy")) == (20, 0.8)
    assert value("trained_coverage", level="0.9") == 0.9
    assert value("trained_underestimated") is None


def test_there_are_no_means_before_the_first_job() -> None:
    registry = CollectorRegistry()
    LiveMetrics(registry).sample(LiveSums.none(LiveShape.of(0.9, ("last2",))).figures("v1"))
    assert _shown(registry) == [("rt_predictor_live_jobs", 0)]


def test_nothing_is_shown_where_no_model_is_judged() -> None:
    registry = CollectorRegistry()
    LiveMetrics(registry).sample(NO_FIGURES)
    assert _shown(registry) == []


@pytest.mark.parametrize(
    ("level", "band", "least", "greatest"), [(0.9, 0.05, 0.85, 0.95), (0.95, 0.1, 0.85, 1.0)]
)
def test_what_coverage_is_held_against_is_shown_as_it_is_set(
    level: float, band: float, least: float, greatest: float
) -> None:
    registry = CollectorRegistry()
    settings = WatchingSettings(coverage_band=band, least_jobs=70)
    LiveMetrics(registry).watched(level, settings)
    value = registry.get_sample_value
    labels = {"level": f"{level:g}"}
    assert value("rt_predictor_watched_coverage_least", labels) == pytest.approx(least)
    assert value("rt_predictor_watched_coverage_greatest", labels) == pytest.approx(greatest)
    assert value("rt_predictor_watched_least_jobs") == 70
