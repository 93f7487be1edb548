"""What the network learns by.

How near distributions are to outcomes, how well they tell who reaches the limit, and two laws of
limits.
"""

from typing import Any

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

    The CRPS alone leaves them to chance: it hardly matters to it whether mass lies at the limit or
    just below (measured on one log: calibration error .07 without this, .01 with it).

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
    level = jnp.cumsum(weights, axis=1)
    longer_level = jnp.pad(jnp.cumsum(longer_weights, axis=1), ((0, 0), (1, 0)))
    reached = jax.vmap(lambda at, x: jnp.searchsorted(at, x, side="right"))(longer_points, points)
    over = jax.nn.relu(jnp.take_along_axis(longer_level, reached, axis=1) - level)
    return (over * (weights + 1.0 / weights.shape[1])).sum(axis=1)


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
    before = (weights * (points < limit[:, None])).sum(axis=1)
    longer_before = (longer_weights * (longer_points < limit[:, None])).sum(axis=1)
    return jax.nn.relu(longer_before - before)
