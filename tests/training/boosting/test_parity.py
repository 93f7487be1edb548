"""Law: the graph answers as the boosters do, and a graph that does not is refused."""

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import helper

from rt_predictor.errors import ParityError, TrainingError
from rt_predictor.settings import TrainingSettings
from rt_predictor.training.boosting.booster import Samples
from rt_predictor.training.boosting.fit import LIBRARIES, FittedBoosters
from rt_predictor.training.boosting.nodes import booster_nodes
from rt_predictor.training.boosting.parity import prove_parity
from tests.training.boosting.fitted_boosters import (
    FEATURES,
    graph_of,
    names_of,
    samples,
    small_settings,
)

RULES = "nodes_missing_value_tracks_true"

EXAMPLES = settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True
)

COLUMN_KINDS = st.sampled_from(
    ["normal", "counts", "signs", "log", "huge", "denormal", "zero_band", "constant", "large_ids"]
)


def column(kind: str, n_rows: int, random: np.random.Generator) -> np.ndarray:
    values: dict[str, Callable[[], Any]] = {
        "normal": lambda: random.normal(size=n_rows),
        "counts": lambda: random.integers(0, 24, size=n_rows),
        "signs": lambda: random.integers(-2, 3, size=n_rows),
        "log": lambda: random.lognormal(6, 3, size=n_rows),
        "huge": lambda: random.choice([-1e38, -1e30, -1.0, 1.0, 1e30, 1e38], size=n_rows),
        "denormal": lambda: random.integers(-9, 9, size=n_rows) * 1.4e-45,
        "zero_band": lambda: random.choice(
            [-2e-35, -1e-35, -9e-36, 0.0, -0.0, 9e-36, 1e-35, 2e-35], size=n_rows
        ),
        "constant": lambda: np.full(n_rows, 3.0),
        "large_ids": lambda: random.integers(2**24 - 40, 2**24 + 40, size=n_rows),
    }
    return np.asarray(values[kind]()).astype(np.float32)


@st.composite
def made_up(draw: st.DrawFn) -> Samples:
    """Awkward columns with and without NaN, and a target that depends on them."""
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n_rows = draw(st.integers(40, 300))
    kinds = ["normal", *draw(st.lists(COLUMN_KINDS, min_size=0, max_size=5))]
    rows = np.stack([column(kind, n_rows, random) for kind in kinds], axis=1)
    for number in range(rows.shape[1]):
        share = draw(st.sampled_from([0.0, 0.0, 0.1, 0.6]))
        rows[random.random(n_rows) < share, number] = np.nan
    ranks = np.argsort(np.argsort(np.nan_to_num(rows), axis=0), axis=0)
    target = ranks[:, 0] + 0.7 * ranks.max(axis=1) + 20 * np.isnan(rows).sum(axis=1)
    scale = draw(st.sampled_from([1e-3, 1.0, 1e6]))
    noisy = scale * (target + random.normal(size=n_rows)) / n_rows
    weight = draw(st.sampled_from([None, random.random(n_rows).astype(np.float32)]))
    return Samples(rows, noisy.astype(np.float32), weight)


@st.composite
def chosen(draw: st.DrawFn) -> TrainingSettings:
    return small_settings(
        trees=draw(st.integers(1, 8)),
        max_depth=draw(st.integers(1, 7)),
        learning_rate=draw(st.sampled_from([0.1, 1.0])),
        l2=draw(st.sampled_from([0.0, 1.0])),
        subsample=draw(st.sampled_from([0.7, 1.0])),
    )


@pytest.mark.parametrize("library", LIBRARIES)
def test_the_graph_predicts_as_the_library_does(library: str) -> None:
    @EXAMPLES
    @given(made_up(), chosen())
    def law(learned: Samples, given_settings: TrainingSettings) -> None:
        booster = LIBRARIES[library](learned, given_settings, lambda _share: None)
        rows = learned.features
        trees = booster_nodes([booster], FEATURES, "booster")
        (report,) = prove_parity(
            graph_of(trees, rows.shape[1]), trees, [booster], rows, names_of(rows)
        )
        assert report.rows > len(rows)
        assert report.max_share_of_bound <= 1.0

    law()


DATA = samples(holes=0.1).features


def prove(graph: onnx.ModelProto, fitted: FittedBoosters, data: Any = DATA) -> Any:
    trees = booster_nodes(fitted.boosters, FEATURES, "booster")
    return prove_parity(graph, trees, fitted.boosters, data, names_of(DATA))


