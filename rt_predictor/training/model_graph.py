"""A network and its boosters as one graph, and both as read back from a bundle."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import jax
import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper

from rt_predictor.errors import BundleError, ParityError
from rt_predictor.features.matrix import REQUEST
from rt_predictor.features.request_features import REQUEST_FEATURES
from rt_predictor.model.bundle import Bundle
from rt_predictor.model.documents import GraphDocument
from rt_predictor.model.fingerprints import Fingerprints
from rt_predictor.model.session import CPU, ModelSession
from rt_predictor.training.answering import Answering
from rt_predictor.training.boosting.nodes import IR_VERSION, OPSETS, TreeNodes, tree_nodes
from rt_predictor.training.boosting.parity import ModelParity, prove_parity
from rt_predictor.training.boosting.trees import TREE_OPERATOR, read_forest
from rt_predictor.training.export.network_graph import OUTPUT, network_graph
from rt_predictor.training.export.parts import GraphParts
from rt_predictor.training.making import graph_document
from rt_predictor.training.network.forward import Array, Dense, Weights, point_weights
from rt_predictor.training.prepare import PreparedLog
from rt_predictor.training.proposing import (
    BACKOFF,
    TO_BACKOFF,
    Boosters,
    booster_inputs,
    no_proposals,
)
from rt_predictor.training.split import Rows

Float32 = NDArray[np.float32]

_TREES = "trees"
"""Begins the names of the nodes of boosters."""

_BOOSTED = "boosted"
"""Name of the proposals of boosters: logarithms of runtimes over the scale."""

_PARITY_JOBS = 2000
_TOLERANCE = 1e-3
"""Most difference of weights of graph and network, which add float32 in other orders."""


def weights_bytes(weights: Weights) -> bytes:
    """Return the weights of a network as NumPy's npz."""
    arrays: dict[str, Array] = {}
    for name, value in weights._asdict().items():
        if isinstance(value, Dense):
            arrays |= {f"{name}.w": value.w, f"{name}.b": value.b}
        else:
            arrays[name] = value
    file = io.BytesIO()
    np.savez(file, allow_pickle=False, **{name: np.asarray(v) for name, v in arrays.items()})
    return file.getvalue()


def weights_of(data: bytes) -> Weights:
    """Return what `weights_bytes` gave. Raises BundleError where it is something else."""
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            return Weights(
                *(
                    arrays[name]
                    if name in arrays
                    else Dense(arrays[f"{name}.w"], arrays[f"{name}.b"])
                    for name in Weights._fields
                )
            )
    except (KeyError, OSError, ValueError) as error:
        raise BundleError(
            "weights.npz holds no network of this program: train the base model anew"
        ) from error


