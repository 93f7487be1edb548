import numpy as np
import pytest
from onnx import checker

from rt_predictor.features.matrix import ABSENT, COPIES, MISSING, REQUEST, WIDTH
from rt_predictor.history.columns import Float
from rt_predictor.model.session import ModelSession
from rt_predictor.training.export.network_graph import OUTPUT, Boosters, network_graph
from rt_predictor.training.export.parts import GraphParts
from rt_predictor.training.network.forward import Weights, point_weights
from rt_predictor.training.network.shape import BOOSTERS, POINTS, Sizes, support_s
from tests.training.network.learning_logs import (
    awkward_matrices,
    learning_log,
    matrix_of,
    random_weights,
)

BOUND = 1e-5
"""The most by which a weight of the graph may differ from that of JAX."""

BOUND_OF_EXTREMES = 1e-4
"""The same where scores are in the hundreds, of which float32 keeps no more."""

FEW = np.r_[:COPIES, COPIES + BOOSTERS : POINTS]
"""Points of the support without those of boosters."""


@pytest.fixture(scope="module")
def weights() -> Weights:
    return random_weights(1)


@pytest.fixture(scope="module")
def matrix() -> Float:
    return matrix_of(learning_log(997))


def session(weights: Weights, boosters: Boosters | None = None) -> ModelSession:
    graph = network_graph(weights, boosters)
    checker.check_model(graph)
    return ModelSession(graph.SerializeToString(), OUTPUT)


def answers(run: ModelSession, matrix: Float) -> tuple[Float, Float]:
    """Support and weights."""
    output = run.run(matrix)
    points = output.shape[1] // 2
    return output[:, :points], output[:, points:]


def assert_parity(run: ModelSession, weights: Weights, matrix: Float, bound: float = BOUND) -> None:
    silent = np.full((len(matrix), BOOSTERS), np.nan, dtype=np.float32)
    support, found = answers(run, matrix)
    expected = point_weights(weights, matrix, silent)
    assert expected[:, COPIES : COPIES + BOOSTERS].max() == 0
    np.testing.assert_array_equal(support, support_s(matrix, silent)[:, FEW])
    np.testing.assert_allclose(found, expected[:, FEW], rtol=0, atol=bound)
    np.testing.assert_allclose(found.sum(axis=1, dtype=np.float64), 1, atol=1e-5)


def mean_features(parts: GraphParts, request: str) -> str:
    """Stand-ins for boosters: plain sums of some features."""
    chosen = np.zeros((REQUEST.stop - REQUEST.start, BOOSTERS), dtype=np.float32)
    chosen[:9] = np.eye(BOOSTERS, dtype=np.float32).repeat(3, axis=0) / 3
    return parts.node("MatMul", [request, parts.constant("chosen", chosen)], "boosted")


def test_graph_and_jax_agree(weights, matrix):
    assert_parity(session(weights), weights, matrix)


@pytest.mark.parametrize("sizes", [Sizes(8, 16, 1), Sizes(24, 64, 2)])
def test_any_sizes_agree(sizes, matrix):
    weights = random_weights(2, sizes)
    assert_parity(session(weights), weights, matrix[:100])


def test_they_agree_where_everything_is_missing_or_extreme(weights):
    assert_parity(session(weights), weights, awkward_matrices(), BOUND_OF_EXTREMES)


@pytest.mark.parametrize("present", [0, 1])
def test_they_agree_without_tokens_and_with_all_of_them(weights, matrix, present):
    some = matrix[:64].copy()
    some[:, MISSING] = 0 if present else ABSENT
    run = session(weights)
    assert_parity(run, weights, some)
    copied = answers(run, some)[1][:, :COPIES]
    assert (copied > 0).any() == bool(present)


def test_what_is_missing_weighs_exactly_nothing(weights, matrix):
    _, found = answers(session(weights), matrix)
    assert (found[:, :COPIES][matrix[:, MISSING] != 0] == 0).all()


def test_boosters_are_points_of_the_support(weights, matrix):
    run = session(weights, mean_features)
    request = matrix[:, REQUEST]
    boosted = request[:, :9].reshape(len(matrix), BOOSTERS, 3).mean(axis=2)
    support, found = answers(run, matrix)
    np.testing.assert_allclose(support, support_s(matrix, boosted), rtol=1e-5)
    expected = point_weights(weights, matrix, boosted)
    np.testing.assert_allclose(found, expected, rtol=0, atol=BOUND)
    assert found[:, COPIES : COPIES + BOOSTERS].min() > 0


@pytest.mark.parametrize("boosters", [None, mean_features])
@pytest.mark.parametrize("together", [1, 2, 7, 64, 512, 997])
def test_a_job_has_the_same_bits_alone_and_among_others(weights, matrix, boosters, together):
    run = session(weights, boosters)
    whole = run.run(matrix)
    for first in range(0, len(matrix), together):
        some = slice(first, first + together)
        assert run.run(matrix[some]).tobytes() == whole[some].tobytes()


def test_no_operator_depends_on_the_number_of_rows(weights):
    used = {node.op_type for node in network_graph(weights, mean_features).graph.node}
    assert not used & {"Log", "Softplus", "Sin", "Cos", "Tanh", "Erf"}
    plain = {"Slice", "Split", "Concat", "Reshape", "Transpose", "MatMul", "Gemm", "Add", "Mul"}
    assert used <= plain | {"Relu", "Softmax", "Min", "Max", "Exp"}


def test_the_graph_takes_the_matrix_of_features(weights):
    graph = network_graph(weights).graph
    (given,) = graph.input
    assert given.type.tensor_type.shape.dim[1].dim_value == WIDTH
    assert graph.output[0].type.tensor_type.shape.dim[1].dim_value == 2 * (POINTS - BOOSTERS)
