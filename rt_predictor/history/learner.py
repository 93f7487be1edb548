"""What history asks of a model that learns from outcomes: a port.

History folds events and says what was known of each job that has ended when it was submitted; it
does not know what is learned from that.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from rt_predictor.eventlog.snapshot_file import Json
from rt_predictor.history.asked_tokens import AskedTokens, some_tokens
from rt_predictor.history.columns import JobColumns, Times
from rt_predictor.history.known_jobs import Arrays
from rt_predictor.history.value_ids import Ids


@dataclass(frozen=True)
class EndedJobs:
    """n jobs that have ended after they had run, in the order of the log."""

    jobs: JobColumns
    """What they were, and what became of them."""
    limit_s: Times
    """[n] time limits, exactly; NaN for none"""
    tokens: AskedTokens
    """What was known of them at their submit."""
    clients: Ids
    """[n] ids of the clients that told of their ends; `NULL_ID` where that is not known"""

    def __len__(self) -> int:
        return len(self.limit_s)

    def part(self, rows: NDArray[np.intp]) -> "EndedJobs":
        """Return some of the jobs."""
        return EndedJobs(
            self.jobs.part(rows),
            self.limit_s[rows],
            some_tokens(self.tokens, rows),
            self.clients[rows],
        )


class Learned(Protocol):
    """What one model has learned from outcomes. One thread learns, any number of threads read."""

    @property
    def memory_bytes(self) -> int:
        """Memory that it takes."""
        ...

    def learn(self, ended: EndedJobs) -> None:
        """Learn from n more jobs. What is learned must not depend on how many come together."""
        ...

    def facts(self) -> dict[str, Json]:
        """Return what a snapshot holds beside arrays."""
        ...

    def arrays(self) -> Arrays:
        """Return the arrays that a snapshot holds."""
        ...


class Learner(Protocol):
    """A model, as far as it learns from outcomes."""

    def origin(self) -> dict[str, Json]:
        """Return what `Learned` depends on: a snapshot of another origin is not used."""
        ...

    def trusts(self, client: int) -> bool:
        """Return whether what a client tells, by its id, is bounded by nobody else's."""
        ...

    def nothing(self) -> Learned:
        """Return what is known before the first outcome."""
        ...

    def restored(self, facts: Mapping[str, Json], arrays: Arrays) -> Learned:
        """Return what was learned when a snapshot was written. May raise anything."""
        ...


class NothingLearned:
    """What is learned where there is no model."""

    memory_bytes = 0

    def learn(self, ended: EndedJobs) -> None:
        """Learn nothing."""

    def facts(self) -> dict[str, Json]:
        """Return nothing."""
        return {}

    def arrays(self) -> Arrays:
        """Return nothing."""
        return {}


class NoLearner:
    """Stands where there is no model."""

    def trusts(self, client: int) -> bool:
        """Return that any client is trusted: nothing says which are not."""
        del client
        return True

    def origin(self) -> dict[str, Json]:
        """Return nothing."""
        return {}

    def nothing(self) -> Learned:
        """Return what learns nothing."""
        return NothingLearned()

    def restored(self, facts: Mapping[str, Json], arrays: Arrays) -> Learned:
        """Return what learns nothing."""
        del facts, arrays
        return NothingLearned()
