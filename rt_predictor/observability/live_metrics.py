"""Metrics of a model's quality, now and when it was trained."""

from collections.abc import Mapping
from math import isnan

from prometheus_client import CollectorRegistry, Gauge

from rt_predictor.online.live import LiveFigures
from rt_predictor.settings import WatchingSettings

_MODEL = ("model_version",)
_LEVEL = (*_MODEL, "level")


class LiveMetrics:
    """Series of one worker. All workers fold the same, so the value that was set last counts."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
        self._jobs = self._gauge(
            "live_jobs", "Finished jobs that live figures are made of; 0 before the first.", _MODEL
        )
        self._means = {
            "mae_s": self._gauge("live_mae_seconds", "Mean absolute error of recent jobs.", _MODEL),
            "accuracy": self._gauge(
                "live_accuracy", "Mean of min(p, r) / max(p, r) of recent jobs; 0 to 1.", _MODEL
            ),
            "underestimated": self._gauge(
                "live_underestimated",
                "Share of recent jobs that ran longer than predicted.",
                _MODEL,
            ),
            "crps_s": self._gauge(
                "live_crps_seconds",
                "Mean continuous ranked probability score of recent jobs; lower is better.",
                _MODEL,
            ),
        }
        self._proposals = self._gauge(
            "live_proposal_mae_seconds",
            "Mean absolute error of each model or rule on its own, for recent jobs.",
            (*_MODEL, "proposal"),
        )
        self._by_level = {
            "coverage": self._gauge(
                "live_coverage", "Share of recent jobs within their interval, by level.", _LEVEL
            ),
            "interval_score_s": self._gauge(
                "live_interval_score_seconds",
                "Mean interval score of recent jobs, by level; lower is better.",
                _LEVEL,
            ),
        }
        self._drift = self._gauge(
            "live_drift",
            "Population stability index of recent jobs, by group; 0 is no drift.",
            (*_MODEL, "group"),
        )
        self._trained = {
            "mae": self._gauge("trained_mae_seconds", _as_trained("live_mae_seconds"), _MODEL),
            "accuracy": self._gauge("trained_accuracy", _as_trained("live_accuracy"), _MODEL),
            "underestimated": self._gauge(
                "trained_underestimated", _as_trained("live_underestimated"), _MODEL
            ),
        }
        self._trained_by_level = {
            "coverage": self._gauge("trained_coverage", _as_trained("live_coverage"), _LEVEL),
            "winkler": self._gauge(
                "trained_interval_score_seconds",
                _as_trained("live_interval_score_seconds"),
                _LEVEL,
            ),
        }

        self._band = [
            self._gauge(f"watched_coverage_{end}", f"{text} `watching.coverage_band`.", ("level",))
            for end, text in (
                ("least", "Least live coverage within"),
                ("greatest", "Greatest live coverage within"),
            )
        ]
        self._least_jobs = self._gauge(
            "watched_least_jobs",
            "Finished jobs without which live coverage says nothing (`watching.least_jobs`).",
            (),
        )

    def watched(self, level: float, settings: WatchingSettings) -> None:
        """Show what live coverage, of the level that answers have, is held against."""
        for gauge, end in zip(self._band, settings.band(level), strict=True):
            gauge.labels(f"{level:g}").set(end)
        self._least_jobs.set(settings.least_jobs)

    def trained(self, model_version: str, metrics: Mapping[str, float]) -> None:
        """Show what was measured when the model was trained (`TrainingMetrics.headline`)."""
        for name, gauge in self._trained.items():
            if name in metrics:
                gauge.labels(model_version).set(metrics[name])
        for name, gauge in self._trained_by_level.items():
            if name in metrics and "level" in metrics:
                gauge.labels(model_version, f"{metrics['level']:g}").set(metrics[name])

    def sample(self, live: LiveFigures) -> None:
        """Show how good a model is now: its means once there is a job. Nothing without a model."""
        version = live.model_version
        if not version:
            return
        self._jobs.labels(version).set(live.jobs)
        if not live.jobs:
            return
        for name, gauge in self._means.items():
            gauge.labels(version).set(getattr(live, name))
        for name, gauge in self._by_level.items():
            for level, value in getattr(live, name).items():
                gauge.labels(version, f"{level:g}").set(value)
        for proposal, error_s in live.proposals_mae_s.items():
            if not isnan(error_s):
                self._proposals.labels(version, proposal).set(error_s)
        for group, drift in live.drift.items():
            self._drift.labels(version, group).set(drift.psi)

    def _gauge(self, name: str, text: str, labels: tuple[str, ...]) -> Gauge:
        return Gauge(
            f"rt_predictor_{name}",
            text,
            labels,
            multiprocess_mode="livemostrecent",
            registry=self._registry,
        )


def _as_trained(name: str) -> str:
    return f"What `rt_predictor_{name}` was on later jobs when the model was trained."
