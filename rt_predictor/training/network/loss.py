"""Loss of the network: the score of distributions, that of chances of a timeout, and laws.

The laws say that a longer limit shortens no prediction, that a limit that is recommended holds when
it is asked for, that one that is enough changes nothing below it, and that a job which was stopped
runs longer with a longer limit.
"""

from typing import Any, Final

import jax
import jax.numpy as jnp

Array = Any


def crps(weights: Array, points: Array, outcome: Array) -> Array:
    """Return the continuous ranked probability scores of n outcomes (Matheson, Winkler 1976): [n].

    Args:
        weights: [n, S] of the points, in their order.
        points: [n, S] ascending.
        outcome: [n].
    """
    outcome = outcome[:, None]
    level = jnp.cumsum(weights, axis=1)[:, :-1]
    # An outcome between two points is counted as at the upper one: points are near each other.
    inside = (points[:, 1:] - points[:, :-1]) * (level - (points[:, 1:] > outcome)) ** 2
    before, after = points[:, 0] - outcome[:, 0], outcome[:, 0] - points[:, -1]
    return inside.sum(axis=1) + jnp.maximum(before, 0.0) + jnp.maximum(after, 0.0)


def reach(weights: Array, points: Array, limit: Array, outcome: Array) -> Array:
    """Return the Brier scores of the chances that n jobs reach their limits: [n].

    The CRPS hardly depends on whether mass lies at the limit or just below it, so it does not teach
    these chances (measured on one log: calibration error .07 without this, .01 with it).

    Args:
        weights: [n, S] of the points.
        points: [n, S].
        limit: [n].
        outcome: [n].
    """
    chance = (weights * (points >= limit[:, None])).sum(axis=1)
    return (chance - (outcome >= limit)) ** 2


def falls(weights: Array, points: Array, longer_weights: Array, longer_points: Array) -> Array:
    """Return how much earlier n jobs would end with a longer limit, which is not plausible: [n].

    The distribution with the longer limit should lie above: F_longer(x) <= F(x) at every x. What
    is over is summed over the points, by their weight and evenly.

    Args:
        weights: [n, S] of the points with the shorter limit, in their order.
        points: [n, S] ascending.
        longer_weights: [n, S] with the longer limit, in the order of their points.
        longer_points: [n, S] ascending.
    """
    over = jax.nn.relu(_levels(longer_weights, longer_points, points) - jnp.cumsum(weights, axis=1))
    return _over_points(over, weights)


def breaks(
    weights: Array, points: Array, longer_weights: Array, longer_points: Array, limit: Array
) -> Array:
    """Return how much likelier n jobs would reach their limit than to run that long without it.

    What the distribution with a longer limit leaves above the shorter one is the most that may
    reach that: a limit that is recommended must hold when it is asked for. [n]

    Args:
        weights, points, longer_weights, longer_points: as of `falls`.
        limit: [n] the shorter limit.
    """
    before = _holds(weights, points, limit)
    return jax.nn.relu(_holds(longer_weights, longer_points, limit) - before)


def sinks(
    weights: Array, points: Array, longer_weights: Array, longer_points: Array, limit: Array
) -> Array:
    """Return how much earlier n jobs would end with the shorter limit, below that limit: [n].

    A limit that a job does not need changes nothing below it: F(x) <= F_longer(x) at every x below
    the shorter limit. What is over is summed over the points as in `falls`.

    Args:
        weights, points, longer_weights, longer_points, limit: as of `breaks`.
    """
    below = points < limit[:, None]
    over = jax.nn.relu(jnp.cumsum(weights, axis=1) - _levels(longer_weights, longer_points, points))
    return _over_points(over * below, weights)


ENOUGH: Final = 0.8
"""Chance to hold from which on a limit counts as enough."""


def enough(weights: Array, points: Array, limit: Array) -> Array:
    """Return how surely limits hold for n jobs: [n], 0 up to a chance of `ENOUGH`, then up to 1.

    Args:
        weights, points, limit: as of `reach`.
    """
    return jax.nn.relu(_holds(weights, points, limit) - ENOUGH) / (1 - ENOUGH)


LATE: Final = 1.02
"""Jobs are stopped at most so much after their limits: a multiple of the limit."""


def strays(weights: Array, points: Array, reached: Array, limit: Array) -> Array:
    """Return the squared chances that n jobs which a limit stopped end by it, or past a longer one.

    Such a job is known to run longer where its limit allows it, and is stopped by that at last. [n]

    Args:
        weights, points: as of `reach`.
        reached: [n] limits that stopped the jobs.
        limit: [n] the longer limits that are asked with.
    """
    within = (points > LATE * reached[:, None]) & (points <= LATE * limit[:, None])
    return (weights * ~within).sum(axis=1) ** 2


def _holds(weights: Array, points: Array, limit: Array) -> Array:
    """Return the chances that limits [n] are not reached: [n]."""
    return (weights * (points < limit[:, None])).sum(axis=1)


def _over_points(over: Array, weights: Array) -> Array:
    """Sum what is over at each point [n, S], by the weights of the points and evenly: [n]."""
    return (over * (weights + 1.0 / weights.shape[1])).sum(axis=1)


def _levels(weights: Array, points: Array, at: Array) -> Array:
    """Return the levels of distributions (weights and points [n, S]) at values [n, T]: [n, T]."""
    levels = jnp.pad(jnp.cumsum(weights, axis=1), ((0, 0), (1, 0)))
    below = jax.vmap(lambda row, x: jnp.searchsorted(row, x, side="right"))(points, at)
    return jnp.take_along_axis(levels, below, axis=1)
