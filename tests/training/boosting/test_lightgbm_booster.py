"""Thresholds of LightGBM are made exact in float32."""

from typing import Any

import lightgbm
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rt_predictor.errors import TrainingError
from rt_predictor.training.boosting.fit import FittedBoosters
from rt_predictor.training.boosting.lightgbm_booster import (
    ZERO_BAND,
    LightGBMBooster,
    rounded_down,
    with_float32_thresholds,
)
from rt_predictor.training.boosting.probes import threshold_rows
from tests.training.boosting.fitted_boosters import samples

LARGEST = float(np.finfo(np.float32).max)


def as_lightgbm_reads(value: float) -> float:
    return 0.0 if abs(value) <= ZERO_BAND else value


@given(
    st.floats(allow_nan=False, allow_infinity=False),
    st.floats(width=32, allow_nan=False, allow_infinity=False),
)
def test_every_float32_lies_on_the_same_side_of_a_threshold_and_of_it_rounded(
    threshold: float, value: float
) -> None:
    (rounded,) = rounded_down(np.array([threshold]))
    assert (value <= rounded) == (as_lightgbm_reads(value) <= threshold)


@given(st.floats(-LARGEST, LARGEST))
def test_neighbours_of_a_threshold_lie_on_the_same_side_too(threshold: float) -> None:
    (rounded,) = rounded_down(np.array([threshold]))
    for to in (-LARGEST, LARGEST):
        value = float(np.nextafter(rounded, np.float32(to)))
        assert (value <= rounded) == (as_lightgbm_reads(value) <= threshold)


def test_the_rounded_booster_predicts_the_same_on_its_thresholds(
    fitted_boosters: FittedBoosters,
) -> None:
    booster: Any = fitted_boosters.boosters[1]
    rows = threshold_rows(booster.thresholds(), samples(holes=0.1).features)
    rounded = LightGBMBooster(with_float32_thresholds(booster.native), {})
    np.testing.assert_array_equal(rounded.predict(rows), booster.predict(rows))
    assert {np.float32(threshold.value) for threshold in rounded.thresholds()} == {
        threshold.value for threshold in rounded.thresholds()
    }


@pytest.mark.parametrize(
    ("parameters", "categories", "message"),
    [
        ({"zero_as_missing": True}, [], "zero_as_missing"),
        ({"max_cat_to_onehot": 1, "min_data_per_group": 1}, [1], "categories"),
    ],
)
def test_splits_that_have_no_threshold_are_refused(
    parameters: dict[str, object], categories: list[int], message: str
) -> None:
    learned = samples()
    features = np.abs(learned.features).round()
    given = {"objective": "regression_l1", "num_threads": 1, "verbosity": -1, **parameters}
    data = lightgbm.Dataset(
        features, features[:, 1] % 3, categorical_feature=categories, params=given
    )
    with pytest.raises(TrainingError, match=message):
        LightGBMBooster(lightgbm.train(given, data, 3), {}).to_onnx()
