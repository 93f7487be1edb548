"""Small made-up logs to learn from, and random weights."""

import numpy as np

from rt_predictor.features.asked import Asked
from rt_predictor.features.matrix import WIDTH, assemble
from rt_predictor.history.columns import COLUMN, Float
from rt_predictor.history.log_tokens import log_tokens
from rt_predictor.training.network.batches import LearningLog
from rt_predictor.training.network.forward import Weights, initial_weights
from rt_predictor.training.network.shape import BOOSTERS, Sizes
from rt_predictor.training.network.twins import Twins, boosted_of_twins, twin_limits_s
from tests.features.asked_logs import asked, random_log

SMALL = Sizes(hidden=8, wide=8, heads=2)


def learning_log(jobs: int = 700, seed: int = 0) -> LearningLog:
    """Return a log whose jobs are all learned from; every second one has proposals of boosters."""
    log = random_log(jobs, seed)
    random = np.random.default_rng(seed)
    boosted = random.normal(-1, 1, (jobs, BOOSTERS)).astype(np.float32)
    boosted[::2] = np.nan
    runtime_s = log.columns[:, COLUMN["runtime_s"]].astype(np.float64)
    jobs_asked, tokens = asked(log), log_tokens(log)
    limit_s = twin_limits_s(jobs_asked.limit_s, tokens, random)
    twin_boosted = boosted_of_twins(boosted, jobs_asked.limit_s, limit_s)
    twins = Twins(jobs_asked.with_limits(limit_s), tokens, twin_boosted)
    return LearningLog(jobs_asked, tokens, runtime_s, np.arange(jobs), boosted, twins)


def matrix_of(log: LearningLog, rows: slice = slice(None)) -> Float:
    return assemble(log.asked[rows], log.tokens.gather(rows))


def random_weights(seed: int, sizes: Sizes | None = None) -> Weights:
    """Weights that no learning has made small: every path of the network counts."""
    weights = initial_weights(seed, sizes or Sizes())
    random = np.random.default_rng(seed)

    def shaken(array: Float) -> Float:
        noise = random.normal(0, 0.03, np.shape(array))
        return (np.asarray(array) + noise).astype(np.float32)

    last = weights.points_2
    weights = weights._replace(points_2=last._replace(w=np.asarray(last.w) * 5))
    return Weights(
        *(
            shaken(layer) if not isinstance(layer, tuple) else type(layer)(*map(shaken, layer))
            for layer in weights
        )
    )


def awkward_matrices() -> Float:
    """Rows of no meaning that the graph must still agree on: [n, WIDTH]."""
    log = learning_log(40)
    rows = matrix_of(log)
    ages = log.asked.submit_s
    nothing = Asked(
        np.where(np.isin(np.arange(rows.shape[0]) % 2, 0)[:, None], np.nan, 0.0)
        .repeat(log.asked.columns.shape[1], 1)
        .astype(np.float32),
        ages * np.nan,
        ages * np.nan,
    )
    tokens = log.tokens.gather(slice(None))
    huge = Asked(
        np.full_like(log.asked.columns, 30.0), ages, np.full(len(ages), 10 * 366 * 86400.0)
    )
    tiny = Asked(np.zeros_like(log.asked.columns), ages, np.ones(len(ages)))
    found = np.concatenate([rows, *(assemble(jobs, tokens) for jobs in (nothing, huge, tiny))])
    assert found.shape[1] == WIDTH
    return found
