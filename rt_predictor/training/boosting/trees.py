"""Trees of one form, read from the ONNX models of the three converters.

XGBoost's converter writes `x < t`, LightGBM's `x <= t`, CatBoost's `x > t`. Here every split asks
`x <= t` of float32 values: `x < t` equals `x <= the float before t`, and for `x > t` the children
are swapped.
"""

import math
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import onnx
from onnx import helper

from rt_predictor.errors import TrainingError

TREE_OPERATOR = "TreeEnsembleRegressor"
TREE_DOMAIN = "ai.onnx.ml"


@dataclass(frozen=True, slots=True)
class Leaf:
    """A leaf and what it adds, a float32's value."""

    value: float


@dataclass(frozen=True, slots=True)
class Split:
    """A split: left where the column's value is at most the threshold, a float32's value."""

    column: int
    threshold: float
    nan_left: bool | None
    """True where NaN goes left; None where NaN cannot reach the split."""
    left: "Tree"
    right: "Tree"


Tree: TypeAlias = Leaf | Split


@dataclass(frozen=True, slots=True)
class Forest:
    """The trees of one model; its prediction is the base value and what the trees add."""

    library: str
    n_features: int
    base: float
    trees: tuple[Tree, ...]


@dataclass(frozen=True, slots=True)
class Reach:
    """Values of one column that still reach a node: those in (low, high], and NaN if `nan`."""

    low: float = -math.inf
    high: float = math.inf
    nan: bool = True

    def left_of(self, split: Split) -> "Reach":
        """Return what of it goes left."""
        return Reach(self.low, min(self.high, split.threshold), self.nan and split.nan_left is True)

    def right_of(self, split: Split) -> "Reach":
        """Return what of it goes right."""
        return Reach(
            max(self.low, split.threshold), self.high, self.nan and split.nan_left is False
        )

    @property
    def is_empty(self) -> bool:
        """Nothing is left, not even NaN."""
        return self.low >= self.high and not self.nan


Box: TypeAlias = Mapping[int, Reach]
"""Values that still reach a node, by column; an absent column is free."""


def read_forest(model: onnx.ModelProto, library: str, n_features: int) -> Forest:
    """Read a converted model; splits that no row can reach both sides of are left out.

    Raises:
        TrainingError: the model holds something else than one sum of trees.
    """
    operators = [node for node in model.graph.node if node.op_type != "Identity"]
    if [node.op_type for node in operators] != [TREE_OPERATOR]:
        found = ", ".join(node.op_type for node in operators)
        raise TrainingError(f"the {library} model became {found}: expected one {TREE_OPERATOR}")
    given = {item.name: helper.get_attribute_value(item) for item in operators[0].attribute}
    if (
        given.get("n_targets", 1) != 1
        or given.get("post_transform", b"NONE") != b"NONE"
        or given.get("aggregate_function", b"SUM") != b"SUM"
    ):
        raise TrainingError(f"the {library} model is not one sum of trees: use a regression loss")
    reader = _Reader(library, given)
    base = float(np.float32(given.get("base_values", [0.0])[0]))
    trees = (_reachable(tree, {}) for tree in reader.trees())
    return Forest(library, n_features, base, tuple(trees))


class _Reader:
    """Builds trees from the attributes of a tree node."""

    def __init__(self, library: str, given: Mapping[str, Any]) -> None:
        self._library = library
        self._given = given
        keys = zip(given["nodes_treeids"], given["nodes_nodeids"], strict=True)
        self._index_of = {key: index for index, key in enumerate(keys)}
        rules = given.get("nodes_missing_value_tracks_true")
        self._missing_true = rules or [0] * len(self._index_of)
        self._weight: defaultdict[tuple[int, int], float] = defaultdict(float)
        leaves = zip(given["target_treeids"], given["target_nodeids"], strict=True)
        for key, weight in zip(leaves, given["target_weights"], strict=True):
            self._weight[key] += weight

    def trees(self) -> list[Tree]:
        """Return the trees by number; the first node listed of a tree is its root."""
        roots: dict[int, int] = {}
        for tree, node in self._index_of:
            roots.setdefault(tree, node)
        return [self._tree(tree, roots[tree]) for tree in sorted(roots)]

    def _tree(self, tree: int, node: int) -> Tree:
        index = self._index_of[tree, node]
        mode = self._given["nodes_modes"][index]
        if mode == b"LEAF":
            return Leaf(float(np.float32(self._weight[tree, node])))
        threshold = np.float32(self._given["nodes_values"][index])
        if mode in (b"BRANCH_LT", b"BRANCH_GTE"):
            threshold = float_before(threshold)
        nan_true = bool(self._missing_true[index])
        when_true = self._tree(tree, self._given["nodes_truenodeids"][index])
        when_false = self._tree(tree, self._given["nodes_falsenodeids"][index])
        column = int(self._given["nodes_featureids"][index])
        if mode in (b"BRANCH_LEQ", b"BRANCH_LT"):
            return Split(column, float(threshold), nan_true, when_true, when_false)
        if mode in (b"BRANCH_GT", b"BRANCH_GTE"):
            return Split(column, float(threshold), not nan_true, when_false, when_true)
        raise TrainingError(
            f"a {self._library} split became {mode.decode()}, which is no comparison: encode "
            "categories as numbers"
        )


def float_before(value: np.float32) -> np.float32:
    """Return the largest float32 below `value`."""
    with np.errstate(over="ignore", under="ignore"):
        return np.float32(np.nextafter(value, np.float32(-np.inf)))


def _reachable(tree: Tree, box: Box) -> Tree:
    """Return the tree without splits of which only one side can be reached from `box`."""
    if isinstance(tree, Leaf):
        return tree
    reach = box.get(tree.column, Reach())
    left, right = reach.left_of(tree), reach.right_of(tree)
    if left.is_empty:
        return _reachable(tree.right, box)
    if right.is_empty:
        return _reachable(tree.left, box)
    below = _reachable(tree.left, {**box, tree.column: left})
    above = _reachable(tree.right, {**box, tree.column: right})
    if isinstance(below, Leaf) and below == above:
        return below
    nan_left = tree.nan_left if reach.nan else None
    return Split(tree.column, tree.threshold, nan_left, below, above)
