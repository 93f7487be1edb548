"""A model as training makes it, before it is a bundle."""

from dataclasses import dataclass, replace

import polars as pl

from rt_predictor.model.session import ModelSession
from rt_predictor.settings import Settings
from rt_predictor.training.combine import Combination
from rt_predictor.training.ensemble import Ensemble, fit_ensemble
from rt_predictor.training.exported import export_graph
from rt_predictor.training.interval_models import IntervalModels, fit_interval_models
from rt_predictor.training.prepare import PreparedLog, prepare_log


@dataclass(frozen=True)
class Fitted:
    """An ensemble, the log that it was fitted on, and its trees."""

    settings: Settings
    log: PreparedLog
    ensemble: Ensemble
    models: IntervalModels

    def combined(self, **changes: object) -> Combination:
        """Its combination, with other values."""
        return replace(self.ensemble.combination, **changes)  # type: ignore[arg-type]

    def graph(self, combination: Combination | None = None) -> ModelSession:
        """Its graph, perhaps with another combination."""
        ensemble = replace(self.ensemble, combination=combination or self.ensemble.combination)
        return export_graph(ensemble, self.models).session


def with_holes(jobs: pl.DataFrame) -> pl.DataFrame:
    """Some jobs lack a limit, a user or a partition."""
    every = pl.int_range(pl.len())
    return jobs.with_columns(
        time_req=pl.when(every % 17 != 0).then("time_req"),
        user=pl.when(every % 13 != 0).then("user"),
        partition=pl.when(every % 11 != 0).then("partition"),
    )


def fit(jobs: pl.DataFrame, settings: Settings) -> Fitted:
    """Learns from a log, as `training.pipeline.train` does."""
    return fit_prepared(prepare_log(jobs, settings.training), settings)


def fit_prepared(log: PreparedLog, settings: Settings) -> Fitted:
    """Learns from a log that is ready."""
    ensemble, trial = fit_ensemble(log, settings.training, lambda _step, _share: None)
    models = fit_interval_models(log, ensemble, trial, settings, lambda _step, _share: None)
    return Fitted(settings, log, ensemble, models)
