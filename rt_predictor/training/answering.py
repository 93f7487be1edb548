"""A model that answers: its graph, and the distributions it gives of jobs of a log."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rt_predictor.features.asked import Asked
from rt_predictor.features.matrix import assemble
from rt_predictor.history.columns import JobColumns
from rt_predictor.history.log_tokens import LogTokens
from rt_predictor.model.bundle import Bundle
from rt_predictor.model.documents import GraphDocument
from rt_predictor.model.fingerprints import Fingerprints
from rt_predictor.model.network import check_inputs
from rt_predictor.model.session import CPU, ModelSession
from rt_predictor.training.boosting.fit import LIBRARIES
from rt_predictor.training.export.network_graph import OUTPUT
from rt_predictor.training.prepare import Array

Float32 = NDArray[np.float32]

_PIECE = 8192
"""Jobs that are answered at a time: bounds memory."""


@dataclass(frozen=True)
class GraphOutput:
    """Raw output of the graph for n jobs, before recalibration; S points each."""

    support_s: Float32
    """[n, S] runtimes, in the order of the graph"""
    weights: Float32
    """[n, S]"""


@dataclass(frozen=True)
class AskedJobs:
    """Jobs to ask a model about, with their tokens from history."""

    asked: Asked
    """[n]"""
    tokens: LogTokens
    """[n]"""

    @classmethod
    def of(cls, columns: JobColumns, tokens: LogTokens, limit_s: Array) -> "AskedJobs":
        """Return the jobs of these columns; limit_s: [n] their time limits, NaN for none."""
        return cls(Asked.of(columns, limit_s), tokens)

    def __len__(self) -> int:
        return len(self.asked)

    def inputs(self, rows: NDArray[np.int64]) -> Float32:
        """Return the input of the graph for some of them: [m, WIDTH]."""
        return assemble(self.asked[rows], self.tokens.gather(rows))


@dataclass(frozen=True)
class Answering:
    """A graph that is ready to answer, with its sizes and its origin."""

    session: ModelSession
    graph: GraphDocument
    kind: str
    version: str
    learned: Fingerprints
    """Jobs that it was trained on"""

    @classmethod
    def of(cls, bundle: Bundle) -> "Answering":
        """Return the model of a bundle. Raises BundleError where it does not fit this program."""
        check_inputs(bundle)
        info = bundle.info
        session = ModelSession(bundle.graph, OUTPUT, (CPU,))
        return cls(session, info.graph, info.kind, info.model_version, info.fingerprints())

    def ask(self, jobs: AskedJobs, rows: NDArray[np.int64]) -> Iterator[tuple[slice, GraphOutput]]:
        """Yield the outputs for jobs piece by piece, each with the slice of `rows` it is for."""
        for first in range(0, len(rows), _PIECE):
            piece = slice(first, first + _PIECE)
            out = self.session.run(jobs.inputs(rows[piece]))
            yield piece, GraphOutput(out[:, : self.graph.points], out[:, self.graph.points :])

    def members(self, output: GraphOutput) -> dict[str, Array]:
        """Return the proposals of each booster by name: [n] s."""
        return {
            name: output.support_s[:, self.graph.tokens + column].astype(np.float64)
            for column, name in enumerate(self.graph.proposals)
            if name in LIBRARIES
        }
