"""Bring the trees of any library to one form: left where `x <= t`, all on float32, nothing dead."""

from dataclasses import dataclass, replace

import numpy as np

from rt_predictor.errors import TrainingError
from rt_predictor.training.export.intervals import EVERYTHING, Interval, next_below, order_keys
from rt_predictor.training.export.trees import (
    LEAF,
    CanonicalTrees,
    Comparison,
    Float32Array,
    Float64Array,
    Int32Array,
    TreeEnsemble,
)

# A split on zero as a missing value repeats one of its branches, so a tree can grow.
MAX_NODES_PER_TREE = 1 << 16


def normalise(ensemble: TreeEnsemble) -> CanonicalTrees:
    """The same function of every finite or NaN float32 row, in the canonical form.

    Raises:
        TrainingError: a tree grows past MAX_NODES_PER_TREE.
    """
    plain = _split_out_zeros(_turn_greater(ensemble))
    simplifier = _Simplifier(plain)
    trees = [simplifier.simplify(int(root)) for root in plain.roots]
    constant = np.array([len(tree.origin) == 1 for tree in trees], dtype=np.bool_)
    base = plain.base.copy()
    for number in np.flatnonzero(constant):
        values = plain.values[trees[number].origin[0]]
        first = plain.first_output[number]
        base[first : first + len(values)] += values
    kept = np.flatnonzero(~constant).astype(np.int32)
    return _stack(plain, [trees[number] for number in kept], kept, base)


def left_maximum(ensemble: TreeEnsemble) -> Float32Array:
    """The largest float32 that each split counts as at or below its threshold; float32 [nodes].

    That is the value `s` for which `x <= s` equals the library's own test (or, where the library
    sends `x > t` to the left, the opposite of its test) for every finite float32 `x`.
    """
    threshold = ensemble.threshold
    with np.errstate(over="ignore"):
        nearest = threshold.astype(np.float32)
    if ensemble.comparison is Comparison.LESS:
        too_large = nearest.astype(np.float64) >= threshold
    else:
        too_large = nearest.astype(np.float64) > threshold
    below = np.where(too_large, next_below(nearest), nearest)
    return _outside_zero_band(below, ensemble.zero_band)


def _outside_zero_band(below: Float32Array, band: np.float32) -> Float32Array:
    """Values within the band are read as 0: they all go where 0 goes."""
    if band == 0.0:
        return below
    below = np.where((below >= -band) & (below < 0.0), _below_band(band), below)
    return np.where((below >= 0.0) & (below < band), band, below)


def _below_band(band: np.float32) -> np.float32:
    return np.float32(next_below(np.array(-band)))


def _turn_greater(ensemble: TreeEnsemble) -> TreeEnsemble:
    """Swap the children where `x > t` went left, so that `x <= t` does."""
    if ensemble.comparison is not Comparison.GREATER:
        return ensemble
    return replace(
        ensemble,
        comparison=Comparison.LESS_EQUAL,
        left=ensemble.right,
        right=ensemble.left,
        missing_left=~ensemble.missing_left,
    )


def _split_out_zeros(ensemble: TreeEnsemble) -> TreeEnsemble:
    """Write each split on which zero goes where NaN goes as splits that know nothing of zero.

    A branch of such a split can be the child of two new splits.
    """
    below = _below_band(ensemble.zero_band)
    band = ensemble.zero_band
    at = left_maximum(ensemble)
    threshold = ensemble.threshold.copy()
    # Where the threshold lies in the band, or zero goes its natural way, one split will do.
    zeros = ensemble.zero_is_missing
    inside = zeros & (at > below) & (at <= band)
    threshold[inside] = np.where(ensemble.missing_left[inside], band, below)
    torn = np.flatnonzero(zeros & np.where(ensemble.missing_left, at <= below, at > band) & ~inside)
    left, right = ensemble.left.copy(), ensemble.right.copy()
    first = len(at) + 2 * np.arange(len(torn), dtype=np.int32)
    second = first + 1
    zero_left = ensemble.missing_left[torn]
    # The row meets the split itself, then `x < -band`, then `x <= band`. The last two stand on
    # the side away from zero's: everything there but zeros goes on as it would have.
    away = np.where(zero_left, right[torn], left[torn])
    home = np.where(zero_left, left[torn], right[torn])
    left[torn] = np.where(zero_left, left[torn], first)
    right[torn] = np.where(zero_left, first, right[torn])
    n_new = 2 * len(torn)
    return replace(
        ensemble,
        feature=np.concatenate([ensemble.feature, np.repeat(ensemble.feature[torn], 2)]),
        threshold=np.concatenate(
            [threshold, np.tile([np.float64(below), np.float64(band)], len(torn))]
        ),
        left=np.concatenate([left, np.stack([away, home], axis=1).ravel()]).astype(np.int32),
        right=np.concatenate([right, np.stack([second, away], axis=1).ravel()]).astype(np.int32),
        missing_left=np.concatenate([ensemble.missing_left, np.zeros(n_new, dtype=np.bool_)]),
        zero_is_missing=np.zeros(len(at) + n_new, dtype=np.bool_),
        values=np.concatenate([ensemble.values, np.zeros((n_new, ensemble.values.shape[1]))]),
    )


