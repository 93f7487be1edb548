"""The network: attention over tokens, then a weight for every point of the support.

A token is encoded from its features only; the request enters where tokens are
attended to and where their runtimes are weighed. (Let into the tokens' own layers as well, it
learned sites by heart: 3 % more error on sites that it had not seen.)
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from rt_predictor.features.matrix import ABSENT, MISSING, REQUEST, ROWS, TOKEN_ROW
from rt_predictor.features.proposals import PROPOSALS
from rt_predictor.features.request_features import TOKEN_KINDS
from rt_predictor.features.token_features import TOKEN_FEATURES
from rt_predictor.history.columns import Float
from rt_predictor.history.token_keys import SLOTS, slots_of
from rt_predictor.training.network.shape import BOOSTERS, GRID, Sizes

Array = Any
"""An array of JAX or NumPy, float32."""

DROPPED = 0.1
"""Share of the numbers of a hidden layer that are left out while it learns."""


class Dense(NamedTuple):
    """Weights of a layer: x @ w + b."""

    w: Array
    b: Array


class Weights(NamedTuple):
    """All weights of the network."""

    request_1: Dense
    """[REQUEST_INPUTS, wide]"""
    request_2: Dense
    """[wide, hidden]"""
    token_1: Dense
    """[len(TOKEN_FEATURES), hidden - 1]: one unit of the first layer is always 1 in the graph"""
    slots: Array
    """[len(TOKEN_KINDS) + 1, hidden - 1] of the kind of a token, and its rank"""
    token_2: Dense
    """[hidden - 1, hidden]"""
    queries: Dense
    """[hidden, heads * hidden]"""
    copies: Dense
    """[(1 + heads) * hidden, hidden]"""
    points_1: Dense
    """[(1 + heads) * hidden, wide]"""
    points_2: Dense
    """[wide, len(PROPOSALS) + BOOSTERS + GRID]"""


RULES = len(PROPOSALS)
REQUEST_INPUTS = REQUEST.stop - REQUEST.start + 2 * BOOSTERS
"""Features of the request, proposals of boosters, and whether each booster has one."""


def slot_features() -> Float:
    """Return the kind of each slot and its rank among them: [SLOTS, len(TOKEN_KINDS) + 1]."""
    features = np.zeros((SLOTS, len(TOKEN_KINDS) + 1), dtype=np.float32)
    for kind, name in enumerate(TOKEN_KINDS):
        slots = slots_of(name)
        count = slots.stop - slots.start
        features[slots, kind] = 1
        features[slots, -1] = np.arange(count) / max(count, 1)
    return features


def initial_weights(seed: int, sizes: Sizes) -> Weights:
    """Return random weights (He et al. 2015), those of the points near an even distribution."""
    hidden, wide, heads = sizes.hidden, sizes.wide, sizes.heads
    context = (1 + heads) * hidden
    keys = iter(jax.random.split(jax.random.PRNGKey(seed), len(Weights._fields)))

    def dense(inputs: int, outputs: int, scale: float = 1.0, bias: float = 0.0) -> Dense:
        spread = scale * np.sqrt(2 / inputs)
        w = jax.random.normal(next(keys), (inputs, outputs)) * spread
        return Dense(w, jnp.full(outputs, bias))

    return Weights(
        request_1=dense(REQUEST_INPUTS, wide),
        request_2=dense(wide, hidden),
        token_1=dense(len(TOKEN_FEATURES), hidden - 1),
        slots=dense(len(TOKEN_KINDS) + 1, hidden - 1).w,
        token_2=dense(hidden - 1, hidden),
        queries=dense(hidden, heads * hidden, 0.5 / np.sqrt(hidden)),
        copies=dense(context, hidden, 0.3 / np.sqrt(hidden)),
        points_1=dense(context, wide),
        points_2=dense(wide, RULES + BOOSTERS + GRID, 0.05, -2.0),
    )


def scores(weights: Weights, matrix: Array, boosted: Array, key: Array = None) -> Array:
    """Return the score of each point of the support: [n, POINTS]; weights are their softmax.

    Args:
        weights: of the network.
        matrix: [n, WIDTH] of `features.matrix`.
        boosted: [n, BOOSTERS] logarithms of proposed runtimes over the scale; NaN for none.
        key: of the random numbers for dropout; None drops nothing.
    """
    first, second = (None, None) if key is None else jax.random.split(key)
    jobs, hidden = len(matrix), weights.token_2.w.shape[1]
    tokens = matrix.reshape(jobs, ROWS, SLOTS)[:, TOKEN_ROW:].transpose(0, 2, 1)
    missing = matrix[:, MISSING]
    silent = jnp.isnan(boosted)
    request_inputs = (matrix[:, REQUEST], jnp.where(silent, 0.0, boosted), 1.0 - silent)

    request = _relu(weights.request_1, jnp.concatenate(request_inputs, axis=1))
    request = _relu(weights.request_2, _drop(request, first))
    token = _relu(weights.token_1, tokens, slot_features() @ weights.slots)
    token = _relu(weights.token_2, token)
    query = _dense(weights.queries, request).reshape(jobs, -1, hidden)
    looks = jnp.einsum("nth,nqh->nqt", token, query) + missing[:, None, :SLOTS]
    seen = jnp.einsum("nqt,nth->nqh", jax.nn.softmax(looks), token).reshape(jobs, -1)
    context = jnp.concatenate([request, seen], axis=1)

    copies = jnp.einsum("nth,nh->nt", token, _dense(weights.copies, context))
    points = _dense(weights.points_2, _relu(weights.points_1, _drop(context, second)))
    copied = jnp.concatenate([copies, points[:, :RULES]], axis=1) + missing
    boosters = points[:, RULES : RULES + BOOSTERS] + jnp.where(silent, ABSENT, 0.0)
    return jnp.concatenate([copied, boosters, points[:, RULES + BOOSTERS :]], axis=1)


def _dense(layer: Dense, x: Array) -> Array:
    return x @ layer.w + layer.b


def _relu(layer: Dense, x: Array, more: Array = 0.0) -> Array:
    return jax.nn.relu(_dense(layer, x) + more)


def _drop(x: Array, key: Array) -> Array:
    if key is None:
        return x
    return x * jax.random.bernoulli(key, 1 - DROPPED, x.shape) / (1 - DROPPED)


def point_weights(weights: Weights, matrix: Float, boosted: Float) -> Float:
    """Return the weight of each point of the support: [n, POINTS], each row sums to 1.

    Arguments as of `scores`.
    """
    found: Float = np.asarray(_point_weights(weights, matrix, boosted))
    return found


_point_weights = jax.jit(
    lambda weights, matrix, boosted: jax.nn.softmax(scores(weights, matrix, boosted))
)
