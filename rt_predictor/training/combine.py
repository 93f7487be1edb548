"""How the experts' answers become one: prediction with expert advice, here in NumPy.

Experts are the members of the ensemble and two rules that need no model: the median of the last
runs of the most alike finished jobs, and the last of them. The answer is the weighted median of the
experts, and an expert's weight falls with its recent loss against the best one's (Cesa-Bianchi and
Lugosi, Prediction, Learning, and Games, 2006, chapter 2). The graph does the same; it is held to
this.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rt_predictor.features.declared import BACKOFF_LAST, BACKOFF_MEDIAN
from rt_predictor.training.members import MEMBERS

Array = NDArray[np.float64]
Float32 = NDArray[np.float32]

MIN_RUNTIME_S = 1.0
"""No prediction is below this."""

LIMIT_CAPS: tuple[float, ...] = (1.0, 1.05, 1.25, 2.0)
"""Candidates for the greatest answer, as a multiple of the time limit."""

RULES: tuple[str, ...] = (BACKOFF_MEDIAN, BACKOFF_LAST)
"""Experts that need no model, after the members."""

EXPERTS: tuple[str, ...] = (*(member.name for member in MEMBERS), *RULES)
"""Names of the experts, in the order of their columns."""

SHARPNESS = 6.0
"""How fast an expert's weight falls with its loss: exp(-SHARPNESS * (relative loss - least))."""

PRIOR_JOBS = (500.0, 2.0)
"""By scope: finished jobs that the losses on the calibration jobs count as, beside those seen."""

MIN_LOSSES = (1.0, 0.05)
"""By scope, in s and as a share: losses below this are all alike."""


@dataclass(frozen=True)
class Recent:
    """What the most alike finished jobs of n jobs took, NaN where there is none."""

    median_s: Float32
    """[n] median of the last five"""
    last_s: Float32
    """[n] the last one"""


def reference_s(recent: Recent, time_req_s: Array, typical_runtime_s: float) -> Float32:
    """What is expected by rule: what alike jobs took, else the limit, else what is typical.

    [n]; at most the limit, at least `MIN_RUNTIME_S`.
    """
    limit = time_req_s.astype(np.float32)
    found = np.where(np.isnan(recent.median_s), limit, recent.median_s)
    found = np.where(np.isnan(found), np.float32(typical_runtime_s), found)
    return np.asarray(np.maximum(np.fmin(found, limit), np.float32(MIN_RUNTIME_S)))


@dataclass(frozen=True)
class Combination:
    """How the experts' answers become one."""

    limit_cap: float | None
    """The greatest answer as a multiple of the time limit; None where limits are not enforced."""
    max_runtime_s: float
    """The greatest answer of jobs without a limit, and of all where `limit_cap` is None."""
    typical_runtime_s: float
    """The reference of jobs of which nothing at all is known."""
    prior_losses: tuple[tuple[float, ...], ...]
    """[SCOPES, len(EXPERTS)] mean losses before any job has ended, as `losses_of`."""

    def cap(self, time_req_s: Array) -> Array:
        """The greatest answer for each job: [n] limits, NaN for none -> [n]."""
        return _cap(self.limit_cap, self.max_runtime_s, time_req_s)

    def experts_s(self, members_s: Array, recent: Recent, time_req_s: Array) -> Array:
        """[n, m] answers of the members -> [n, len(EXPERTS)], all within bounds."""
        reference = reference_s(recent, time_req_s, self.typical_runtime_s)
        last = np.where(np.isnan(recent.last_s), reference, recent.last_s)
        said = np.column_stack([members_s, reference, last])
        return np.asarray(np.clip(said, MIN_RUNTIME_S, self.cap(time_req_s)[:, None]))

    def answer_s(self, experts_s: Array, sums: Float32) -> Array:
        """The weighted median of the experts: [n, k], and sums as for `expert_weights` -> [n]."""
        return weighted_median(experts_s, expert_weights(sums, np.array(self.prior_losses)))


def expert_weights(sums: Float32, prior_losses: Array) -> Array:
    """Weights of k experts from their recent losses.

    In each scope the loss starts from the prior and is taken relative to the best expert's; the
    mean over the scopes decides.

    Args:
        sums: [n, SCOPES, k + 1] as `ExpertLosses.as_of` gives them.
        prior_losses: [SCOPES, k] mean losses on the calibration jobs.

    Returns [n, k], at most 1; that of the best expert is 1.
    """
    jobs = np.array(PRIOR_JOBS)[:, None]
    loss = (sums[..., :-1] + jobs * prior_losses) / (sums[..., -1:] + jobs)
    loss = np.maximum(loss, np.array(MIN_LOSSES)[:, None])
    relative = (loss / loss.min(axis=2, keepdims=True)).mean(axis=1)
    return np.asarray(np.exp(-SHARPNESS * (relative - relative.min(axis=1, keepdims=True))))


def weighted_median(values: Array, weights: Array, share: float = 0.5) -> Array:
    """The least value at or below which that share of the weight lies: [n, k] twice -> [n]."""
    below = values[:, None, :] <= values[:, :, None]
    reached = (below * weights[:, None, :]).sum(axis=2) >= share * weights.sum(axis=1)[:, None]
    return np.asarray(np.where(reached, values, np.inf).min(axis=1))


def choose_cap(members_s: Array, time_req_s: Array, runtime_s: Array) -> float | None:
    """The cap with the least mean absolute error of the members' median, as `limit_cap`.

    Args:
        members_s: [n, m] answers of the members, not held within bounds.
        time_req_s: [n] limits, NaN for none.
        runtime_s: [n] what the jobs took.
    """
    said = np.median(members_s, axis=1)
    longest = float(runtime_s.max())
    caps: tuple[float | None, ...] = (*LIMIT_CAPS, None)
    errors = [
        np.abs(np.minimum(said, _cap(cap, longest, time_req_s)) - runtime_s).mean() for cap in caps
    ]
    return caps[int(np.argmin(errors))]


def _cap(limit_cap: float | None, max_runtime_s: float, time_req_s: Array) -> Array:
    if limit_cap is None:
        return np.full(len(time_req_s), max_runtime_s)
    caps = np.maximum(time_req_s * limit_cap, MIN_RUNTIME_S)
    return np.where(np.isnan(time_req_s), max_runtime_s, caps)
