"""The declared features as ONNX nodes: the assembled inputs become the matrix the trees see.

Features of one kind that can be computed at the same time share one wide operator (gather, gather,
divide), because the cost of one job is the number of operators. Logarithms and sines are not used:
their last bit depends on the number of rows, and a last bit at a threshold is another leaf.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby

import numpy as np
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, helper, numpy_helper

from rt_predictor.features.categories import Category
from rt_predictor.features.declared import FEATURES, INPUTS, STATISTICS, Feature, Op

_POWERS_OF_TWO = np.array([2.0**k for k in range(24)], dtype=np.float32)


@dataclass
class GraphParts:
    """Nodes and constants of a graph in the making."""

    nodes: list[NodeProto] = field(default_factory=list)
    initializers: list[TensorProto] = field(default_factory=list)

    def constant(self, name: str, value: NDArray[np.generic]) -> str:
        """Adds a constant and gives its name."""
        self.initializers.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def node(self, op: str, inputs: Sequence[str], output: str, **attributes: object) -> str:
        """Adds a node with one output and gives the output's name."""
        self.nodes.append(helper.make_node(op, inputs, [output], name=output, **attributes))
        return output


def feature_nodes(
    parts: GraphParts, categories: Sequence[Category], input_name: str, output_name: str
) -> None:
    """Adds the nodes that turn `input_name` [n, len(INPUTS)] into `output_name`.

    The output is [n, len(FEATURES)] float32, in the order of `FEATURES`.
    """
    columns = {item.name: place for place, item in enumerate(INPUTS)}
    matrix = _lookups(parts, categories, columns, input_name)
    computed = [f for f in FEATURES if f.op not in (Op.INPUT, Op.LOOKUP)]
    depth = _depths(computed, columns)
    for level, members in groupby(
        sorted(computed, key=lambda f: depth[f.name]), lambda f: depth[f.name]
    ):
        matrix = _level(parts, matrix, columns, level, list(members))
    order = np.array([columns[f.name] for f in FEATURES], dtype=np.int64)
    parts.node("Gather", [matrix, parts.constant("feature_order", order)], output_name, axis=1)


def _depths(features: Iterable[Feature], known: Mapping[str, int]) -> dict[str, int]:
    """How many features lie below each feature; they are declared before they are used."""
    depth: dict[str, int] = dict.fromkeys(known, 0)
    for feature in features:
        depth[feature.name] = 1 + max(depth[name] for name in feature.inputs)
    return depth


def _lookups(
    parts: GraphParts, categories: Sequence[Category], columns: dict[str, int], matrix: str
) -> str:
    """All category tables below each other, so that one gather serves all of them."""
    codes = [columns[f"{category.field}_code"] for category in categories]
    offsets = np.cumsum([0, *(len(category.table) for category in categories[:-1])])
    tables = np.concatenate([category.table for category in categories])
    parts.node("Gather", [matrix, parts.constant("code_columns", np.array(codes))], "codes", axis=1)
    parts.node("Cast", ["codes"], "codes_whole", to=TensorProto.INT64)
    parts.node("Add", ["codes_whole", parts.constant("table_offsets", offsets)], "table_rows")
    parts.node("Gather", [parts.constant("tables", tables), "table_rows"], "looked_up", axis=0)
    shape = parts.constant("lookup_shape", np.array([0, len(categories) * len(STATISTICS)]))
    parts.node("Reshape", ["looked_up", shape], "lookups")
    for category in categories:
        for statistic, _, _ in STATISTICS:
            columns[f"{category.field}_{statistic}"] = len(columns)
    return parts.node("Concat", [matrix, "lookups"], "level_0", axis=1)


def _level(
    parts: GraphParts,
    matrix: str,
    columns: dict[str, int],
    level: int,
    features: Sequence[Feature],
) -> str:
    """Appends features whose inputs are all in `matrix`; one wide operator for each kind."""
    blocks = [matrix]
    for op in Op:
        members = [feature for feature in features if feature.op is op]
        if not members:
            continue
        prefix = f"{op.value}_{level}"
        operands = [
            parts.node(
                "Gather",
                [
                    matrix,
                    parts.constant(
                        f"{prefix}_columns_{side}",
                        np.array([columns[feature.inputs[side]] for feature in members]),
                    ),
                ],
                f"{prefix}_operand_{side}",
                axis=1,
            )
            for side in range(len(members[0].inputs))
        ]
        constants = np.array(
            [np.nan if f.constant is None else f.constant for f in members], dtype=np.float32
        )
        blocks.append(_KINDS[op](parts, prefix, operands, constants))
        for feature in members:
            columns[feature.name] = len(columns)
    return parts.node("Concat", blocks, f"level_{level}", axis=1)


