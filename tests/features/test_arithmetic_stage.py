"""The graph's arithmetic against the declarations, worked out by plain NumPy."""

from collections.abc import Iterator
from functools import reduce

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rt_predictor.features.assemble import Assembler
from rt_predictor.features.categories import Category, fit_category
from rt_predictor.features.declared import (
    CATEGORY_FIELDS,
    FEATURES,
    INPUTS,
    STATISTICS,
    Feature,
    Op,
)
from rt_predictor.history.replay import LogHistory
from rt_predictor.history.store import EventStore
from rt_predictor.model.session import CPU, ModelSession
from rt_predictor.traces.generate import generate_jobs
from rt_predictor.training.export.graph import feature_model

INPUT_COLUMN = {item.name: place for place, item in enumerate(INPUTS)}
STATISTIC_COLUMN = {name: place for place, (name, _, _) in enumerate(STATISTICS)}


@pytest.fixture(scope="module")
def jobs() -> pl.DataFrame:
    return generate_jobs(3000, seed=1)


@pytest.fixture(scope="module")
def categories(jobs: pl.DataFrame) -> tuple[Category, ...]:
    return tuple(
        fit_category(field, jobs, min_jobs=20, max_names=8, salt="s") for field in CATEGORY_FIELDS
    )


@pytest.fixture(scope="module")
def history(jobs: pl.DataFrame) -> np.ndarray:
    return LogHistory(jobs).features(jobs)


@pytest.fixture(scope="module")
def session(categories: tuple[Category, ...]) -> ModelSession:
    return ModelSession(feature_model(categories).SerializeToString(), "features", (CPU,))


def looked_back(feature: Feature, known: dict[str, np.ndarray]) -> np.ndarray:
    """Features that choose among what finished jobs say."""
    first, *others = (known[name] for name in feature.inputs)
    if feature.op is Op.IF_AT_LEAST:
        return np.where(others[0] >= feature.constant, first, np.nan)
    return reduce(lambda found, other: np.where(np.isnan(found), other, found), others, first)


def by_declaration(inputs: np.ndarray, categories: tuple[Category, ...]) -> dict[str, np.ndarray]:
    """Every declared feature, one at a time, in float32."""
    known = {item.name: inputs[:, place] for place, item in enumerate(INPUTS)}
    tables = {f"{category.field}_code": category.table for category in categories}
    for feature in FEATURES:
        a = known[feature.inputs[0]]
        b = known[feature.inputs[1]] if len(feature.inputs) > 1 else a
        constant = np.float32(np.nan if feature.constant is None else feature.constant)
        with np.errstate(invalid="ignore", divide="ignore"):
            match feature.op:
                case Op.INPUT:
                    value = a
                case Op.LOOKUP:
                    column = STATISTIC_COLUMN[feature.statistic or ""]
                    value = tables[feature.inputs[0]][a.astype(int), column]
                case Op.RATIO:
                    value = a / b
                case Op.PRODUCT:
                    value = a * b
                case Op.SUM:
                    value = a + b
                case Op.REMAINDER:
                    value = np.fmod(a, constant)
                case Op.IS_MULTIPLE:
                    value = np.fmod(a, constant) == 0
                case Op.IS_POWER_OF_TWO:
                    value = np.isin(a, 2.0 ** np.arange(24))
                case Op.IS_MISSING:
                    value = np.isnan(a)
                case Op.IS_EQUAL | Op.IS_CONSTANT:
                    value = a == (b if feature.op is Op.IS_EQUAL else constant)
                case Op.IF_AT_LEAST | Op.FIRST_PRESENT:
                    value = looked_back(feature, known)
        known[feature.name] = value.astype(np.float32)
    return {feature.name: known[feature.name] for feature in FEATURES}


def test_graph_computes_what_is_declared(
    jobs: pl.DataFrame, categories: tuple[Category, ...], session: ModelSession
) -> None:
    holes = jobs.with_columns(
        pl.when(pl.int_range(pl.len()) % (7 + place) == 0)
        .then(None)
        .otherwise(pl.col(name))
        .alias(name)
        for place, name in enumerate(("time_req", "mem_req", "nodes_req", "partition", "qos"))
    )
    inputs = Assembler(categories).assemble(holes, LogHistory(holes).features(holes))
    assert set(_kinds_of_history(inputs)) == {"own jobs", "many strangers", "few strangers"}
    computed = session.run(inputs)
    for place, (name, expected) in enumerate(by_declaration(inputs, categories).items()):
        np.testing.assert_array_equal(computed[:, place], expected, err_msg=name)


def test_there_are_more_than_44_features_with_one_name_each() -> None:
    names = [feature.name for feature in FEATURES]
    assert len(set(names)) == len(names) > 44


def test_every_feature_says_why_it_should_help() -> None:
    assert all(feature.why and feature.unit for feature in FEATURES)


def _kinds_of_history(inputs: np.ndarray) -> Iterator[str]:
    """What the jobs can refer to: the cases of IF_AT_LEAST and FIRST_PRESENT."""
    of_user, of_strangers = (
        inputs[:, INPUT_COLUMN[name]] for name in ("user_runs", "partition_time_runs")
    )
    for own, others in zip(of_user, of_strangers, strict=True):
        if own > 0:
            yield "own jobs"
        else:
            yield "many strangers" if others >= 10 else "few strangers"


@settings(max_examples=30, deadline=None)
@given(rows=st.lists(st.integers(0, 2999), min_size=1, max_size=40))
def test_a_row_is_the_same_alone_and_among_others(
    rows: list[int],
    jobs: pl.DataFrame,
    categories: tuple[Category, ...],
    session: ModelSession,
    history: np.ndarray,
) -> None:
    assembler = Assembler(categories)
    together = session.run(assembler.assemble(jobs[rows], history[rows]))
    for place, row in enumerate(rows):
        alone = session.run(assembler.assemble(jobs[row], history[row : row + 1]))
        np.testing.assert_array_equal(together[place : place + 1], alone)


def test_history_in_bulk_gives_the_features_of_a_server_that_hears_of_every_end(
    jobs: pl.DataFrame,
    categories: tuple[Category, ...],
    session: ModelSession,
    history: np.ndarray,
) -> None:
    """Training's way and serving's, through assembly and graph, to the last bit."""
    assembler, store = Assembler(categories), EventStore(max_events=10_000)
    some = 600
    bulk = session.run(assembler.assemble(jobs[:some], history[:some]))
    ended, added = jobs.sort("end_time", maintain_order=True), 0
    for row in range(some):
        asked = jobs[row]
        seen = ended["end_time"].search_sorted(asked["submit_time"][0], side="right")
        store.add(ended[added:seen])
        added = seen
        alone = session.run(assembler.assemble(asked, store.features(asked)))
        assert alone.tobytes() == bulk[row].tobytes(), row
    assert added
