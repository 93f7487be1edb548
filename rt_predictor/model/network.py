"""The network as it serves: jobs and what is known of them in, weights over runtimes out.

One run holds for any number of jobs, and a job has the same bits alone and among others. Jobs go
through in chunks that stay in the cache, from features to weights.
"""

from collections.abc import Sequence
from datetime import tzinfo
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rt_predictor.errors import BundleError
from rt_predictor.features.asked import Asked
from rt_predictor.features.matrix import WIDTH, assemble
from rt_predictor.features.one_job import assemble_one
from rt_predictor.features.scalars import scalar
from rt_predictor.history.asked_tokens import AskedTokens, some_tokens
from rt_predictor.history.columns import Float
from rt_predictor.history.token_keys import SLOTS
from rt_predictor.model.documents import GraphDocument
from rt_predictor.model.session import ModelSession

GRAPH_OUTPUT = "distributions"
"""Runtimes and their weights side by side: [n, 2 * points]."""


_NOTHING, _ZERO = np.array(np.nan), scalar(0)


class Weighed(NamedTuple):
    """What the graph says of n jobs: first come the runtimes of tokens, then what is proposed."""

    support_s: Float
    """[n, points] runtimes in s"""
    weights: Float
    """[n, points] their weights, which sum to 1; 0 where there is none"""


class Network:
    """A graph that is ready to run. Thread-safe."""

    def __init__(
        self, session: ModelSession, sizes: GraphDocument, zone: tzinfo, chunk_rows: int
    ) -> None:
        """Wrap a session of a bundle's graph.

        Args:
            session: of the graph.
            sizes: what the bundle says of the graph.
            zone: time zone of the site, for features of the calendar.
            chunk_rows: jobs that go through together at most.

        Raises BundleError where the graph was made for other features than this program's.
        """
        if (sizes.inputs, sizes.tokens) != (WIDTH, SLOTS):
            raise BundleError(
                f"model.json: the graph reads {sizes.inputs} numbers of a job and {sizes.tokens} "
                f"jobs of history, this program gives {WIDTH} and {SLOTS}: make a new bundle with "
                "`rt-predictor train TRACE -o DIR`"
            )
        self.session = session
        self.sizes = sizes
        self._zone = zone
        self._chunk_rows = chunk_rows
        self._proposed = slice(SLOTS, SLOTS + len(sizes.proposals))

    @property
    def proposals(self) -> Sequence[str]:
        """Names of models and rules, in the order of `proposed_s`."""
        return self.sizes.proposals

    def weigh(self, asked: Asked, tokens: AskedTokens) -> Weighed:
        """Return what the graph says of n jobs; `tokens` is what history says of them."""
        points, count = self.sizes.points, len(asked)
        if count == 1:
            found = self.session.run(assemble_one(asked, tokens, self._zone))
        elif count <= self._chunk_rows:
            found = self.session.run(assemble(asked, tokens, self._zone))
        else:
            found = np.empty((count, 2 * points), dtype=np.float32)
            for first in range(0, count, self._chunk_rows):
                rows = slice(first, first + self._chunk_rows)
                some = assemble(asked[rows], some_tokens(tokens, rows), self._zone)
                found[rows] = self.session.run(some)
        return Weighed(found[:, :points], found[:, points:])

    def proposed_s(self, weighed: Weighed) -> NDArray[np.float64]:
        """[n, proposals] what models and rules say, in s; NaN where one has nothing to say."""
        said_s = weighed.support_s[:, self._proposed].astype(np.float64)
        np.copyto(said_s, _NOTHING, where=weighed.weights[:, self._proposed] <= _ZERO)
        return said_s