_Kind = Callable[[GraphParts, str, Sequence[str], NDArray[np.float32]], str]


def _binary(onnx_op: str) -> _Kind:
    def build(
        parts: GraphParts, prefix: str, operands: Sequence[str], _: NDArray[np.float32]
    ) -> str:
        return parts.node(onnx_op, operands, prefix)

    return build


def _flag(parts: GraphParts, condition: str, output: str) -> str:
    return parts.node("Cast", [condition], output, to=TensorProto.FLOAT)


def _remainder(
    parts: GraphParts, prefix: str, operands: Sequence[str], constants: NDArray[np.float32]
) -> str:
    divisors = parts.constant(f"{prefix}_divisors", constants)
    return parts.node("Mod", [operands[0], divisors], prefix, fmod=1)


def _is_multiple(
    parts: GraphParts, prefix: str, operands: Sequence[str], constants: NDArray[np.float32]
) -> str:
    rest = _remainder(parts, f"{prefix}_rest", operands, constants)
    zero = parts.constant(f"{prefix}_zero", np.zeros(1, dtype=np.float32))
    return _flag(parts, parts.node("Equal", [rest, zero], f"{prefix}_hit"), prefix)


def _is_power_of_two(
    parts: GraphParts, prefix: str, operands: Sequence[str], _: NDArray[np.float32]
) -> str:
    powers = parts.constant(f"{prefix}_powers", _POWERS_OF_TWO)
    last = parts.constant(f"{prefix}_last", np.array([-1]))
    parts.node("Unsqueeze", [operands[0], last], f"{prefix}_wide")
    parts.node("Equal", [f"{prefix}_wide", powers], f"{prefix}_hits")
    _flag(parts, f"{prefix}_hits", f"{prefix}_flags")
    return parts.node("ReduceMax", [f"{prefix}_flags", last], prefix, keepdims=0)


def _is_missing(
    parts: GraphParts, prefix: str, operands: Sequence[str], _: NDArray[np.float32]
) -> str:
    return _flag(parts, parts.node("IsNaN", operands, f"{prefix}_hit"), prefix)


def _is_equal(
    parts: GraphParts, prefix: str, operands: Sequence[str], _: NDArray[np.float32]
) -> str:
    return _flag(parts, parts.node("Equal", operands, f"{prefix}_hit"), prefix)


def _is_constant(
    parts: GraphParts, prefix: str, operands: Sequence[str], constants: NDArray[np.float32]
) -> str:
    values = parts.constant(f"{prefix}_values", constants)
    return _flag(parts, parts.node("Equal", [operands[0], values], f"{prefix}_hit"), prefix)


def _if_at_least(
    parts: GraphParts, prefix: str, operands: Sequence[str], constants: NDArray[np.float32]
) -> str:
    least = parts.constant(f"{prefix}_least", constants)
    missing = parts.constant(f"{prefix}_missing", np.full(1, np.nan, dtype=np.float32))
    parts.node("GreaterOrEqual", [operands[1], least], f"{prefix}_enough")
    return parts.node("Where", [f"{prefix}_enough", operands[0], missing], prefix)


def _first_present(
    parts: GraphParts, prefix: str, operands: Sequence[str], _: NDArray[np.float32]
) -> str:
    *firsts, found = operands
    for place, operand in reversed(list(enumerate(firsts))):
        absent = parts.node("IsNaN", [operand], f"{prefix}_absent_{place}")
        name = f"{prefix}_from_{place}" if place else prefix
        found = parts.node("Where", [absent, found, operand], name)
    return found


_KINDS: Mapping[Op, _Kind] = {
    Op.RATIO: _binary("Div"),
    Op.PRODUCT: _binary("Mul"),
    Op.SUM: _binary("Add"),
    Op.REMAINDER: _remainder,
    Op.IS_MULTIPLE: _is_multiple,
    Op.IS_POWER_OF_TWO: _is_power_of_two,
    Op.IS_MISSING: _is_missing,
    Op.IS_EQUAL: _is_equal,
    Op.IS_CONSTANT: _is_constant,
    Op.IF_AT_LEAST: _if_at_least,
    Op.FIRST_PRESENT: _first_present,
}
