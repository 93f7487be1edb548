"""Graphs of trees alone."""

from collections.abc import Sequence

import onnx
from onnx import helper

from rt_predictor.training.export.fuse import Head, model_of, tree_nodes


def tree_model(heads: Sequence[Head]) -> onnx.ModelProto:
    """A model of the trees: "features" float32 [N, F] -> "scores" float32 [N, outputs].

    Raises TrainingError where the heads do not fit together.
    """
    nodes, initializers = tree_nodes(heads, "columns", "scores")
    return model_of(
        [helper.make_node("Transpose", ["features"], ["columns"]), *nodes],
        initializers,
        ("features", heads[0].ensembles[0].n_features),
        ("scores", sum(len(head.outputs) for head in heads)),
    )
