"""Trees of several models as nodes of an ONNX graph, in the form that ONNX Runtime runs quickest.

By measurement, on one thread:

- Each model has a node: its trees stay in the cache while a few hundred rows pass.
- All splits of a node compare alike; mixed comparisons cost a fifth.
- A rule for NaN at one split makes the kernel test for NaN at every split of the node, for up to
  15 % of the time. A comparison with NaN is false, so a node asks `x <= t` or `x > t`, whichever
  sends NaN the right way at more splits, and has no rules where that is all of them. Models of
  XGBoost and CatBoost that saw no NaN need none.
- Turning the other splits around on negated columns, which needs no rule, saves less time than
  making the columns takes.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import onnx
from onnx import helper

from rt_predictor.errors import TrainingError
from rt_predictor.training.boosting.booster import Booster
from rt_predictor.training.boosting.trees import (
    TREE_DOMAIN,
    TREE_OPERATOR,
    Forest,
    Leaf,
    Split,
    Tree,
    read_forest,
)

# Forms that the oldest ONNX Runtime supported (1.24) reads.
IR_VERSION = 10
OPSETS = {"": 21, "ai.onnx.ml": 3}


@dataclass(frozen=True, eq=False)
class TreeNodes:
    """Nodes that predict with several models.

    Attributes:
        nodes: one a model, for a graph with `OPSETS`; they need no initialisers.
        features: name of the tensor they read, float32 [n, F].
        outputs: name of each model's predictions, float32 [n, 1].
    """

    nodes: tuple[onnx.NodeProto, ...]
    features: str
    outputs: tuple[str, ...]


def booster_nodes(boosters: Sequence[Booster], features: str, prefix: str) -> TreeNodes:
    """Convert boosters and put them into one graph; arguments and errors as of `tree_nodes`."""
    forests = [
        read_forest(booster.to_onnx(), booster.library, booster.n_features) for booster in boosters
    ]
    return tree_nodes(forests, features, prefix)


def tree_nodes(forests: Sequence[Forest], features: str, prefix: str) -> TreeNodes:
    """Put models into one graph.

    Args:
        forests: the trees of each model.
        features: name of the tensor to read, float32 [n, F], finite or NaN.
        prefix: begins the names of the nodes and of their outputs.

    Raises:
        TrainingError: the models do not read the same columns.
    """
    counts = sorted({forest.n_features for forest in forests})
    if len(counts) != 1:
        raise TrainingError(
            f"the models of one graph must read the same columns, but theirs number {counts}: fit "
            "all on one matrix"
        )
    outputs = [f"{prefix}_{number}_{forest.library}" for number, forest in enumerate(forests)]
    nodes = [
        _node(forest, features, output) for forest, output in zip(forests, outputs, strict=True)
    ]
    return TreeNodes(tuple(nodes), features, tuple(outputs))


def _node(forest: Forest, features: str, output: str) -> onnx.NodeProto:
    nan_ways = [split.nan_left for tree in forest.trees for split in _splits(tree)]
    greater = nan_ways.count(True) > nan_ways.count(False)
    trees = [_numbered(tree, greater) for tree in forest.trees]
    nodes = [(number, node) for number, tree in enumerate(trees) for node in tree]
    leaves = [(number, node) for number, node in nodes if node.mode == _LEAF]
    rules = {"nodes_missing_value_tracks_true": [int(node.nan_true) for _, node in nodes]}
    return helper.make_node(
        TREE_OPERATOR,
        [features],
        [output],
        name=output,
        domain=TREE_DOMAIN,
        n_targets=1,
        base_values=[forest.base],
        nodes_treeids=[number for number, _ in nodes],
        nodes_nodeids=[node.node_id for _, node in nodes],
        nodes_modes=[node.mode for _, node in nodes],
        nodes_featureids=[node.column for _, node in nodes],
        nodes_values=[node.threshold for _, node in nodes],
        nodes_truenodeids=[node.when_true for _, node in nodes],
        nodes_falsenodeids=[node.when_false for _, node in nodes],
        target_treeids=[number for number, _ in leaves],
        target_nodeids=[node.node_id for _, node in leaves],
        target_ids=[0] * len(leaves),
        target_weights=[node.adds for _, node in leaves],
        **(rules if any(node.nan_true for _, node in nodes) else {}),
    )


def _splits(tree: Tree) -> Iterator[Split]:
    if isinstance(tree, Split):
        yield tree
        yield from _splits(tree.left)
        yield from _splits(tree.right)


_LEAF = "LEAF"


@dataclass(frozen=True, slots=True)
class _Node:
    """A node as ONNX has it; children are ids within the tree, 0 at a leaf."""

    node_id: int
    mode: str = _LEAF
    column: int = 0
    threshold: float = 0.0
    when_true: int = 0
    when_false: int = 0
    nan_true: bool = False
    adds: float = 0.0


def _numbered(tree: Tree, greater: bool, node_id: int = 0) -> list[_Node]:
    """Return nodes with ids from `node_id` on, parents first; splits ask `x > t` or `x <= t`."""
    if isinstance(tree, Leaf):
        return [_Node(node_id, adds=tree.value)]
    below = _numbered(tree.left, greater, node_id + 1)
    above = _numbered(tree.right, greater, node_id + 1 + len(below))
    left, right = below[0].node_id, above[0].node_id
    if greater:
        nan_true = tree.nan_left is False
        node = _Node(node_id, "BRANCH_GT", tree.column, tree.threshold, right, left, nan_true)
    else:
        nan_true = tree.nan_left is True
        node = _Node(node_id, "BRANCH_LEQ", tree.column, tree.threshold, left, right, nan_true)
    return [node, *below, *above]
