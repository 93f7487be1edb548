"""Which jobs a distribution rests on, from the weights that the network gives them."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from rt_predictor.history.asked_tokens import AskedTokens
from rt_predictor.history.columns import COLUMN, Float, Times
from rt_predictor.history.token_keys import FINISHED_SLOTS, SLOTS, TOKEN_KEYS, slots_of
from rt_predictor.model.conditional import UNKNOWN_SHARE
from rt_predictor.model.network import Weighed
from rt_predictor.predict.predictions import Explanation, OwnJob, Said

MOST_JOBS = 5
"""Jobs of the user that are told one by one at most, those that weigh most."""
_OTHERS = np.concatenate([np.arange(SLOTS)[slots_of(k.name)] for k in TOKEN_KEYS if k.by_others])
_OWN = np.setdiff1d(np.arange(SLOTS), _OTHERS)


def explanations(
    rows: Iterable[int],
    tokens: AskedTokens,
    weighed: Weighed,
    elapsed_s: Times | None,
    proposals: Sequence[str],
) -> dict[int, Explanation]:
    """Return the explanations of some of n jobs, by row.

    Args:
        rows: of the jobs that ask for one.
        tokens: what history says of the n jobs.
        weighed: what the network says of them.
        elapsed_s: [n] how long each has run, NaN for not started; None where none has.
        proposals: names of models and rules.
    """
    found = {}
    for row in rows:
        ran_s = np.nan if elapsed_s is None else float(elapsed_s[row])
        weights = _shares(weighed.weights[row], weighed.support_s[row], ran_s)
        found[row] = _explanation(row, tokens, weights, weighed.support_s[row], proposals)
    return found


def _shares(weights: Float, support_s: Float, elapsed_s: float) -> NDArray[np.float64]:
    """Return the shares of the points: [S]. What has been outlived has none.

    They add up to less than 1 where part of what is left is not of any known kind
    (`given_elapsed`).
    """
    shares = weights.astype(np.float64)
    shares /= shares.sum()
    outlived = support_s <= elapsed_s
    lost = float(shares[outlived].sum())
    if lost:
        shares[outlived] = 0.0
        shares /= shares.sum() + UNKNOWN_SHARE * lost
    return shares


def _explanation(
    row: int,
    tokens: AskedTokens,
    weights: NDArray[np.float64],
    support_s: Float,
    proposals: Sequence[str],
) -> Explanation:
    said: Mapping[str, Said] = {
        name: Said(float(support_s[column]), float(weights[column]))
        for column, name in enumerate(proposals, SLOTS)
        if weights[column] > 0
    }
    own_jobs = _own_jobs(weights, tokens, row)
    own_share = float(weights[_OWN].sum())
    return Explanation(
        own_jobs=own_jobs,
        other_own_share=max(own_share - sum(job.share for job in own_jobs), 0.0),
        others_share=float(weights[_OTHERS].sum()),
        proposals=said,
        grid_share=max(1.0 - float(weights[: SLOTS + len(proposals)].sum()), 0.0),
    )


def _own_jobs(weights: NDArray[np.float64], tokens: AskedTokens, row: int) -> tuple[OwnJob, ...]:
    """The user's jobs that weigh most; one that is found under several keys counts once."""
    slots = _OWN[tokens.rows[row, _OWN] >= 0]
    _, first, which = np.unique(tokens.rows[row, slots], return_index=True, return_inverse=True)
    shares = np.bincount(which, weights[slots], len(first))
    most = np.argsort(-shares, kind="stable")[:MOST_JOBS]
    ran_s = tokens.columns[row, :, COLUMN["runtime_s"]]

    def number(slot: int, name: str) -> float:
        return float(np.rint(np.exp(tokens.columns[row, slot, COLUMN[name]])))

    return tuple(
        OwnJob(
            share=share,
            runtime_s=float((ran_s if slot < FINISHED_SLOTS else tokens.elapsed_s[row])[slot]),
            age_s=float(tokens.age_s[row, slot]) if slot < FINISHED_SLOTS else 0.0,
            cores=number(slot, "log_cores"),
            limit_s=number(slot, "log_limit"),
        )
        for slot, share in zip(slots[first[most]].tolist(), shares[most].tolist(), strict=True)
        if share > 0
    )
