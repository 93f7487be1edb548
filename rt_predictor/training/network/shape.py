"""Sizes of the network, and the points of the support that it weighs.

The support of a job, in this order: runtimes of its tokens, proposals of rules and of boosters, a
grid relative to the scale (the limit, else what is usual at the site), a grid of absolute times.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from rt_predictor.features.matrix import CAP, COPIES, LEAST_S, PROPOSED, SCALE
from rt_predictor.history.columns import Float


@dataclass(frozen=True)
class Sizes:
    """Widths of the layers."""

    hidden: int = 24
    """Numbers that stand for a token, and for the request."""
    wide: int = 64
    """Numbers between."""
    heads: int = 4
    """Ways to attend to tokens."""


BOOSTERS: Final = 3
"""Boosters whose answers are points of the support."""

RELATIVE: Final = np.array(
    [
        *(0.001, 0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.075),
        *(0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85),
        *(0.9, 0.93, 0.96, 0.98, 0.985, 0.99, 0.995, 0.998, 0.9995, 1.0),
        *(1.001, 1.005, 1.02, 1.05, 1.15, 1.3, 1.5, 2.0, 2.8, 4.0),
    ],
    dtype=np.float32,
)
"""Points in scales; dense just below the limit: many systems stop jobs a little early, which is not
the same as reaching the limit."""

ABSOLUTE_S: Final[NDArray[np.float32]] = np.geomspace(2, 30 * 86400, 44).astype(np.float32)
"""Points in s; none above the limit."""

GRID: Final = len(RELATIVE) + len(ABSOLUTE_S)
POINTS: Final = COPIES + BOOSTERS + GRID
"""Points of the support; `BOOSTERS` less without boosters."""


def support_s(matrix: Float, boosted: Float) -> Float:
    """Return the support of n jobs: [n, POINTS] in s, not in order.

    Args:
        matrix: [n, WIDTH] of `features.matrix`.
        boosted: [n, BOOSTERS] logarithms of proposed runtimes over the scale; NaN for none.
    """
    scale_s, cap_s = matrix[:, SCALE], matrix[:, CAP]
    boosters_s = np.fmax(np.minimum(scale_s * np.exp(boosted), cap_s), np.float32(LEAST_S))
    grids = (scale_s * RELATIVE, np.minimum(cap_s, ABSOLUTE_S))
    points: Float = np.concatenate([matrix[:, PROPOSED], boosters_s, *grids], axis=1)
    np.maximum(points, np.float32(LEAST_S), out=points)
    return points
