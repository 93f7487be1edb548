"""Random outcomes of jobs, in the order in which they end."""

from dataclasses import fields

import numpy as np

from rt_predictor.online.groups import SHAPES
from rt_predictor.online.outcomes import Outcomes


def random_outcomes(
    seed: int,
    jobs: int,
    *,
    power: float = 1.0,
    users: int = 50,
    client: int = 0,
    shapes: int = SHAPES,
) -> Outcomes:
    """Return outcomes whose levels are uniform to a power: with 1 there is nothing to learn."""
    rng = np.random.default_rng(seed)
    submit_s = np.sort(rng.uniform(0, 1000 * jobs, jobs))
    end_s = submit_s + rng.exponential(5000, jobs)
    order = np.argsort(end_s, kind="stable")
    level = rng.random(jobs) ** power
    found = Outcomes(
        groups=rng.integers(0, shapes, jobs),
        lower_level=level,
        upper_level=level,
        users=rng.integers(1, 1 + users, jobs).astype(np.uint64),
        untrusted_clients=np.full(jobs, client, dtype=np.uint64),
        submit_s=submit_s,
        end_s=end_s,
        runtime_s=(end_s - submit_s) * rng.uniform(0.3, 1, jobs),
        limit_s=np.where(rng.random(jobs) < 0.2, np.nan, 4000.0 * rng.integers(1, 9, jobs)),
    )
    return some(found, order)


def some(outcomes: Outcomes, rows: slice | np.ndarray) -> Outcomes:
    return Outcomes(*(getattr(outcomes, field.name)[rows] for field in fields(outcomes)))
