"""Why a job is told what it is told: on which jobs its distribution rests, as data.

Jobs of the user are told one by one, those of others only by how much they weigh together.
"""

from collections.abc import Mapping
from dataclasses import dataclass

MOST_JOBS = 5
"""Jobs of the user that are told at most, those that weigh most."""


@dataclass(frozen=True)
class OwnJob:
    """A job of the user; NaN where a number is not known."""

    share: float
    """Of the distribution that lies at the runtime of this job; 0 to 1."""
    runtime_s: float
    """How long it ran, or has run so far."""
    age_s: float
    """How long before the time asked for it ended; 0 if it still runs."""
    cores: float
    limit_s: float


@dataclass(frozen=True)
class Said:
    """What one of the models or rules says, and how much of the distribution lies there."""

    runtime_s: float
    share: float


@dataclass(frozen=True)
class Explanation:
    """Where the distribution of one job comes from; shares sum to 1."""

    own_jobs: tuple[OwnJob, ...]
    """The user's jobs that weigh most, by their shares."""
    other_own_share: float
    """Of all other jobs of the user."""
    others_share: float
    """Of finished jobs of others."""
    proposals: Mapping[str, Said]
    """What models and rules say, by name."""
    grid_share: float
    """Of runtimes that nobody proposed: what is not known."""
