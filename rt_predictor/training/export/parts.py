"""Nodes and constants of an ONNX graph in the making."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, helper, numpy_helper


@dataclass
class GraphParts:
    """Nodes and constants of a graph; names of nodes and tensors must be distinct."""

    nodes: list[NodeProto] = field(default_factory=list)
    initializers: list[TensorProto] = field(default_factory=list)

    def constant(self, name: str, value: NDArray[np.generic]) -> str:
        """Add a constant and return its name."""
        self.initializers.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def node(self, op: str, inputs: Sequence[str], output: str, **attributes: object) -> str:
        """Add a node with one output and return the output's name."""
        self.nodes.append(helper.make_node(op, inputs, [output], name=output, **attributes))
        return output

    def columns(self, tensor: str, which: slice, output: str) -> str:
        """Add the node that takes columns of a matrix, and return their name."""
        bounds = [
            self.constant(f"{output}_{name}", np.array([value]))
            for name, value in (("first", which.start), ("last", which.stop), ("axis", 1))
        ]
        return self.node("Slice", [tensor, *bounds], output)

    def split(self, tensor: str, sizes: Sequence[int], prefix: str, axis: int = 0) -> list[str]:
        """Add the node that cuts a tensor into pieces, and return their names."""
        if len(sizes) == 1:
            return [tensor]
        pieces = [f"{prefix}_{number}" for number in range(len(sizes))]
        self.cut(tensor, sizes, pieces, axis)
        return pieces

    def cut(self, tensor: str, sizes: Sequence[int], names: Sequence[str], axis: int = 0) -> None:
        """Add the node that cuts a tensor into pieces of these names."""
        given = [tensor, self.constant(f"{tensor}_sizes", np.array(sizes))]
        self.nodes.append(
            helper.make_node("Split", given, names, name=f"{tensor}_split", axis=axis)
        )

    def reshape(self, tensor: str, shape: Sequence[int], output: str) -> str:
        """Add the node that gives a tensor another shape, and return its name."""
        return self.node(
            "Reshape", [tensor, self.constant(f"{output}_shape", np.array(shape))], output
        )
