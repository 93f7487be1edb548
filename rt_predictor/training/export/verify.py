"""Hold the fused graph to the native boosters, leaf by leaf.

A wrong turn may change a sum by less than float32 can show, so sums alone prove little. For every
row each tree's leaf is compared: its values in the graph with those of the leaf the library itself
took, exactly. What then remains is the sum, which may differ by rounding and no more.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import onnx

from rt_predictor.errors import TrainingError
from rt_predictor.training.export.compare import (
    GraphAnswer,
    ModelInGraph,
    Where,
    models_in_graph,
)
from rt_predictor.training.export.compiled import CompiledTrees, take_out_trees
from rt_predictor.training.export.fuse import Head
from rt_predictor.training.export.native import Booster, native
from rt_predictor.training.export.probes import (
    Probes,
    missing_probes,
    split_probes,
    threshold_probes,
)
from rt_predictor.training.export.trees import Float32Array

# Rows of the data that probes are made from.
_BASE_ROWS = 64

# Rows and leaf values that are compared at a time: they bound the memory taken.
_CHUNK_ROWS = 4096
_CHUNK_LEAF_VALUES = 4_000_000

Progress = Callable[[str, int, int], None]
"""Called with what is being compared, how much of it is done, and of how much (models or rows)."""


@dataclass(frozen=True)
class ComparedRows:
    """Rows compared, by kind: of the data, and made from it as `probes` tells."""

    thresholds: int
    splits: int
    missing: int
    data: int


@dataclass(frozen=True)
class HeadParity:
    """How far graph and libraries were apart at most, over the outputs of a head.

    Attributes:
        name: the head.
        max_absolute: in the unit of the outputs.
        max_relative: to the sum of the sizes of the terms (leaves and base value) added.
    """

    name: str
    max_absolute: float
    max_relative: float


@dataclass(frozen=True)
class ParityReport:
    """What was compared, and the largest differences: rounding, since all leaves were equal."""

    rows: ComparedRows
    heads: tuple[HeadParity, ...]


def verify(
    model: onnx.ModelProto,
    heads: Sequence[Head],
    boosters: Sequence[Sequence[Booster]],
    rows: Float32Array,
    *,
    columns: Sequence[str],
    progress: Progress | None = None,
) -> ParityReport:
    """Prove that the trees of `model` are the boosters, or fail.

    The rows compared: `rows` themselves; every threshold of every model and one float32 to either
    side of it; the same, and NaN, at every split, in rows that reach it; NaN in every column.

    Args:
        model: a graph with the trees of `heads` in it, whatever stands around them.
        heads: what was fused.
        boosters: for each head, the booster of each of its ensembles.
        rows: float32 [N, F], finite or NaN; the tree node's input for some jobs.
        columns: names of the F columns.
        progress: told of the work done.

    Raises:
        ParityError: the graph and a booster differ.
        TrainingError: the arguments do not belong together.
    """
    rows = _checked(rows, heads, columns)
    sources = [[native(booster) for booster in of_head] for of_head in boosters]
    compiled = take_out_trees(model, rows.shape[1])
    models = models_in_graph(heads, sources, compiled, columns)
    leaf_values = sum(one.source.trees.n_trees * one.values.shape[1] for one in models)
    chunk_rows = max(1, min(_CHUNK_ROWS, _CHUNK_LEAF_VALUES // leaf_values))
    base = rows[np.linspace(0, len(rows) - 1, min(len(rows), _BASE_ROWS)).astype(np.int64)]
    run = _Run(compiled, models, columns, progress or _silent)
    compared = ComparedRows(
        thresholds=run.probe(
            "thresholds", lambda one: threshold_probes(one.source.trees, base, chunk_rows)
        ),
        splits=run.probe("splits", lambda one: split_probes(one.trees, base, chunk_rows)),
        missing=run.probe("missing values", lambda _: missing_probes(base, chunk_rows)),
        data=run.data(rows, chunk_rows),
    )
    return ParityReport(compared, tuple(run.worst[head.name] for head in heads))


class _Run:
    """Compares rows of one kind after the other and keeps the largest differences."""

    def __init__(
        self,
        compiled: CompiledTrees,
        models: Sequence[ModelInGraph],
        columns: Sequence[str],
        progress: Progress,
    ) -> None:
        self._compiled = compiled
        self._models = models
        self._columns = columns
        self._progress = progress
        self.worst = {one.head: HeadParity(one.head, 0.0, 0.0) for one in models}

    def probe(self, stage: str, probes_of: Callable[[ModelInGraph], Iterator[Probes]]) -> int:
        """Compare each model on the probes made for it; how many rows those were."""
        n_rows = 0
        for done, one in enumerate(self._models):
            self._progress(stage, done, len(self._models))
            for probes in probes_of(one):
                self._compare(one, probes.rows, self._answer(probes.rows), self._set_in(probes))
                n_rows += len(probes.rows)
        self._progress(stage, len(self._models), len(self._models))
        return n_rows

    def data(self, rows: Float32Array, chunk_rows: int) -> int:
        """Compare all models on `rows`; how many they were."""
        for start in range(0, len(rows), chunk_rows):
            self._progress("data", start, len(rows))
            chunk = rows[start : start + chunk_rows]
            graph = self._answer(chunk)
            for one in self._models:
                self._compare(one, chunk, graph, _row_of_data(start))
        self._progress("data", len(rows), len(rows))
        return len(rows)

    def _answer(self, rows: Float32Array) -> GraphAnswer:
        return GraphAnswer(self._compiled.scores(rows), self._compiled.leaves(rows))

    def _compare(
        self, one: ModelInGraph, rows: Float32Array, graph: GraphAnswer, where: Where
    ) -> None:
        difference = one.compare(rows, graph, where)
        worst = self.worst[one.head]
        self.worst[one.head] = HeadParity(
            one.head,
            max(worst.max_absolute, difference.absolute),
            max(worst.max_relative, difference.relative),
        )

    def _set_in(self, probes: Probes) -> Where:
        def where(row: int) -> str:
            column = int(probes.feature[row])
            return f"a row with {self._columns[column]} = {probes.rows[row, column]}"

        return where


def _silent(_stage: str, _done: int, _total: int) -> None:
    """No one wants to know."""


def _row_of_data(start: int) -> Where:
    return lambda row: f"row {start + row} of the data"


def _checked(rows: Float32Array, heads: Sequence[Head], columns: Sequence[str]) -> Float32Array:
    expected = {ensemble.n_features for head in heads for ensemble in head.ensembles}
    shape = (len(rows), len(columns))
    if (
        rows.dtype != np.float32
        or rows.shape != shape
        or {len(columns)} != expected
        or not len(rows)
    ):
        raise TrainingError(
            f"cannot verify on rows of {rows.dtype} {rows.shape} with {len(columns)} names for "
            f"models of {sorted(expected)} columns: give float32 [rows, columns] and a name each"
        )
    if np.isinf(rows).any():
        raise TrainingError("cannot verify on infinite values: give finite ones or NaN")
    return np.ascontiguousarray(rows)
