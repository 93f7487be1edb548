"""What goes into a bundle's graph, and what comes out of it: one matrix each.

One, and not one for each kind of numbers, because handing a tensor over costs one prediction as
much as several operators do.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rt_predictor.features.declared import INPUTS, REQUEST_INPUTS
from rt_predictor.history.experts import SCOPES
from rt_predictor.model.bounds import LEVELS, QUANTILES, TAILS

Float32 = NDArray[np.float32]

GRAPH_INPUT, GRAPH_OUTPUT = "given", "answers"
"""Names of the two tensors."""


def input_sizes(experts: int) -> Mapping[str, int]:
    """Columns of the graph's input, by what they hold, in order."""
    return {"inputs": len(INPUTS), "expert_losses": SCOPES * (experts + 1), "offsets": TAILS}


def output_sizes(experts: int) -> Mapping[str, int]:
    """Rows of the graph's output, by what they hold, in order."""
    return {
        "prediction": 1,
        "lower": len(LEVELS),
        "upper": len(LEVELS),
        "timeout": 1,
        "raw_quantiles": len(QUANTILES),
        "experts": experts,
    }


def _places(sizes: Mapping[str, int]) -> dict[str, slice]:
    ends = list(accumulate(sizes.values(), initial=0))
    return {name: slice(*ends[place : place + 2]) for place, name in enumerate(sizes)}


_OUTPUT = _places(output_sizes(0))
_EXPERTS = slice(_OUTPUT["experts"].start, None)


@dataclass(frozen=True)
class GraphInputs:
    """n jobs, and what was known of jobs like them; each a row."""

    matrix: Float32
    """[n, sum of `input_sizes`]"""

    def __len__(self) -> int:
        return len(self.matrix)

    @classmethod
    def room(cls, jobs: int, experts: int) -> "GraphInputs":
        """Room for n jobs; what it holds is yet to be set."""
        return cls(np.empty((jobs, sum(input_sizes(experts).values())), dtype=np.float32))

    @classmethod
    def of(cls, inputs: Float32, expert_losses: Float32, offsets: Float32) -> "GraphInputs":
        """From its three parts, as the properties give them."""
        losses = expert_losses.reshape(len(inputs), SCOPES * expert_losses.shape[2])
        return cls(np.concatenate([inputs, losses, offsets], axis=1))

    @property
    def inputs(self) -> Float32:
        """[n, len(INPUTS)] assembled jobs"""
        return self.matrix[:, : len(INPUTS)]

    @property
    def history(self) -> Float32:
        """[n, len(HISTORY_INPUTS)] what of them `EventStore.features` gives"""
        return self.matrix[:, len(REQUEST_INPUTS) : len(INPUTS)]

    @property
    def expert_losses(self) -> Float32:
        """[n, SCOPES, experts + 1] sums of `ExpertLosses.as_of`"""
        jobs, width = self.matrix.shape
        columns = width - len(INPUTS) - TAILS
        return self.matrix[:, len(INPUTS) : -TAILS].reshape(jobs, SCOPES, columns // SCOPES)

    @property
    def offsets(self) -> Float32:
        """[n, TAILS] of `TailOffsets.as_of`"""
        return self.matrix[:, -TAILS:]

    def rows(self, rows: "slice | NDArray[np.intp]") -> "GraphInputs":
        """Some of the jobs."""
        return GraphInputs(self.matrix[rows])


@dataclass(frozen=True)
class GraphOutputs:
    """What the graph says of n jobs; each a column, so that numbers of one kind lie together."""

    matrix: NDArray[Any]
    """[sum of `output_sizes`, n] float32, or the same numbers in another type"""

    @classmethod
    def joined(cls, parts: "Iterable[GraphOutputs]") -> "GraphOutputs":
        """What is said of the jobs of several, one after the other; at least of one."""
        return cls(np.concatenate([part.matrix for part in parts], axis=1))

    @property
    def prediction(self) -> NDArray[Any]:
        """[n] s"""
        return np.asarray(self.matrix[0])

    @property
    def lower(self) -> NDArray[Any]:
        """[n, len(LEVELS)] lower ends of the intervals, s"""
        return self.matrix[_OUTPUT["lower"]].T

    @property
    def upper(self) -> NDArray[Any]:
        """[n, len(LEVELS)] upper ends, s"""
        return self.matrix[_OUTPUT["upper"]].T

    @property
    def timeout(self) -> NDArray[Any]:
        """[n] chance to reach the limit; NaN without one"""
        return np.asarray(self.matrix[_OUTPUT["timeout"].start])

    @property
    def raw_quantiles(self) -> NDArray[Any]:
        """[n, len(QUANTILES)] on the cube-root scale, before offsets"""
        return self.matrix[_OUTPUT["raw_quantiles"]].T

    @property
    def experts(self) -> NDArray[Any]:
        """[n, experts] what each expert says on its own, s"""
        return self.matrix[_EXPERTS].T

    def jobs(self, jobs: NDArray[np.bool_]) -> "GraphOutputs":
        """What is said of some of them."""
        return GraphOutputs(self.matrix[:, jobs])

    def astype(self, kind: "type[np.floating[Any]]") -> "GraphOutputs":
        """The same numbers in another type."""
        return GraphOutputs(self.matrix.astype(kind))
