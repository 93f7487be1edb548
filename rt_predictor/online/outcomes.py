"""Outcomes as recalibration learns from them: the levels of their distributions at which they lie.

A distribution has atoms: points that carry a probability of their own. An interval that ends at an
atom holds an outcome that equals it. So for lower ends such an outcome lies at the upper level of
the atom, and for upper ends just below it. Outcomes of jobs that reached their limit lie at a
random level within their atom instead, because the chance of a timeout needs it.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rt_predictor.model.distribution import Distribution
from rt_predictor.model.level_maps import KNOTS
from rt_predictor.online.groups import Groups, shape_groups

Float64 = NDArray[np.float64]
Ids = NDArray[np.uint64]

_LOWER = KNOTS < 0.5 - 1e-9
_MIDDLE = np.abs(KNOTS - 0.5) <= 1e-9


@dataclass(frozen=True)
class Outcomes:
    """n finished jobs, in the order of the log."""

    groups: Groups
    """[n] of `shape_groups`, at submit"""
    lower_level: Float64
    """[n] level of the outcome for lower ends of intervals"""
    upper_level: Float64
    """[n] the same for upper ends, at most `lower_level`"""
    users: Ids
    """[n] ids of users, `NO_KEY` for none"""
    untrusted_clients: Ids
    """[n] ids of the clients that reported the jobs; 0 where trusted"""
    submit_s: Float64
    """[n] Unix s"""
    end_s: Float64
    """[n] Unix s"""
    runtime_s: Float64
    """[n] s"""
    limit_s: Float64
    """[n] s, NaN for none"""

    def __len__(self) -> int:
        return len(self.groups)

    @classmethod
    def of(
        cls,
        raw: Distribution,
        runtime_s: Float64,
        idents: Ids,
        *,
        users: Ids,
        untrusted_clients: Ids,
        submit_s: Float64,
        end_s: Float64,
    ) -> "Outcomes":
        """Return the outcomes of n finished jobs.

        Args:
            raw: their distributions at submit, before recalibration.
            runtime_s: [n] their runtimes, s.
            idents: [n] ids of the jobs: seeds of the random levels within atoms.
            users, untrusted_clients, submit_s, end_s: see the fields.
        """
        below, upto = raw.levels_around(runtime_s)
        at_limit = runtime_s >= raw.limit_s
        drawn = below + uniform(idents) * (upto - below)
        lower, upper = (np.where(at_limit, drawn, level) for level in (upto, below))
        return cls(
            groups=shape_groups(raw),
            lower_level=lower,
            upper_level=upper,
            users=users,
            untrusted_clients=untrusted_clients,
            submit_s=submit_s,
            end_s=end_s,
            runtime_s=runtime_s,
            limit_s=raw.limit_s,
        )


def uniform(idents: Ids) -> Float64:
    """Return a number in [0, 1) for each of n ids; equal ids give equal numbers (SplitMix64)."""
    mixed = idents + np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed = (mixed ^ (mixed >> np.uint64(31))) >> np.uint64(11)
    return mixed.astype(np.float64) * 2.0**-53


def below_knots(lower_level: Float64, upper_level: Float64) -> Float64:
    """Return whether outcomes [n] lie below each knot of `level_maps`: [n, K], 0 or 1.

    Knots below 0.5 are compared with `lower_level`, those above with `upper_level`; the knot at 0.5
    takes the mean of both comparisons.
    """
    lower, upper = lower_level[:, np.newaxis], upper_level[:, np.newaxis]
    below = np.where(_LOWER, lower < KNOTS, upper < KNOTS).astype(np.float64)
    below[:, _MIDDLE] = ((lower < 0.5) + (upper < 0.5).astype(np.float64)) / 2
    below[:, 0], below[:, -1] = 0, 1
    return below
