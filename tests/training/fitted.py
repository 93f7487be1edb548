"""A model as training makes it, before it is a bundle."""

from dataclasses import dataclass, replace

import polars as pl

from rt_predictor.model.session import CPU, ModelSession
from rt_predictor.settings import Settings
from rt_predictor.training.combine import Combination
from rt_predictor.training.ensemble import Ensemble, fit_ensemble
from rt_predictor.training.export.fuse import Head
from rt_predictor.training.export.graph import GRAPH_OUTPUTS, IntervalShape, ensemble_model
from rt_predictor.training.export.native import read
from rt_predictor.training.export.normalise import normalise
from rt_predictor.training.members import MEMBERS
from rt_predictor.training.prepare import PreparedLog, prepare_log


@dataclass(frozen=True)
class Fitted:
    """An ensemble, the log that it was fitted on, and its trees."""

    settings: Settings
    log: PreparedLog
    ensemble: Ensemble
    heads: tuple[Head, ...]

    def combined(self, **changes: object) -> Combination:
        """Its combination, with other values."""
        return replace(self.ensemble.combination, **changes)  # type: ignore[arg-type]

    def graph(self, combination: Combination | None = None) -> ModelSession:
        """Its graph, perhaps with another combination."""
        shape = self.ensemble.calibration
        model = ensemble_model(
            self.ensemble.encoder.categories,
            self.heads,
            combination or self.ensemble.combination,
            IntervalShape(shape.lower_ratio, shape.upper_ratio, shape.limit_overrun),
        )
        return ModelSession(model.SerializeToString(), GRAPH_OUTPUTS, (CPU,))


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
    ensemble = fit_ensemble(log, settings, lambda _step, _share: None)
    heads = tuple(
        Head(member.name, (normalise(read(booster.native)),), (member.name,))  # type: ignore[arg-type]
        for member, booster in zip(MEMBERS, ensemble.boosters, strict=True)
    )
    return Fitted(settings, log, ensemble, heads)
