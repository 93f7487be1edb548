"""What the predictor answers: columns of numbers, one row a job."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import IntFlag
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rt_predictor.model.bounds import LEVELS, recommended_time_req_s, upper_quantile_s


class Flag(IntFlag):
    """What makes an answer less certain than others; bits of `Predictions.flags`."""

    COLD_START_USER = 1
    UNSEEN_PARTITION = 2
    UNSEEN_QOS = 4
    NO_TIME_LIMIT = 8
    OUT_OF_TRAINING_RANGE = 16


def flag_names(flags: Flag) -> list[str]:
    """Flags as programs read them: cold_start_user, …"""
    return [(flag.name or "").lower() for flag in Flag if flag in flags]


class Answer(NamedTuple):
    """One row of `Predictions`, in numbers that messages take."""

    runtime_s: float
    lower_s: float
    upper_s: float
    timeout_probability: float
    recommended_time_req_s: float
    members_s: list[float]
    flags: int


@dataclass(frozen=True)
class Predictions:
    """Answers for n jobs, in the order of the jobs.

    `lower_s <= runtime_s <= upper_s`, all finite and positive, in every row.
    """

    runtime_s: NDArray[np.float64]
    """[n] expected runtime."""
    lower_s: NDArray[np.float64]
    """[n] lower end of the interval."""
    upper_s: NDArray[np.float64]
    """[n] upper end of the interval."""
    timeout_probability: NDArray[np.float64]
    """[n] probability that the job reaches its time limit; NaN without one."""
    ends_s: tuple[NDArray[np.float64], NDArray[np.float64]]
    """[n, len(LEVELS)] lower and upper ends of all levels."""
    limit_granularity_s: float
    """What recommended limits are multiples of."""
    members_s: NDArray[np.float64]
    """[n, m] what each model says on its own."""
    flags: NDArray[np.uint8]
    """[n] bits of `Flag`."""
    member_names: tuple[str, ...]
    """[m] names of the models."""
    level: float
    """Level of the interval."""
    model_version: str
    """Version of the bundle that answered."""

    def __len__(self) -> int:
        return len(self.runtime_s)

    @property
    def recommended_time_req_s(self) -> NDArray[np.float64]:
        """[n] the smallest time limits that hold with `level`, rounded up."""
        reached = upper_quantile_s(self.ends_s[1], self.runtime_s, self.level)
        return recommended_time_req_s(reached, self.limit_granularity_s)

    @cached_property
    def answers(self) -> list[Answer]:
        """All rows, one by one. For few: lists of many keep the garbage collector busy."""
        columns = (
            self.runtime_s,
            self.lower_s,
            self.upper_s,
            self.timeout_probability,
            self.recommended_time_req_s,
            self.members_s,
            self.flags,
        )
        return list(map(Answer, *(column.tolist() for column in columns)))

    def at_level(self, level: float) -> "Predictions":
        """The same with the intervals of another of `LEVELS`."""
        place = LEVELS.index(level)
        lower, upper = self.ends_s
        return replace(self, lower_s=lower[:, place], upper_s=upper[:, place], level=level)

    def part(self, start: int, stop: int) -> "Predictions":
        """The answers for the jobs from `start` to before `stop`; views, not copies."""
        return self._picked(slice(start, stop))

    def rows(self, places: NDArray[np.intp]) -> "Predictions":
        """The answers at those places, which may come several times."""
        return self._picked(places)

    def _picked(self, rows: slice | NDArray[np.intp]) -> "Predictions":
        return replace(
            self,
            runtime_s=self.runtime_s[rows],
            lower_s=self.lower_s[rows],
            upper_s=self.upper_s[rows],
            timeout_probability=self.timeout_probability[rows],
            ends_s=(self.ends_s[0][rows], self.ends_s[1][rows]),
            members_s=self.members_s[rows],
            flags=self.flags[rows],
        )


def joined(parts: Sequence[Predictions]) -> Predictions:
    """The answers of parts of the same jobs, one after the other; at least one part."""

    def column(name: str) -> NDArray[Any]:
        return np.concatenate([getattr(part, name) for part in parts])

    lower, upper = (np.concatenate(ends) for ends in zip(*(p.ends_s for p in parts), strict=True))
    return replace(
        parts[0],
        runtime_s=column("runtime_s"),
        lower_s=column("lower_s"),
        upper_s=column("upper_s"),
        timeout_probability=column("timeout_probability"),
        ends_s=(lower, upper),
        members_s=column("members_s"),
        flags=column("flags"),
    )