@dataclass(frozen=True)
class ModelGraph:
    """A network and its boosters as one graph."""

    weights: Weights
    trees: TreeNodes
    parity: Mapping[str, object] = field(default_factory=dict)
    """Differences of graph and models, where they were compared."""
    boosters: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    """Parameters and sizes of the boosters, by library."""

    @classmethod
    def of(cls, bundle: Bundle) -> "ModelGraph":
        """Return that of a bundle. Raises BundleError where it is not one of this program."""
        graph = onnx.load_from_string(bundle.graph).graph
        nodes = tuple(node for node in graph.node if node.op_type == TREE_OPERATOR)
        if not nodes:
            raise BundleError("graph.onnx holds no boosters: train the base model anew")
        trees = TreeNodes(nodes, nodes[0].input[0], tuple(node.output[0] for node in nodes))
        metrics = bundle.metrics
        return cls(weights_of(bundle.weights), trees, metrics.parity, metrics.boosters)

    @classmethod
    def build(cls, weights: Weights, boosters: Boosters) -> "ModelGraph":
        """Put a network and boosters into a graph."""
        forests = [
            read_forest(booster.to_onnx(), booster.library, booster.n_features)
            for booster in boosters.fitted
        ]
        documents = {
            booster.library: {
                "parameters": dict(booster.parameters),
                "trees_kept": booster.n_trees,
            }
            for booster in boosters.fitted
        }
        return cls(weights, tree_nodes(forests, "request", _TREES), boosters=documents)

    def with_weights(self, weights: Weights) -> "ModelGraph":
        """Return the same boosters with other weights of the network."""
        return ModelGraph(weights, self.trees, self.parity, self.boosters)

    @cached_property
    def model(self) -> onnx.ModelProto:
        """The graph."""
        return network_graph(self.weights, self._add_boosters)

    @cached_property
    def serialised(self) -> bytes:
        """The graph as bytes."""
        data: bytes = self.model.SerializeToString()
        return data

    @cached_property
    def document(self) -> GraphDocument:
        """Sizes of the graph."""
        width = self.model.graph.output[0].type.tensor_type.shape.dim[1].dim_value
        return graph_document(width // 2)

    def answering(self, kind: str, version: str, learned: Fingerprints) -> Answering:
        """Return the graph ready to answer."""
        session = ModelSession(self.serialised, OUTPUT, (CPU,))
        return Answering(session, self.document, kind, version, learned)

    def boosted(self, log: PreparedLog, rows: Rows) -> Float32:
        """Return the proposals of the boosters for jobs of a log, NaN for all others.

        [n, boosters], logarithms of runtimes over the scale.
        """
        boosted = no_proposals(log)
        session = ModelSession(self._boosters_only(), _BOOSTED, (CPU,))
        boosted[rows] = session.run(booster_inputs(log, rows).features)
        return boosted

    def verified(self, log: PreparedLog, rows: Rows, boosters: Boosters | None) -> "ModelGraph":
        """Compare the graph with its models on jobs of a log; return it with the report of that.

        Args:
            log: the log.
            rows: jobs of it; some of them are compared.
            boosters: those of the graph; None where they were compared before.

        Raises ParityError where they differ by more than float32 rounding.
        """
        jobs = min(len(rows), _PARITY_JOBS)
        compared = rows[np.linspace(0, len(rows) - 1, jobs).astype(np.int64)]
        report = dict(self.parity)
        if boosters is not None:
            names = [feature.name for feature in REQUEST_FEATURES]
            features = booster_inputs(log, compared).features
            parities = prove_parity(self.model, self.trees, boosters.fitted, features, names)
            report["boosters"] = {parity.library: _plain(parity) for parity in parities}
        report["network"] = self._compare_network(log, compared)
        return ModelGraph(self.weights, self.trees, report, self.boosters)

    def _compare_network(self, log: PreparedLog, rows: Rows) -> Mapping[str, object]:
        inputs = log.inputs(rows)
        session = ModelSession(self.serialised, OUTPUT, (CPU,))
        actual = session.run(inputs)[:, self.document.points :]
        boosted = self.boosted(log, rows)[rows]
        expected = np.asarray(point_weights(self.weights, inputs, boosted))
        difference = float(np.abs(actual - expected).max())
        if not difference <= _TOLERANCE:
            raise ParityError(
                f"the graph's weights differ from the network's by {difference:g}: the export is "
                "wrong, no bundle is written"
            )
        return {"rows": len(rows), "max_difference": difference}

    def _add_boosters(self, parts: GraphParts, request: str) -> str:
        """Add the nodes of the boosters; return the name of their proposals."""
        parts.nodes.extend(_reading_from(self.trees.nodes, request))
        proposals = []
        for name in self.trees.outputs:
            if name.endswith(tuple(TO_BACKOFF)):
                anchor = parts.columns(request, slice(BACKOFF, BACKOFF + 1), f"{name}_anchor")
                proposals.append(parts.node("Add", [name, anchor], f"{name}_over_scale"))
            else:
                proposals.append(name)
        return parts.node("Concat", proposals, _BOOSTED, axis=1)

    def _boosters_only(self) -> bytes:
        """Return a graph from the features of the request to the proposals of the boosters."""
        parts = GraphParts()
        self._add_boosters(parts, "request")
        tensors = [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, ["jobs_count", columns])
            for name, columns in (
                ("request", REQUEST.stop - REQUEST.start),
                (_BOOSTED, len(self.trees.outputs)),
            )
        ]
        graph = helper.make_graph(
            parts.nodes, _BOOSTED, tensors[:1], tensors[1:], parts.initializers
        )
        opsets = [helper.make_opsetid(domain, version) for domain, version in OPSETS.items()]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION)
        data: bytes = model.SerializeToString()
        return data


def mean_weights(first: Weights, second: Weights, share: float) -> Weights:
    """Return (1 - share) * first + share * second."""

    def between(one: Array, other: Array) -> Array:
        return np.asarray(one) * np.float32(1 - share) + np.asarray(other) * np.float32(share)

    mean: Weights = jax.tree.map(between, first, second)
    return mean


def _reading_from(nodes: Sequence[onnx.NodeProto], tensor: str) -> list[onnx.NodeProto]:
    """Return copies of nodes that read another tensor."""
    copies = []
    for node in nodes:
        copy = onnx.NodeProto()
        copy.CopyFrom(node)
        copy.input[0] = tensor
        copies.append(copy)
    return copies


def _plain(parity: ModelParity) -> dict[str, object]:
    return {
        "rows": parity.rows,
        "max_difference": parity.max_difference,
        "max_share_of_bound": parity.max_share_of_bound,
    }