class _Simplifier:
    """Copies single trees of `ensemble` without the branches no row can reach."""

    def __init__(self, ensemble: TreeEnsemble) -> None:
        self._library = ensemble.library
        self._key = order_keys(left_maximum(ensemble))
        self._feature = ensemble.feature.tolist()
        self._left = ensemble.left.tolist()
        self._right = ensemble.right.tolist()
        self._missing_left = ensemble.missing_left.tolist()
        # Leaves of one number have the same values.
        self._value = np.unique(ensemble.values, axis=0, return_inverse=True)[1].ravel().tolist()

    def simplify(self, root: int) -> "_Nodes":
        """Nodes of the tree from `root` on, parents before children, equal leaves merged."""
        return _without_equal_leaves(self._reachable(root), self._value)

    def _reachable(self, root: int) -> "_Nodes":
        nodes = _Nodes([], [], [], [])
        pending: list[tuple[int, dict[int, Interval], int]] = [(root, {}, LEAF)]
        while pending:
            start, box, right_child_of = pending.pop()
            node = self._skip_dead_splits(start, box)
            number = len(nodes.origin)
            if number >= MAX_NODES_PER_TREE:
                raise TrainingError(
                    f"a {self._library} tree needs more than {MAX_NODES_PER_TREE} nodes without "
                    "zero as a missing value: train with zero_as_missing=false"
                )
            if right_child_of != LEAF:
                nodes.right[right_child_of] = number
            nodes.origin.append(node)
            nodes.right.append(LEAF)
            feature = self._feature[node]
            if feature == LEAF:
                nodes.left.append(LEAF)
                nodes.missing_left.append(False)
                continue
            interval = box.get(feature, EVERYTHING)
            key, missing_left = self._key[node], self._missing_left[node]
            nodes.left.append(number + 1)  # the left child is the next to be visited
            nodes.missing_left.append(interval.nan and missing_left)
            right_box = {**box, feature: interval.right_of(key, missing_left)}
            left_box = {**box, feature: interval.left_of(key, missing_left)}
            pending.append((self._right[node], right_box, number))
            pending.append((self._left[node], left_box, LEAF))
        return nodes

    def _skip_dead_splits(self, node: int, box: dict[int, Interval]) -> int:
        """The first node at or under `node` that is a leaf or has two live branches."""
        while (feature := self._feature[node]) != LEAF:
            interval = box.get(feature, EVERYTHING)
            key, missing_left = self._key[node], self._missing_left[node]
            if interval.left_of(key, missing_left).is_empty:
                node = self._right[node]
            elif interval.right_of(key, missing_left).is_empty:
                node = self._left[node]
            else:
                break
        return node


@dataclass(frozen=True)
class _Nodes:
    """A tree under construction; `origin` is the node of the ensemble each node stands for."""

    origin: list[int]
    left: list[int]
    right: list[int]
    missing_left: list[bool]


def _without_equal_leaves(nodes: _Nodes, value: list[int]) -> _Nodes:
    """Splits whose two leaves have the same values become one of the leaves."""
    origin, left = list(nodes.origin), list(nodes.left)
    for number in reversed(range(len(origin))):  # children come after their parents
        if left[number] == LEAF:
            continue
        low, high = left[number], nodes.right[number]
        if left[low] == left[high] == LEAF and value[origin[low]] == value[origin[high]]:
            origin[number] = origin[low]
            left[number] = LEAF
    return _compact(replace(nodes, origin=origin, left=left))


def _compact(nodes: _Nodes) -> _Nodes:
    """Only the nodes that can still be reached from the root, in the same order."""
    kept = _Nodes([], [], [], [])
    pending = [(0, LEAF)]
    while pending:
        old, right_child_of = pending.pop()
        number = len(kept.origin)
        if right_child_of != LEAF:
            kept.right[right_child_of] = number
        leaf = nodes.left[old] == LEAF
        kept.origin.append(nodes.origin[old])
        kept.left.append(LEAF if leaf else number + 1)
        kept.right.append(LEAF)
        kept.missing_left.append(nodes.missing_left[old] and not leaf)
        if not leaf:
            pending.append((nodes.right[old], number))
            pending.append((nodes.left[old], LEAF))
    return kept


def _stack(
    ensemble: TreeEnsemble, trees: list[_Nodes], source: Int32Array, base: Float64Array
) -> CanonicalTrees:
    sizes = np.array([len(tree.origin) for tree in trees], dtype=np.int64)
    roots = (np.cumsum(sizes) - sizes).astype(np.int32)
    offset = np.repeat(roots, sizes)
    origin = _flat([tree.origin for tree in trees])
    left = _flat([tree.left for tree in trees])
    right = _flat([tree.right for tree in trees])
    leaf = left == LEAF
    return CanonicalTrees(
        library=ensemble.library,
        n_features=ensemble.n_features,
        base=base,
        source=source,
        roots=roots,
        first_output=ensemble.first_output[source],
        feature=ensemble.feature[origin] * ~leaf + LEAF * leaf,
        threshold=np.where(leaf, np.float32(0.0), left_maximum(ensemble)[origin]),
        left=np.where(leaf, LEAF, left + offset).astype(np.int32),
        right=np.where(leaf, LEAF, right + offset).astype(np.int32),
        missing_left=_flat([tree.missing_left for tree in trees]).astype(np.bool_),
        values=np.where(leaf[:, np.newaxis], ensemble.values[origin], 0.0),
    )


def _flat(parts: list[list[int]] | list[list[bool]]) -> Int32Array:
    return np.array([number for part in parts for number in part], dtype=np.int32)
