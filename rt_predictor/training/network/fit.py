"""Fit of the network: AdamW, a rate that warms up and falls along a cosine, averaged weights.

The same seed, logs and machine give the same weights.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from rt_predictor.errors import TrainingError
from rt_predictor.features.matrix import CAP, SCALE
from rt_predictor.training.network.batches import BATCH, Batch, LearningLog, batches, steps
from rt_predictor.training.network.forward import Weights, initial_weights, scores
from rt_predictor.training.network.loss import (
    breaks,
    crps,
    enough,
    falls,
    reach,
    sinks,
    strays,
)
from rt_predictor.training.network.shape import Sizes
from rt_predictor.training.progress import Report

Array = Any


@dataclass(frozen=True)
class Schedule:
    """Length and rate of learning."""

    epochs: int = 4
    per_log: int = 25_000
    """Jobs of one log in an epoch, at most."""
    rate: float = 2e-3
    seed: int = 0


FALLS, BREAKS, SINKS, STRAYS, REACH = 2.0, 6.0, 2.0, 0.5, 1.0
"""Weights, beside the score, of each law of limits and of the chance to reach them."""

_WEIGHT_DECAY, _CLIP = 1e-3, 1.0
_WARM_UP_STEPS, _LAST_RATE = 200, 0.02
_AVERAGE_OF_STEPS = 200

_OPTIMIZER = optax.chain(
    optax.clip_by_global_norm(_CLIP),
    optax.scale_by_adam(),
    optax.add_decayed_weights(_WEIGHT_DECAY),
)
"""AdamW (Loshchilov and Hutter 2019) but for the rate, which is an argument of the step: so one
compilation serves every schedule."""


def fit(
    logs: Sequence[LearningLog],
    schedule: Schedule,
    *,
    sizes: Sizes | None = None,
    start: Weights | None = None,
    report: Report = lambda _: None,
) -> Weights:
    """Return the weights learned from logs, as NumPy arrays.

    Args:
        logs: what is learned from.
        schedule: length and rate of learning.
        sizes: widths of the layers of a new network.
        start: weights to go on from, instead of a new network.
        report: called after every step.

    Raises:
        TrainingError: there are not enough jobs for one step, or the loss is no number.
    """
    total = steps(logs, schedule.epochs, schedule.per_log)
    if not total:
        raise TrainingError(f"too few jobs to learn from: give at least {BATCH}")
    weights = initial_weights(schedule.seed, sizes or Sizes()) if start is None else start
    weights = jax.tree.map(partial(jnp.asarray, dtype=jnp.float32), weights)
    warm_up = min(_WARM_UP_STEPS, total // 4 + 1)
    rate_at = optax.warmup_cosine_decay_schedule(
        0.0, schedule.rate, warm_up, max(total, warm_up + 1), schedule.rate * _LAST_RATE
    )
    rates = np.asarray(rate_at(jnp.arange(total)), dtype=np.float32)
    # Soon the average no longer holds the weights that the network began with.
    keep = np.float32(1 - 1 / min(_AVERAGE_OF_STEPS, total / 10 + 1))
    learned = _Learned(weights, _OPTIMIZER.init(weights), weights, jnp.zeros(()))
    key = jax.random.PRNGKey(schedule.seed + 1)
    random = np.random.default_rng(schedule.seed)
    for done, batch in enumerate(batches(logs, schedule.epochs, schedule.per_log, random), start=1):
        learned = _step(learned, batch, jax.random.fold_in(key, done), rates[done - 1], keep)
        report(done / total)
    if not np.isfinite(float(learned.loss)):
        raise TrainingError("the network learned nothing: its loss is not a number")
    average: Weights = jax.tree.map(np.asarray, learned.average)
    return average


class _Learned(NamedTuple):
    """State of the fit after a step."""

    weights: Weights
    state: Any
    """Of the optimizer."""
    average: Weights
    loss: Array
    """Of the last batch."""


def _take_step(now: _Learned, batch: Batch, key: Array, rate: Array, keep: Array) -> _Learned:
    """Take one step at a rate; `keep` is the share of the average that is kept."""
    loss, gradient = jax.value_and_grad(_loss)(now.weights, batch, key)
    change, state = _OPTIMIZER.update(gradient, now.state, now.weights)
    weights = jax.tree.map(lambda w, c: w - rate * c, now.weights, change)
    average = jax.tree.map(lambda a, w: a * keep + w * (1 - keep), now.average, weights)
    return _Learned(weights, state, average, loss)


_step: Callable[..., _Learned] = jax.jit(_take_step)


def _loss(weights: Weights, batch: Batch, key: Array) -> Array:
    twins, jobs = batch.twins, len(batch.matrix)
    matrix = jnp.concatenate([batch.matrix, twins.matrix])
    boosted = jnp.concatenate([batch.boosted, twins.boosted])
    weighed = jax.nn.softmax(scores(weights, matrix, boosted, key))
    order = jnp.concatenate([batch.order, twins.order])
    weighed = jnp.take_along_axis(weighed, order, axis=1)

    unit = batch.scale_s
    points = jnp.sqrt(batch.points_s / unit[:, None])
    score = crps(weighed[:jobs], points, jnp.sqrt(batch.runtime_s / unit))
    limit = batch.matrix[:, CAP.start]
    limited = limit == batch.matrix[:, SCALE.start]
    reached = reach(weighed[:jobs], batch.points_s, limit, batch.runtime_s)

    at, is_longer = twins.rows, twins.longer[:, None] > 0
    # The outcome is known for the job's own limit only, so its twin is to follow it.
    own, other = jax.lax.stop_gradient(weighed[at]), weighed[jobs:]
    own_s, other_s = batch.points_s[at], twins.points_s
    shorter, shorter_s = (jnp.where(is_longer, *pair) for pair in ((own, other), (own_s, other_s)))
    longer, longer_s = (jnp.where(is_longer, *pair) for pair in ((other, own), (other_s, own_s)))
    shorter_limit = jnp.minimum(limit[at], twins.matrix[:, CAP.start])
    both = shorter, shorter_s, longer, longer_s
    laws = FALLS * falls(*both) + BREAKS * breaks(*both, shorter_limit)
    same = twins.same_job * enough(own, own_s, shorter_limit)
    laws += SINKS * same * sinks(*both, shorter_limit)
    stopped = (twins.longer > 0) & (batch.runtime_s[at] >= limit[at])
    laws += STRAYS * stopped * strays(other, other_s, limit[at], twins.matrix[:, CAP.start])
    laws = laws * jnp.abs(twins.longer)
    return score.mean() + laws.mean() + REACH * (reached * limited).mean()
