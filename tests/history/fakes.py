"""Stand-ins for what history needs of others."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rt_predictor.history.learner import Arrays, EndedJobs
from rt_predictor.history.token_keys import slots_of

_OWN = slots_of("own")


@dataclass
class FakeLearned:
    """Remembers what it was told of each ended job, and in how many jobs at a time."""

    seen: list[list[float]] = field(default_factory=list)
    """A row a job: its runtime, its limit, and all that was known of it at its submit"""
    together: list[int] = field(default_factory=list)
    memory_bytes: int = 8
    on_learn: Any = None

    def learn(self, ended: EndedJobs) -> None:
        if self.on_learn is not None:
            self.on_learn(ended)
        self.together.append(len(ended))
        tokens = ended.tokens
        known = (
            ended.jobs.columns[:, :1],
            ended.limit_s[:, None],
            ended.clients[:, None].astype(np.float64),
            tokens.columns[:, :, 0],
            tokens.age_s,
            tokens.gap_s,
            tokens.elapsed_s,
            tokens.in_flight,
            tokens.site_columns[tokens.site_of][:, :, 0],
        )
        self.seen += np.concatenate(known, axis=1).astype(np.float64).tolist()

    def own_jobs(self) -> list[int]:
        """How many finished jobs of its user each ended job saw."""
        first = 3
        return [
            int(np.isfinite(row[first + _OWN.start : first + _OWN.stop]).sum()) for row in self.seen
        ]

    def facts(self) -> dict[str, Any]:
        return {"jobs": len(self.seen)}

    def arrays(self) -> dict[str, NDArray[Any]]:
        return {"seen": np.array(self.seen, dtype=np.float64)}


@dataclass
class FakeLearner:
    """A model that only remembers."""

    model_version: str = "fake-1"
    on_learn: Any = None
    strangers: frozenset[int] = frozenset()
    """Ids of clients that are not trusted."""

    def trusts(self, client: int) -> bool:
        return client not in self.strangers

    def origin(self) -> dict[str, Any]:
        return {"model_version": self.model_version}

    def nothing(self) -> FakeLearned:
        return FakeLearned(on_learn=self.on_learn)

    def restored(self, facts: Mapping[str, Any], arrays: Arrays) -> FakeLearned:
        assert facts["jobs"] == len(arrays["seen"])
        return FakeLearned(arrays["seen"].tolist(), on_learn=self.on_learn)
