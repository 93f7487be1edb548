"""The values that pass between the steps of the export: trees as read, and trees as fused."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from rt_predictor.errors import TrainingError

LEAF = -1  # stands for "no feature" and "no child" at a leaf
NO_BAND = np.float32(0.0)  # no value but 0 is read as 0

BoolArray = NDArray[np.bool_]
Float32Array = NDArray[np.float32]
Float64Array = NDArray[np.float64]
Int32Array = NDArray[np.int32]


class Comparison(Enum):
    """What sends a value `x` to the left child of a split with threshold `t`."""

    LESS = "x < t"
    LESS_EQUAL = "x <= t"
    GREATER = "x > t"


@dataclass(frozen=True, eq=False)
class Tree:
    """One tree as its library stores it; children count from 0 within the tree, the root is 0.

    Shapes: every array has one entry a node, `values` is [nodes, width]. At a leaf `feature`,
    `left` and `right` are LEAF; at a split `values` is 0.
    """

    feature: Int32Array
    threshold: Float64Array
    left: Int32Array
    right: Int32Array
    missing_left: BoolArray
    zero_is_missing: BoolArray
    values: Float64Array
    first_output: int


@dataclass(frozen=True, eq=False)
class TreeEnsemble:
    """All trees of one model, as its library reads them.

    Output `k` of a row is `base[k]` plus, over the trees, the `values` of the leaf the row falls
    in; tree `t` adds its `width` values to outputs `first_output[t]`, `first_output[t] + 1`, ...

    Attributes:
        library: "xgboost", "lightgbm" or "catboost".
        n_features: columns of the model's input.
        base: float64 [outputs].
        comparison: the test of every split; where it holds the row goes left.
        zero_band: a value of at most this size is read as 0 (0.0: none is).
        roots, first_output: int32 [trees]; the node a tree starts at, its first output.
        feature, left, right: int32 [nodes]; LEAF at a leaf; children index the whole ensemble.
        threshold: float64 [nodes], as read.
        missing_left: bool [nodes]; NaN goes left.
        zero_is_missing: bool [nodes]; a value inside the zero band goes where NaN goes.
        values: float64 [nodes, width]; 0 at a split.
    """

    library: str
    n_features: int
    base: Float64Array
    comparison: Comparison
    zero_band: np.float32
    roots: Int32Array
    first_output: Int32Array
    feature: Int32Array
    threshold: Float64Array
    left: Int32Array
    right: Int32Array
    missing_left: BoolArray
    zero_is_missing: BoolArray
    values: Float64Array

    @property
    def n_outputs(self) -> int:
        """Numbers the model predicts for one row."""
        return len(self.base)

    @property
    def n_trees(self) -> int:
        """Trees in the model."""
        return len(self.roots)


@dataclass(frozen=True, eq=False)
class CanonicalTrees:
    """Trees in the one form the graph runs: left where `x <= threshold`, all on float32.

    Routes every finite or NaN float32 row to a leaf of the same values as the TreeEnsemble it
    came from. Splits that no such row can reach both sides of are gone, and so are trees of one
    leaf (`base` holds their values).

    Attributes:
        library, n_features, roots, first_output, feature, left, right, missing_left, values: as
            in TreeEnsemble.
        base: float64 [outputs].
        source: int32 [trees]; the number of the tree in the TreeEnsemble.
        threshold: float32 [nodes].
    """

    library: str
    n_features: int
    base: Float64Array
    source: Int32Array
    roots: Int32Array
    first_output: Int32Array
    feature: Int32Array
    threshold: Float32Array
    left: Int32Array
    right: Int32Array
    missing_left: BoolArray
    values: Float64Array

    @property
    def n_outputs(self) -> int:
        """Numbers the model predicts for one row."""
        return len(self.base)


def stack(
    trees: Sequence[Tree],
    *,
    library: str,
    n_features: int,
    base: Float64Array,
    comparison: Comparison,
    zero_band: np.float32,
) -> TreeEnsemble:
    """Lay `trees` one after the other in flat arrays.

    Raises:
        TrainingError: there is no tree.
    """
    if not trees:
        raise TrainingError(f"the {library} model has no trees: train it for at least one round")
    sizes = np.array([len(tree.feature) for tree in trees], dtype=np.int64)
    roots = (np.cumsum(sizes) - sizes).astype(np.int32)

    def children(side: str) -> Int32Array:
        parts = [getattr(tree, side) for tree in trees]
        return np.concatenate(
            [
                np.where(part == LEAF, LEAF, part + root)
                for part, root in zip(parts, roots, strict=True)
            ]
        ).astype(np.int32)

    return TreeEnsemble(
        library=library,
        n_features=n_features,
        base=base,
        comparison=comparison,
        zero_band=zero_band,
        roots=roots,
        first_output=np.array([tree.first_output for tree in trees], dtype=np.int32),
        feature=np.concatenate([tree.feature for tree in trees]),
        threshold=np.concatenate([tree.threshold for tree in trees]),
        left=children("left"),
        right=children("right"),
        missing_left=np.concatenate([tree.missing_left for tree in trees]),
        zero_is_missing=np.concatenate([tree.zero_is_missing for tree in trees]),
        values=np.concatenate([tree.values for tree in trees]),
    )
