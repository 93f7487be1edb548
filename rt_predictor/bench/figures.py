"""Figures: what was measured in each of several rounds."""

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Figure:
    """One measured amount: a value for each round."""

    values: tuple[float, ...]
    unit: str

    @property
    def median(self) -> float:
        """The median of the rounds."""
        return statistics.median(self.values)

    def over(self, other: "Figure") -> "Figure":
        """Round by round, this as a multiple of another."""
        pairs = zip(self.values, other.values, strict=True)
        return Figure(tuple(a / b for a, b in pairs), "x")

    def document(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "median": self.median,
            "min": min(self.values),
            "max": max(self.values),
            "unit": self.unit,
        }


@dataclass(frozen=True)
class Skipped:
    """A figure that could not be measured, and why."""

    reason: str

    def document(self) -> dict[str, Any]:
        """For JSON."""
        return {"skipped": self.reason}


Figures = dict[str, Figure | Skipped]
"""Name -> what was measured; names are dotted: group, subject, amount."""


def rounds(values: Iterable[float], unit: str) -> Figure:
    """A figure of what each round gave."""
    return Figure(tuple(values), unit)


def unit_of(name: str) -> str:
    """The unit of a figure of calls, which are latencies (`…_ms`) and rates."""
    return "ms" if name.endswith("_ms") else "1/s"


def quantile_ms(latencies_s: Sequence[float], share: float) -> float:
    """A quantile of latencies, in ms."""
    return float(np.quantile(latencies_s, share)) * 1e3
