"""What a candidate says of itself: how good it is on live jobs, and how its answers differ."""

import time
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict, TypeAdapter

from rt_predictor.online.live import LiveFigures

RATIO_EDGES: tuple[float, ...] = (
    *(0.25, 0.5, 0.67, 0.8, 0.9, 0.95, 1.0),
    *(1.05, 1.1, 1.25, 1.5, 2.0, 4.0),
)
"""Upper edges of the bins of candidate / served; the last bin has none."""

ALIKE = (0.9, 1.1)
"""Answers whose ratio lies outside differ; both are among `RATIO_EDGES`."""

SILENT_S = 30.0
"""Time without a report after which the candidate counts as gone: its priority is the lowest."""


@dataclass(frozen=True)
class Compared:
    """How the candidate's predictions differ from those that were served."""

    counts: tuple[int, ...] = (0,) * (len(RATIO_EDGES) + 1)
    """[len(RATIO_EDGES) + 1] answers by bin of candidate / served"""
    ratio_sum: float = 0.0
    """Sum of the ratios"""
    failed: int = 0
    """Answers that the candidate could not give"""

    @property
    def answers(self) -> int:
        """Answers that were compared."""
        return sum(self.counts)

    @property
    def differing(self) -> float:
        """Share of answers whose ratio lies outside of `ALIKE`; NaN where none was compared."""
        low, high = (RATIO_EDGES.index(edge) + 1 for edge in ALIKE)
        return 1 - sum(self.counts[low:high]) / self.answers if self.answers else float("nan")

    def after(self, candidate_s: NDArray[np.float64], served_s: NDArray[np.float64]) -> "Compared":
        """With n more predictions of the same jobs, all above zero."""
        ratio = candidate_s / served_s
        bins = np.searchsorted(RATIO_EDGES, ratio)
        added = np.bincount(bins, minlength=len(self.counts)).tolist()
        counts = tuple(old + new for old, new in zip(self.counts, added, strict=True))
        return Compared(counts, self.ratio_sum + float(ratio.sum()), self.failed)

    def after_failures(self, jobs: int) -> "Compared":
        """With n more jobs that the candidate could not predict."""
        return Compared(self.counts, self.ratio_sum, self.failed + jobs)


@dataclass(frozen=True)
class ShadowReport:
    """A candidate at one moment."""

    __pydantic_config__ = ConfigDict(ser_json_inf_nan="constants")

    at_s: float
    """When that was, in Unix s"""
    model_version: str = ""
    """"" where the bundle cannot be used"""
    problem: str = ""
    """What is wrong, in one line; "" if nothing is"""
    behind: int = 0
    """Events of the outcome log that are not folded yet"""
    live: LiveFigures | None = None
    """Folded from the outcome log as those of a model that serves; None where there is no log"""
    compared: Compared = field(default_factory=Compared)
    memory_bytes: int = 0
    """Resident memory of its process"""

    @property
    def silent_s(self) -> float:
        """Time since."""
        return max(time.time() - self.at_s, 0.0)

    @property
    def up(self) -> bool:
        """Whether the candidate is there and well."""
        return not self.problem and self.silent_s < SILENT_S


_REPORT = TypeAdapter(ShadowReport)


def report_to_json(report: ShadowReport) -> bytes:
    """The report as a document; numbers come back to the last bit."""
    return _REPORT.dump_json(report)


def report_from_json(document: bytes) -> ShadowReport:
    """The inverse of `report_to_json`. Raises pydantic's ValidationError."""
    return _REPORT.validate_json(document)
