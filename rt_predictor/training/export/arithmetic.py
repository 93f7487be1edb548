"""The declared features as ONNX nodes: the assembled inputs become the matrix the trees see.

Features of one kind that can be computed at the same time share one wide operator, because the
cost of one job is the number of operators. A matrix stands on its side here, one row a feature: to
choose some of them, in bulk, is to copy whole rows, which costs a tenth of picking numbers one by
one. Logarithms and sines are not used: their last bit depends on the number of jobs, and a last bit
at a threshold is another leaf.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import groupby, islice

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto

from rt_predictor.features.categories import Category
from rt_predictor.features.declared import FEATURES, INPUTS, STATISTICS, Feature, Op
from rt_predictor.training.export.parts import GraphParts

_POWERS_OF_TWO = np.array([2.0**k for k in range(24)], dtype=np.float32)


def feature_nodes(
    parts: GraphParts, categories: Sequence[Category], input_name: str, output_name: str
) -> None:
    """Adds the nodes that turn `input_name` [len(INPUTS), n] into `output_name`.

    The output is [len(FEATURES), n] float32, in the order of `FEATURES`.
    """
    rows = {item.name: place for place, item in enumerate(INPUTS)}
    matrix = _lookups(parts, categories, rows, input_name)
    computed = [f for f in FEATURES if f.op not in (Op.INPUT, Op.LOOKUP)]
    depth = _depths(computed, rows)
    for level, members in groupby(
        sorted(computed, key=lambda f: depth[f.name]), lambda f: depth[f.name]
    ):
        matrix = _level(parts, matrix, rows, level, list(members))
    order = parts.constant("feature_order", np.array([rows[f.name] for f in FEATURES]))
    parts.node("Gather", [matrix, order], output_name, axis=0)


def _depths(features: Iterable[Feature], known: Mapping[str, int]) -> dict[str, int]:
    """How many features lie below each feature; they are declared before they are used."""
    depth: dict[str, int] = dict.fromkeys(known, 0)
    for feature in features:
        depth[feature.name] = 1 + max(depth[name] for name in feature.inputs)
    return depth


def _lookups(
    parts: GraphParts, categories: Sequence[Category], rows: dict[str, int], matrix: str
) -> str:
    """All category tables below each other, so that one gather serves all of them."""
    codes = [rows[f"{category.field}_code"] for category in categories]
    offsets = np.cumsum([0, *(len(category.table) for category in categories[:-1])])
    tables = np.concatenate([category.table for category in categories])
    parts.node("Gather", [matrix, parts.constant("code_rows", np.array(codes))], "codes", axis=0)
    parts.node("Cast", ["codes"], "codes_whole", to=TensorProto.INT64)
    start = parts.constant("table_offsets", offsets[:, None])
    parts.node("Add", ["codes_whole", start], "table_rows")
    parts.node("Gather", [parts.constant("tables", tables), "table_rows"], "looked_up", axis=0)
    parts.node("Transpose", ["looked_up"], "looked_up_rows", perm=[0, 2, 1])
    shape = parts.constant("lookup_shape", np.array([len(categories) * len(STATISTICS), -1]))
    parts.node("Reshape", ["looked_up_rows", shape], "lookups")
    for category in categories:
        for statistic, _, _ in STATISTICS:
            rows[f"{category.field}_{statistic}"] = len(rows)
    return parts.node("Concat", [matrix, "lookups"], "level_0", axis=0)


def _level(
    parts: GraphParts,
    matrix: str,
    rows: dict[str, int],
    level: int,
    features: Sequence[Feature],
) -> str:
    """Appends features whose inputs are all in `matrix`; one wide operator for each kind."""
    of_kind = {op: [f for f in features if f.op is op] for op in Op}
    kinds = sorted((op for op in Op if of_kind[op]), key=lambda op: op in _FLAGS)
    sides = [
        [rows[feature.inputs[side]] for feature in of_kind[op]]
        for op in kinds
        for side in range(len(of_kind[op][0].inputs))
    ]
    asked = parts.constant(f"level_{level}_rows", np.concatenate(sides))
    parts.node("Gather", [matrix, asked], f"level_{level}_asked", axis=0)
    prefix = f"level_{level}_operand"
    operands = iter(parts.split(f"level_{level}_asked", [len(side) for side in sides], prefix))
    numbers: list[str] = [matrix]
    flags: list[str] = []
    for op in kinds:
        members = of_kind[op]
        constants = np.array(
            [np.nan if f.constant is None else f.constant for f in members], dtype=np.float32
        )
        given = list(islice(operands, len(members[0].inputs)))
        found = _KINDS[op](parts, f"{op.value}_{level}", given, constants[:, None])
        (flags if op in _FLAGS else numbers).append(found)
        for feature in members:
            rows[feature.name] = len(rows)
    if flags:
        held = f"flags_{level}_held"
        hits = parts.node("Concat", flags, held, axis=0) if len(flags) > 1 else flags[0]
        numbers.append(parts.node("Cast", [hits], f"flags_{level}", to=TensorProto.FLOAT))
    return parts.node("Concat", numbers, f"level_{level}", axis=0)


_Kind = Callable[[GraphParts, str, Sequence[str], NDArray[np.float32]], str]
"""Adds the nodes of k features: operands [k, n] and constants [k, 1] -> [k, n]."""


def _binary(onnx_op: str) -> _Kind:
    def build(
        parts: GraphParts, prefix: str, operands: Sequence[str], _: NDArray[np.float32]
    ) -> str:
        return parts.node(onnx_op, operands, prefix)

    return build


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
    return parts.node("Equal", [rest, zero], prefix)


def _is_power_of_two(
    parts: GraphParts, prefix: str, operands: Sequence[str], _: NDArray[np.float32]
) -> str:
    powers = parts.constant(f"{prefix}_powers", _POWERS_OF_TWO[:, None, None])
    first = parts.constant(f"{prefix}_axis", np.array([0]))
    parts.node("Equal", [operands[0], powers], f"{prefix}_hits")
    parts.node("Cast", [f"{prefix}_hits"], f"{prefix}_flags", to=TensorProto.FLOAT)
    return parts.node("ReduceMax", [f"{prefix}_flags", first], prefix, keepdims=0)


def _is_missing(
    parts: GraphParts, prefix: str, operands: Sequence[str], _: NDArray[np.float32]
) -> str:
    return parts.node("IsNaN", operands, prefix)


def _is_constant(
    parts: GraphParts, prefix: str, operands: Sequence[str], constants: NDArray[np.float32]
) -> str:
    values = parts.constant(f"{prefix}_values", constants)
    return parts.node("Equal", [operands[0], values], prefix)


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
    Op.IS_EQUAL: _binary("Equal"),
    Op.IS_CONSTANT: _is_constant,
    Op.IF_AT_LEAST: _if_at_least,
    Op.FIRST_PRESENT: _first_present,
}

_FLAGS = frozenset({Op.IS_MULTIPLE, Op.IS_MISSING, Op.IS_EQUAL, Op.IS_CONSTANT})
"""Kinds that say true or false: they become numbers together."""
