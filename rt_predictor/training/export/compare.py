"""Compare one model inside the fused graph with its library: leaf by leaf, then the sum."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np

from rt_predictor.errors import ParityError, TrainingError
from rt_predictor.training.export.compiled import CompiledTrees
from rt_predictor.training.export.fuse import IDLE, Head, place_trees
from rt_predictor.training.export.native import Answer, Native
from rt_predictor.training.export.trees import (
    LEAF,
    CanonicalTrees,
    Float32Array,
    Float64Array,
    Int32Array,
    TreeEnsemble,
)

# The unit of rounding of float32. A float32 sum of n rounded terms lies within (n + 2) of it times
# the sum of the terms' sizes, in whatever order it is taken (Higham, Accuracy and Stability of
# Numerical Algorithms, 2nd ed., section 4.2; one more for the product with a DART weight). The
# graph sums so, and so does XGBoost; the others sum in float64. A wrong leaf is found before the
# sum is looked at, so the bound need not be tight: it is the one that never fails by chance.
FLOAT32_ROUNDING = 2.0**-24

Where = Callable[[int], str]
"""Says in words what row `i` of those compared is."""


@dataclass(frozen=True, eq=False)
class GraphAnswer:
    """What the fused graph says of some rows.

    Attributes:
        scores: float32 [N, outputs].
        leaves: int32 [N, trees]; numbers of leaves in the compiled trees.
    """

    scores: Float32Array
    leaves: Int32Array


@dataclass(frozen=True)
class Difference:
    """The largest difference of some rows: itself, and over the sizes of the terms added."""

    absolute: float
    relative: float


@dataclass(frozen=True, eq=False)
class ModelInGraph:
    """One model in the graph and in its library.

    Attributes:
        head: name of the head.
        outputs: names of the model's outputs.
        columns: the columns of the graph's scores that hold them.
        source: the library's model.
        trees: the canonical trees that were fused.
        places: int32 [trees]; the number in the graph of each canonical tree.
        values: float32 [leaves of the graph, width]; what each leaf of these trees adds.
        compiled: the graph.
        names: names of the columns of its input.
        dropped: int32 [n]; the library's trees that became part of the base values.
        constants: float64 [n, width]; what those always add.
    """

    head: str
    outputs: tuple[str, ...]
    columns: slice
    source: Native
    trees: CanonicalTrees
    places: Int32Array
    values: Float32Array
    compiled: CompiledTrees
    names: Sequence[str]
    dropped: Int32Array
    constants: Float64Array

    def compare(self, rows: Float32Array, graph: GraphAnswer, where: Where) -> Difference:
        """Ask the library about `rows`, float32 [N, F], and hold the graph's answer to its.

        Raises:
            ParityError: a tree takes another leaf, or a sum is further off than rounding.
        """
        answer = self.source.answer(rows)
        self._compare_leaves(rows, answer, graph, where)
        return self._compare_sums(answer, graph, where)

    def _compare_leaves(
        self, rows: Float32Array, answer: Answer, graph: GraphAnswer, where: Where
    ) -> None:
        expected = answer.leaf_values[:, self.trees.source].astype(np.float32)
        given = self.values[graph.leaves[:, self.places]]
        wrong = np.argwhere((expected != given).any(axis=2))
        if len(wrong) > 0:
            row, tree = wrong[0]
            leaf = int(graph.leaves[row, self.places[tree]])
            raise ParityError(
                f"head {self.head!r}, {self.trees.library} tree {self.trees.source[tree]}, on "
                f"{where(int(row))}: the graph's leaf adds {given[row, tree].tolist()}, the "
                f"library's {expected[row, tree].tolist()}; in all the graph answers "
                f"{graph.scores[row, self.columns].tolist()}, the library "
                f"{answer.raw[row].tolist()}; the tree asked "
                f"{self._asked(int(tree), leaf, rows[row])}"
            )
        wrong = np.argwhere((answer.leaf_values[:, self.dropped] != self.constants).any(axis=2))
        if len(wrong) > 0:
            row, tree = wrong[0]
            raise ParityError(
                f"head {self.head!r}, {self.trees.library} tree {self.dropped[tree]}, on "
                f"{where(int(row))}: the graph takes it to add {self.constants[tree].tolist()} to "
                f"all rows, the library adds "
                f"{answer.leaf_values[row, self.dropped[tree]].tolist()} to this one"
            )

    def _asked(self, tree: int, leaf: int, row: Float32Array) -> str:
        """The columns, with their values, that the splits on the way to a leaf look at."""
        parent = {
            int(child): node
            for side in (self.trees.left, self.trees.right)
            for node, child in enumerate(side)
        }
        node = int(self.trees.roots[tree] + self.compiled.node_of_leaf[leaf])
        columns: set[int] = set()
        while (node := parent.get(node, LEAF)) != LEAF:
            columns.add(int(self.trees.feature[node]))
        return ", ".join(f"{self.names[column]} = {row[column]}" for column in sorted(columns))

    def _compare_sums(self, answer: Answer, graph: GraphAnswer, where: Where) -> Difference:
        scores = graph.scores[:, self.columns].astype(np.float64)
        exact, size, terms = self._sums(answer)
        allowed = (terms + 2) * FLOAT32_ROUNDING * size
        # Not <=, so that NaN is wrong too.
        wrong = np.argwhere(
            ~((np.abs(scores - exact) <= allowed) & (np.abs(answer.raw - exact) <= allowed))
        )
        if len(wrong) > 0:
            row, output = wrong[0]
            raise ParityError(
                f"head {self.head!r}, output {self.outputs[output]!r}, on {where(int(row))}: the "
                f"graph answers {scores[row, output]}, the library {answer.raw[row, output]}, and "
                f"its leaves add up to {exact[row, output]}, further apart than the rounding of "
                f"{allowed[row, output]}"
            )
        difference = np.abs(scores - answer.raw)
        smallest = np.finfo(np.float64).tiny
        return Difference(
            float(difference.max()), float((difference / np.maximum(size, smallest)).max())
        )

    def _sums(self, answer: Answer) -> tuple[Float64Array, Float64Array, int]:
        """Exact sums of the leaves the library took, sums of their sizes, most terms of a sum."""
        trees = self.source.trees
        exact = np.tile(trees.base, (len(answer.raw), 1))
        size = np.abs(exact)
        terms = 0
        for first in np.unique(trees.first_output):
            of_output = answer.leaf_values[:, trees.first_output == first]
            to = slice(int(first), int(first) + of_output.shape[2])
            exact[:, to] += of_output.sum(axis=1)
            size[:, to] += np.abs(of_output).sum(axis=1)
            terms = max(terms, of_output.shape[1] + 1)
        return exact, size, terms


def models_in_graph(
    heads: Sequence[Head],
    sources: Sequence[Sequence[Native]],
    compiled: CompiledTrees,
    names: Sequence[str],
) -> list[ModelInGraph]:
    """Each model of each head, paired with its library.

    Raises:
        TrainingError: heads and sources do not belong together.
        ParityError: the graph was not fused from these heads.
    """
    if [len(head.ensembles) for head in heads] != [len(row) for row in sources]:
        raise TrainingError("give verification one booster for each model of each head")
    placed = place_trees(heads)
    n_outputs = sum(len(head.outputs) for head in heads)
    n_trees = len(placed)
    if (compiled.n_outputs, compiled.n_trees) != (n_outputs, n_trees):
        raise ParityError(
            f"the graph has {compiled.n_trees} trees and {compiled.n_outputs} outputs, the heads "
            f"{n_trees} and {n_outputs}: fuse these heads again"
        )
    found: list[ModelInGraph] = []
    column = 0
    for h, head in enumerate(heads):
        outputs = iter(head.outputs)
        for e, (trees, source) in enumerate(zip(head.ensembles, sources[h], strict=True)):
            _check_shape(head.name, trees, source.trees)
            places = np.zeros(len(trees.roots), dtype=np.int32)
            for number, place in enumerate(placed):
                if (place.head, place.ensemble) == (h, e) and place.tree != IDLE:
                    places[place.tree] = number
            dropped = np.setdiff1d(np.arange(source.trees.n_trees), trees.source).astype(np.int32)
            zeros = np.zeros((1, trees.n_features), dtype=np.float32)
            model = ModelInGraph(
                head=head.name,
                outputs=tuple(islice(outputs, trees.n_outputs)),
                columns=slice(column, column + trees.n_outputs),
                source=source,
                trees=trees,
                places=places,
                values=_leaf_values(head.name, trees, places, column, compiled),
                compiled=compiled,
                names=names,
                dropped=dropped,
                constants=source.answer(zeros).leaf_values[0, dropped],
            )
            _check_base(model)
            found.append(model)
            column += trees.n_outputs
    return found


def _check_shape(head: str, trees: CanonicalTrees, source: TreeEnsemble) -> None:
    if (
        (trees.library, trees.n_features, trees.n_outputs, trees.values.shape[1])
        != (source.library, source.n_features, source.n_outputs, source.values.shape[1])
    ) or np.any(trees.source >= source.n_trees):
        raise TrainingError(
            f"head {head!r}: its {trees.library} trees are not those of the {source.library} "
            "booster given for them: give boosters in the order of the head's models"
        )


def _leaf_values(
    head: str, trees: CanonicalTrees, places: Int32Array, column: int, compiled: CompiledTrees
) -> Float32Array:
    """What each leaf of `trees` adds, after a look whether it adds it to the right outputs."""
    width = trees.values.shape[1]
    to_output = np.full(compiled.n_trees, -1, dtype=np.int64)
    to_output[places] = column + trees.first_output
    leaves = np.flatnonzero(to_output[compiled.tree_of_leaf] >= 0)
    start = compiled.entries[leaves]
    entries = start[:, np.newaxis] + np.arange(width)
    expected = to_output[compiled.tree_of_leaf[leaves]][:, np.newaxis] + np.arange(width)
    if np.any(compiled.entries[leaves + 1] - start != width) or np.any(
        compiled.outputs[entries] != expected
    ):
        raise ParityError(
            f"head {head!r}, {trees.library}: trees of the graph add to other outputs than the "
            "head's: fuse these heads again"
        )
    values = np.zeros((len(compiled.tree_of_leaf), width), dtype=np.float32)
    values[leaves] = compiled.weights[entries]
    return values


def _check_base(model: ModelInGraph) -> None:
    """The base values: the library's, and the trees that always add the same."""
    source = model.source.trees
    width = model.constants.shape[1]
    expected = source.base.copy()
    for tree, constant in zip(model.dropped, model.constants, strict=True):
        first = int(source.first_output[tree])
        expected[first : first + width] += constant
    given = model.compiled.base[model.columns]
    # The sum may have been taken in another order: one float32 of slack.
    if np.any(np.abs(given - expected) > np.spacing(np.abs(given))):
        raise ParityError(
            f"head {model.head!r}, {source.library}: the graph starts from the base values "
            f"{given.tolist()}, the library from {expected.tolist()}"
        )
