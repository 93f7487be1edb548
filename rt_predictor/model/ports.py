"""What goes into a bundle's graph, and what comes out of it: names, in order."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Float32 = NDArray[np.float32]


class GraphInputs(NamedTuple):
    """n jobs, and what was known of jobs like them."""

    inputs: Float32
    """[n, len(INPUTS)] assembled jobs"""
    expert_losses: Float32
    """[n, SCOPES, experts + 1] sums of `ExpertLosses.as_of`"""
    offsets: Float32
    """[n, TAILS] of `TailOffsets.as_of`"""


class GraphOutputs(NamedTuple):
    """What the graph says of n jobs."""

    prediction: Float32
    """[n] s"""
    lower: Float32
    """[n, len(LEVELS)] lower ends of the intervals, s"""
    upper: Float32
    """[n, len(LEVELS)] upper ends, s"""
    experts: Float32
    """[n, experts] what each expert says on its own, s"""
    timeout: Float32
    """[n] chance to reach the limit; NaN without one"""
    raw_quantiles: Float32
    """[n, len(QUANTILES)] on the cube-root scale, before offsets"""


GRAPH_INPUTS = GraphInputs._fields
GRAPH_OUTPUTS = GraphOutputs._fields
