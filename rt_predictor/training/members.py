"""The members of the ensemble: which booster learns what.

Most jobs repeat one that has ended, and trees cannot copy a number. So three members learn how far
a job's runtime is from that of the most alike finished jobs (the reference), one in which ratio it
stands to it, and one learns the runtime itself, which is best where there is little to refer to. A
last one sees the request alone: where history misleads, it does not follow.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from rt_predictor.features.declared import REQUEST_FEATURES
from rt_predictor.settings import TrainingSettings
from rt_predictor.training.boosters import (
    Boosting,
    FittedBooster,
    Progress,
    Report,
    Samples,
    fit_booster,
)

Array = NDArray[np.float64]

MAX_LOG_RATIO = 20.0
"""Of a runtime to its reference; keeps its exponential finite."""


class Target(StrEnum):
    """What a member learns of a job, given the job's reference."""

    CORRECTION = "correction"
    """runtime - reference, in s"""
    RATIO = "ratio"
    """log(runtime / reference)"""
    RUNTIME = "runtime"
    """runtime, in s"""


@dataclass(frozen=True)
class Member:
    """One model of the ensemble."""

    name: str
    library: str
    target: Target
    sees_history: bool = True
    """Whether it is fitted with what was known of finished jobs, or with the request alone."""


MEMBERS: tuple[Member, ...] = (
    Member("xgboost", "xgboost", Target.CORRECTION),
    Member("lightgbm", "lightgbm", Target.CORRECTION),
    Member("catboost", "catboost", Target.CORRECTION),
    Member("lightgbm_ratio", "lightgbm", Target.RATIO),
    Member("lightgbm_runtime", "lightgbm", Target.RUNTIME),
    Member("lightgbm_request", "lightgbm", Target.RUNTIME, sees_history=False),
)
"""In the order of the outputs of the graph's trees."""


@dataclass(frozen=True)
class Examples:
    """Finished jobs as the members see them."""

    features: NDArray[np.float32]
    """[n, features]"""
    reference_s: NDArray[np.float32]
    """[n] above zero"""
    runtime_s: Array
    """[n] above zero"""

    def samples(self, member: Member) -> Samples:
        """What a member learns from."""
        features = self.features
        if not member.sees_history:
            features = features.copy()
            features[:, len(REQUEST_FEATURES) :] = np.nan
        return Samples(features, _encoded(member.target, self.runtime_s, self.reference_s))


def fit_members(
    fit: Examples, stop: Examples, settings: TrainingSettings, progress: Progress
) -> tuple[FittedBooster, ...]:
    """Fits every member, each stopped early on `stop`: [m] in the order of `MEMBERS`."""
    return tuple(
        fit_booster(
            member.library,
            fit.samples(member),
            Boosting(
                getattr(settings, member.library).trees,
                stop.samples(member),
                settings.early_stopping_rounds,
            ),
            settings,
            _reporting(progress, member),
        )
        for member in MEMBERS
    )


def refit_members(
    chosen: Sequence[FittedBooster],
    examples: Examples,
    settings: TrainingSettings,
    progress: Progress,
) -> tuple[FittedBooster, ...]:
    """Fits every member anew with as many trees as were chosen."""
    return tuple(
        fit_booster(
            member.library,
            examples.samples(member),
            Boosting(fitted.trees),
            settings,
            _reporting(progress, member),
        )
        for member, fitted in zip(MEMBERS, chosen, strict=True)
    )


def _reporting(progress: Progress, member: Member) -> Report:
    return lambda share: progress(member.name, share)


def raw_answers(boosters: Sequence[FittedBooster], features: NDArray[np.float32]) -> Array:
    """What the trees say: [n, features] -> [n, m], each in the unit of its target."""
    return np.column_stack([booster.predict(features) for booster in boosters])


def answers_s(raw: Array, reference_s: NDArray[np.float32]) -> Array:
    """[n, m] raw answers and [n] references -> [n, m] runtimes in s, not held within bounds."""
    return np.column_stack(
        [_decoded(member.target, raw[:, at], reference_s) for at, member in enumerate(MEMBERS)]
    )


def _encoded(target: Target, runtime_s: Array, reference_s: NDArray[np.float32]) -> Array:
    match target:
        case Target.CORRECTION:
            return runtime_s - reference_s
        case Target.RATIO:
            return np.asarray(np.log(runtime_s / reference_s))
        case Target.RUNTIME:
            return runtime_s


def _decoded(target: Target, raw: Array, reference_s: NDArray[np.float32]) -> Array:
    match target:
        case Target.CORRECTION:
            return raw + reference_s
        case Target.RATIO:
            ratio = np.exp(np.clip(raw, -MAX_LOG_RATIO, MAX_LOG_RATIO))
            return np.asarray(reference_s * ratio)
        case Target.RUNTIME:
            return raw
