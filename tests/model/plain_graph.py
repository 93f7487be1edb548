"""A graph that needs no training: every job and rule that there is weighs alike.

It reads the matrix of features as a trained one does, so all that stands around a graph can be
tested with it.
"""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from rt_predictor.features.matrix import CAP, COPIES, MISSING, PROPOSED, SCALE, WIDTH
from rt_predictor.model.network import GRAPH_OUTPUT

RELATIVE = np.array([0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 1.0, 1.1], dtype=np.float32)
ABSOLUTE = np.geomspace(2, 30 * 86400, 16).astype(np.float32)
POINTS = COPIES + len(RELATIVE) + len(ABSOLUTE)
_GRID_SCORE = -5.0


def plain_graph() -> bytes:
    """Return the graph, serialised."""
    constants: list[onnx.TensorProto] = []
    nodes: list[onnx.NodeProto] = []

    def constant(name: str, value: np.ndarray) -> str:
        constants.append(numpy_helper.from_array(value, name))
        return name

    def node(op: str, inputs: list[str], output: str, **attributes: object) -> str:
        nodes.append(helper.make_node(op, inputs, [output], **attributes))
        return output

    def columns(name: str, places: slice) -> str:
        bounds = (np.array([places.start]), np.array([places.stop]), np.array([1]))
        names = [constant(f"{name}_{n}", value) for n, value in enumerate(bounds)]
        return node("Slice", ["inputs", *names], name)

    scale, cap = columns("scale", SCALE), columns("cap", CAP)
    relative = node("Mul", [scale, constant("shares", RELATIVE[None])], "relative")
    absolute = node("Min", [constant("seconds", ABSOLUTE[None]), cap], "absolute")
    support = node("Concat", [columns("copied", PROPOSED), relative, absolute], "all", axis=1)
    least = node("Max", [support, constant("second", np.ones((1, 1), np.float32))], "least")
    nothing = node("Mul", [cap, constant("zero", np.zeros((1, 1), np.float32))], "nothing")
    score = constant("score", np.full((1, POINTS - COPIES), _GRID_SCORE, np.float32))
    grid = node("Add", [score, nothing], "grid")
    scores = node("Concat", [columns("missing", MISSING), grid], "scores", axis=1)
    weights = node("Softmax", [scores], "weights", axis=1)
    node("Concat", [least, weights], GRAPH_OUTPUT, axis=1)
    graph = helper.make_graph(
        nodes,
        "plain",
        [helper.make_tensor_value_info("inputs", TensorProto.FLOAT, ["jobs", WIDTH])],
        [helper.make_tensor_value_info(GRAPH_OUTPUT, TensorProto.FLOAT, ["jobs", 2 * POINTS])],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 9
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())
