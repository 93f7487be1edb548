"""What the predictor answers: columns of numbers, one row a job.

All numbers of a row are read from one distribution, so they cannot contradict each other.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import accumulate
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rt_predictor.predict.views import Views

Array = NDArray[np.float64]


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


class Answer(NamedTuple):
    """One row of `Predictions`, in numbers that messages take; NaN where there is none."""

    runtime_s: float
    lower_s: float
    upper_s: float
    timeout_probability: float
    recommended_time_req_s: float
    remaining_s: float
    quantiles_s: list[float]
    members_s: list[float]
    flags: int
    views: int
    """Index in `Predictions.views`"""


@dataclass(frozen=True)
class Predictions:
    """Answers for n jobs, in the order of the jobs.

    `lower_s <= runtime_s <= upper_s`, all finite and positive, in every row.
    """

    runtime_s: Array
    """[n] expected runtime: the median."""
    lower_s: Array
    """[n] lower end of the interval."""
    upper_s: Array
    """[n] upper end of the interval."""
    timeout_probability: Array
    """[n] probability that the job reaches its time limit; NaN without one."""
    recommended_time_req_s: Array
    """[n] the least limit that is enough; NaN where that is more than the partition allows."""
    remaining_s: Array
    """[n] expected time until the end of a job that runs; NaN for one that has not started."""
    quantiles_s: Array
    """[n, k] runtimes at the levels that each job asks for; NaN after its last."""
    members_s: Array
    """[n, m] what each model or rule says on its own; NaN where it has nothing to say."""
    flags: NDArray[np.uint8]
    """[n] bits of `Flag`."""
    views: tuple[Views, ...]
    """What is read of distributions: levels of the interval, the limit and the quantiles."""
    view_of: NDArray[np.intp]
    """[n] index in `views` of what is read of each job's."""
    member_names: tuple[str, ...]
    """[m] names of the models and rules."""
    model_version: str
    """Version of the bundle that answered."""
    explanations: Mapping[int, Explanation] = field(default_factory=dict)
    """Row -> where its distribution comes from, for jobs that ask for it."""

    def __len__(self) -> int:
        return len(self.runtime_s)

    @cached_property
    def levels(self) -> Array:
        """[n] level of each interval."""
        return np.array([views.level for views in self.views])[self.view_of]

    @cached_property
    def confidences(self) -> Array:
        """[n] with which probability each recommended limit is enough."""
        return np.array([views.confidence for views in self.views])[self.view_of]

    @cached_property
    def answers(self) -> list[Answer]:
        """All rows, one by one. For few: lists of many keep the garbage collector busy."""
        if len(self.runtime_s) == 1:
            return [self._only]
        columns = (getattr(self, name) for name in _COLUMNS)
        return list(map(Answer, *(column.tolist() for column in columns)))

    @property
    def _only(self) -> Answer:
        """The answer where there is one."""
        return Answer(
            self.runtime_s.item(),
            self.lower_s.item(),
            self.upper_s.item(),
            self.timeout_probability.item(),
            self.recommended_time_req_s.item(),
            self.remaining_s.item(),
            self.quantiles_s[0].tolist(),
            self.members_s[0].tolist(),
            self.flags.item(),
            self.view_of.item(),
        )

    def part(self, start: int, stop: int) -> "Predictions":
        """Return the answers for the jobs from `start` to before `stop`; views, not copies."""
        explained = {
            row - start: told for row, told in self.explanations.items() if start <= row < stop
        }
        return self._picked(slice(start, stop), explained)

    def rows(self, indices: NDArray[np.intp]) -> "Predictions":
        """Return the answers at those indices, which may come several times."""
        explained = {}
        if self.explanations:
            explained = {
                row: self.explanations[index]
                for row, index in enumerate(indices.tolist())
                if index in self.explanations
            }
        return self._picked(indices, explained)

    def _picked(
        self, rows: slice | NDArray[np.intp], explanations: Mapping[int, Explanation]
    ) -> "Predictions":
        columns = {name: getattr(self, name)[rows] for name in _COLUMNS}
        return replace(self, **columns, explanations=explanations)


_COLUMNS = (
    "runtime_s",
    "lower_s",
    "upper_s",
    "timeout_probability",
    "recommended_time_req_s",
    "remaining_s",
    "quantiles_s",
    "members_s",
    "flags",
    "view_of",
)
"""Fields of `Predictions` that have a row for each job, in the order of `Answer`."""


def joined(parts: Sequence[Predictions]) -> Predictions:
    """Return the answers of parts of the same jobs, one after the other; at least one part."""
    if len(parts) == 1:
        return parts[0]
    views = tuple(dict.fromkeys(one for part in parts for one in part.views))
    most = max(part.quantiles_s.shape[1] for part in parts)
    starts = accumulate(map(len, parts), initial=0)
    columns: dict[str, Any] = {
        name: np.concatenate([getattr(part, name) for part in parts]) for name in _SIMPLE
    }
    return replace(
        parts[0],
        **columns,
        quantiles_s=np.concatenate([_widened(part.quantiles_s, most) for part in parts]),
        views=views,
        view_of=np.concatenate(
            [np.array(list(map(views.index, p.views)))[p.view_of] for p in parts]
        ),
        explanations={
            start + row: told
            for start, part in zip(starts, parts, strict=False)
            for row, told in part.explanations.items()
        },
    )


_SIMPLE = [name for name in _COLUMNS if name not in ("quantiles_s", "view_of")]


def _widened(quantiles_s: Array, columns: int) -> Array:
    missing = columns - quantiles_s.shape[1]
    if not missing:
        return quantiles_s
    return np.pad(quantiles_s, ((0, 0), (0, missing)), constant_values=np.nan)