@pytest.fixture
def graph(fitted_boosters: FittedBoosters) -> onnx.ModelProto:
    return graph_of(booster_nodes(fitted_boosters.boosters, FEATURES, "booster"), 6)


def attribute(node: onnx.NodeProto, name: str) -> onnx.AttributeProto:
    return next(item for item in node.attribute if item.name == name)


def test_three_boosters_in_one_graph_are_proven(
    graph: onnx.ModelProto, fitted_boosters: FittedBoosters
) -> None:
    report = prove(graph, fitted_boosters)
    assert [model.library for model in report] == list(LIBRARIES)


@pytest.mark.parametrize("number", [0, 1, 2])
@pytest.mark.parametrize("towards", [-np.inf, np.inf])
def test_a_threshold_off_by_one_float_is_found(
    graph: onnx.ModelProto, fitted_boosters: FittedBoosters, number: int, towards: float
) -> None:
    node = graph.graph.node[number]
    modes = attribute(node, "nodes_modes").strings
    splits = [number for number, mode in enumerate(modes) if mode != b"LEAF"]
    values = attribute(node, "nodes_values").floats
    values[splits[-1]] = np.nextafter(np.float32(values[splits[-1]]), np.float32(towards))
    with pytest.raises(ParityError, match=r"tree 4 adds .* where column"):
        prove(graph, fitted_boosters)


@pytest.mark.parametrize("number", [0, 1, 2])
def test_a_wrong_way_for_nan_is_found(
    graph: onnx.ModelProto, fitted_boosters: FittedBoosters, number: int
) -> None:
    node = graph.graph.node[number]
    given_rules = [item for item in node.attribute if item.name == RULES]
    if given_rules:
        given_rules[0].ints[0] ^= 1
    else:
        count = len(attribute(node, "nodes_modes").strings)
        node.attribute.append(helper.make_attribute(RULES, [1] + [0] * (count - 1)))
    with pytest.raises(ParityError, match="nan"):
        prove(graph, fitted_boosters)


@pytest.mark.parametrize("number", [0, 1, 2])
def test_a_leaf_off_by_one_float_is_found(
    graph: onnx.ModelProto, fitted_boosters: FittedBoosters, number: int
) -> None:
    weights = attribute(graph.graph.node[number], "target_weights").floats
    weights[0] = np.nextafter(np.float32(weights[0]), np.float32(np.inf))
    with pytest.raises(ParityError, match="tree 0 adds"):
        prove(graph, fitted_boosters)


@pytest.mark.parametrize("number", [0, 1, 2])
def test_another_base_value_is_found(
    graph: onnx.ModelProto, fitted_boosters: FittedBoosters, number: int
) -> None:
    attribute(graph.graph.node[number], "base_values").floats[0] += 0.01
    with pytest.raises(ParityError, match="base values differ"):
        prove(graph, fitted_boosters)


def test_other_boosters_are_found(graph: onnx.ModelProto, fitted_boosters: FittedBoosters) -> None:
    first, *others = fitted_boosters.boosters
    trees = booster_nodes(fitted_boosters.boosters, FEATURES, "booster")
    more = LIBRARIES["xgboost"](samples(), small_settings(trees=6), lambda _share: None)
    with pytest.raises(ParityError, match="5 trees, the xgboost model 6"):
        prove_parity(graph, trees, [more, *others], DATA, names_of(DATA))
    with pytest.raises(TrainingError, match="give the boosters of the graph"):
        prove_parity(graph, trees, [first], DATA, names_of(DATA))


def test_a_graph_without_the_nodes_is_found(
    graph: onnx.ModelProto, fitted_boosters: FittedBoosters
) -> None:
    del graph.graph.node[1]
    with pytest.raises(ParityError, match="has no TreeEnsembleRegressor"):
        prove(graph, fitted_boosters)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (DATA.astype(np.float64), "float32"),
        (DATA[:0], "at least one row"),
        (DATA[:, :3], r"\[rows, 6\]"),
        (np.full_like(DATA, np.inf), "infinite"),
    ],
)
def test_data_that_proves_nothing_is_refused(
    graph: onnx.ModelProto, fitted_boosters: FittedBoosters, data: Any, message: str
) -> None:
    with pytest.raises(TrainingError, match=message):
        prove(graph, fitted_boosters, data)
