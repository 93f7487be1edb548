"""The network as it serves: jobs and what is known of them in, weights over runtimes out.

One run holds for any number of jobs, and a job has the same bits alone and among others. Jobs go
through in chunks that stay in the cache, from features to weights.
"""

from collections.abc import Sequence
from datetime import tzinfo
from itertools import zip_longest
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rt_predictor.errors import BundleError
from rt_predictor.features.asked import Asked
from rt_predictor.features.matrix import FEATURE_NAMES, WIDTH, assemble
from rt_predictor.features.one_job import assemble_one
from rt_predictor.features.proposals import PROPOSALS
from rt_predictor.features.scalars import scalar
from rt_predictor.history.asked_tokens import AskedTokens, some_tokens
from rt_predictor.history.columns import Float
from rt_predictor.history.token_keys import SLOTS
from rt_predictor.model.bundle import Bundle
from rt_predictor.model.session import ModelSession

GRAPH_OUTPUT = "distributions"
"""Runtimes and their weights side by side: [n, 2 * points]."""


_RULES = tuple(proposal.name for proposal in PROPOSALS)

_NOTHING, _ZERO = np.array(np.nan), scalar(0)


class Weighed(NamedTuple):
    """What the graph says of n jobs: first come the runtimes of tokens, then what is proposed."""

    support_s: Float
    """[n, points] runtimes in s"""
    weights: Float
    """[n, points] their weights, which sum to 1; 0 where there is none"""


def check_inputs(bundle: Bundle) -> None:
    """Raise BundleError for a bundle whose graph reads other numbers than this program gives."""
    sizes, names = bundle.info.graph, [feature.name for feature in bundle.features.features]
    if (sizes.inputs, sizes.tokens) != (WIDTH, SLOTS):
        problem = (
            f"model.json: the graph reads {sizes.inputs} numbers of a job and {sizes.tokens} "
            f"jobs of history, this program gives {WIDTH} and {SLOTS}"
        )
    elif (differing := _first_difference("feature", names, FEATURE_NAMES)) is not None:
        problem = f"features.json: {differing}"
    elif (
        differing := _first_difference("rule", sizes.proposals[: len(_RULES)], _RULES)
    ) is not None:
        problem = f"model.json: {differing}"
    else:
        return
    raise BundleError(f"{problem}: make a new bundle with `rt-predictor train TRACE -o DIR`")


def _first_difference(kind: str, read: Sequence[str], given: Sequence[str]) -> str | None:
    """Say where the names that a graph reads and those that it is given differ, if they do."""
    for number, (name, other) in enumerate(zip_longest(read, given, fillvalue="nothing"), start=1):
        if name != other:
            return f"the graph reads {name} as {kind} {number}, this program gives {other}"
    return None


class Network:
    """A graph that is ready to run. Thread-safe."""

    def __init__(
        self, session: ModelSession, bundle: Bundle, zone: tzinfo, chunk_rows: int
    ) -> None:
        """Wrap a session of a bundle's graph.

        Args:
            session: of the bundle's graph.
            bundle: what the graph reads, and gives.
            zone: time zone of the site, for features of the calendar.
            chunk_rows: jobs that go through together at most.

        Raises BundleError where the graph was made for other features than this program's.
        """
        check_inputs(bundle)
        self.session = session
        self.sizes = sizes = bundle.info.graph
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
        if count == 1:  # outcomes come one by one, too
            limit_s = asked.limit_s.item()
            return self.weigh_one(asked.columns[0], asked.submit_s.item(), limit_s, tokens)
        if count <= self._chunk_rows:
            found = self.session.run(assemble(asked, tokens, self._zone))
        else:
            found = np.empty((count, 2 * points), dtype=np.float32)
            room = np.zeros((self._chunk_rows, WIDTH), dtype=np.float32)
            for first in range(0, count, self._chunk_rows):
                rows = slice(first, min(first + self._chunk_rows, count))
                jobs, known = asked[rows], some_tokens(tokens, rows)
                matrix = assemble(jobs, known, self._zone, out=room[: len(jobs)])
                found[rows] = self.session.run(matrix)
        return Weighed(found[:, :points], found[:, points:])

    def weigh_one(
        self, columns: Float, submit_s: float, limit_s: float, tokens: AskedTokens
    ) -> Weighed:
        """Return the same for one job; arguments as of `assemble_one`."""
        found = self.session.run(assemble_one(columns, submit_s, limit_s, tokens, self._zone))
        points = self.sizes.points
        return Weighed(found[:, :points], found[:, points:])

    def proposed_s(self, weighed: Weighed) -> NDArray[np.float64]:
        """[n, proposals] what models and rules say, in s; NaN where one has nothing to say."""
        said_s = weighed.support_s[:, self._proposed].astype(np.float64)
        np.copyto(said_s, _NOTHING, where=weighed.weights[:, self._proposed] <= _ZERO)
        return said_s
