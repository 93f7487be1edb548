"""Small models of the three libraries, trained once."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import catboost
import lightgbm
import numpy as np
import pytest
import xgboost

from rt_predictor.training.export.fuse import Head
from rt_predictor.training.export.native import native
from rt_predictor.training.export.normalise import normalise
from rt_predictor.training.export.trees import LEAF, Comparison, Tree, TreeEnsemble, stack


@dataclass(frozen=True)
class Trained:
    """One table, and a booster of each library that has learned it; heads to go with them."""

    rows: np.ndarray
    target: np.ndarray
    columns: tuple[str, ...]
    boosters: tuple[Any, Any, Any]
    heads: tuple[Head, ...]

    @property
    def by_head(self) -> list[list[Any]]:
        """The boosters as `verify` wants them."""
        xgb, lgb, cat = self.boosters
        return [[xgb, lgb], [cat]]


@pytest.fixture(scope="session")
def trained() -> Trained:
    random = np.random.default_rng(7)
    rows = random.normal(size=(400, 5)).astype(np.float32)
    rows[:, 1] = random.integers(0, 10, size=400)
    rows[random.random(rows.shape) < 0.1] = np.nan
    filled = np.nan_to_num(rows)
    target = 1000 * np.exp(filled[:, 0]) + 50 * filled[:, 1] + 100 * random.normal(size=400)
    boosters = (
        xgboost.train(
            {"objective": "reg:squarederror", "max_depth": 4, "nthread": 1},
            xgboost.DMatrix(rows, target),
            8,
        ),
        lightgbm.train(
            {"num_leaves": 12, "min_data_in_leaf": 5, "num_threads": 1, "verbose": -1},
            lightgbm.Dataset(rows, target),
            8,
        ),
        catboost.CatBoostRegressor(
            loss_function="MultiQuantile:alpha=0.1,0.5,0.9",
            depth=4,
            iterations=8,
            learning_rate=0.3,
            thread_count=1,
            verbose=0,
            allow_writing_files=False,
        ).fit(rows, target),
    )
    xgb, lgb, cat = (normalise(native(booster).trees) for booster in boosters)
    heads = (
        Head("point", (xgb, lgb), ("point_xgboost", "point_lightgbm")),
        Head("interval", (cat,), ("lower", "median", "upper")),
    )
    return Trained(rows, target, ("cpus", "nodes", "mem", "time", "hour"), boosters, heads)


@pytest.fixture(scope="session")
def tree() -> Callable[..., Tree]:
    """Makes a tree from nested tuples: (feature, threshold, left, right, options...) or a value.

    Options are "missing left" and "zero is missing".
    """

    def make(nested: Any, output: int = 0) -> Tree:
        nodes: list[list[Any]] = []

        def add(item: Any) -> int:
            number = len(nodes)
            if isinstance(item, tuple):
                feature, threshold, left, right, *options = item
                nodes.append([feature, threshold, 0, 0, *options])
                nodes[number][2] = add(left)
                nodes[number][3] = add(right)
            else:
                nodes.append([LEAF, item, LEAF, LEAF])
            return number

        add(nested)
        split = np.array([node[0] != LEAF for node in nodes])
        numbers = np.array([node[1] for node in nodes], dtype=np.float64)
        return Tree(
            feature=np.array([node[0] for node in nodes], dtype=np.int32),
            threshold=np.where(split, numbers, 0.0),
            left=np.array([node[2] for node in nodes], dtype=np.int32),
            right=np.array([node[3] for node in nodes], dtype=np.int32),
            missing_left=np.array(["missing left" in node[4:] for node in nodes]),
            zero_is_missing=np.array(["zero is missing" in node[4:] for node in nodes]),
            values=np.where(split, 0.0, numbers)[:, np.newaxis],
            first_output=output,
        )

    return make


@pytest.fixture(scope="session")
def ensemble(tree: Callable[..., Tree]) -> Callable[..., TreeEnsemble]:
    """Makes an ensemble of one output from nested tuples, one for each tree."""

    def make(
        *trees: Any, comparison: Comparison = Comparison.LESS_EQUAL, band: float = 0.0
    ) -> TreeEnsemble:
        return stack(
            [tree(nested) for nested in trees],
            library="lightgbm",
            n_features=3,
            base=np.array([10.0]),
            comparison=comparison,
            zero_band=np.float32(band),
        )

    return make
