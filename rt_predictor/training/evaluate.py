"""The held-out evaluation: the ensemble, its members and the baselines on the same jobs."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from rt_predictor.training.metrics import (
    Array,
    IntervalMetrics,
    PointMetrics,
    interval_metrics,
    point_metrics,
    winkler_score,
)


@dataclass(frozen=True)
class HeldOut:
    """What the exported graph said of the jobs of the test span, in the order of submission."""

    predicted_s: Array
    """[n]"""
    interval_s: Array
    """[n, 2]"""
    members_s: Array
    """[n, m]"""
    time_req_s: Array
    """[n] limits, NaN for none."""
    runtime_s: Array
    """[n] what the jobs took."""


@dataclass(frozen=True)
class Evaluation:
    """The figures of one log, as in the tables."""

    trace: str
    jobs_train: int
    jobs_test: int
    models: Mapping[str, PointMetrics]
    baselines: Mapping[str, PointMetrics]
    interval: IntervalMetrics

    def to_json(self) -> dict[str, object]:
        """As plain dicts, lists and numbers."""
        return asdict(self)


def evaluate(
    *,
    trace: str,
    jobs_train: int,
    held_out: HeldOut,
    member_names: tuple[str, ...],
    level: float,
    constant_width_factor: float,
    typical_runtime_s: float,
) -> Evaluation:
    """Measures everything on the held-out jobs.

    Args:
        trace: name of the log.
        jobs_train: jobs that the model was made from.
        held_out: the answers and the outcomes.
        member_names: names of the columns of `held_out.members_s`.
        level: level of the intervals.
        constant_width_factor: see `calibrate.constant_width`.
        typical_runtime_s: what the baseline `request` says of a job without a limit.
    """
    runtime = held_out.runtime_s
    ensemble = point_metrics(held_out.predicted_s, runtime)
    members = {
        name: point_metrics(held_out.members_s[:, place], runtime)
        for place, name in enumerate(member_names)
    }
    limit: NDArray[np.float64] = np.where(
        np.isnan(held_out.time_req_s), typical_runtime_s, held_out.time_req_s
    )
    constant = winkler_score(
        held_out.predicted_s / constant_width_factor,
        held_out.predicted_s * constant_width_factor,
        runtime,
        level,
    )
    return Evaluation(
        trace=trace,
        jobs_train=jobs_train,
        jobs_test=len(runtime),
        models={"ensemble": ensemble, **members},
        baselines={"request": point_metrics(limit, runtime)},
        interval=interval_metrics(
            held_out.interval_s[:, 0], held_out.interval_s[:, 1], runtime, level, constant
        ),
    )
