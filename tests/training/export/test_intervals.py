import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from rt_predictor.training.export.intervals import (
    EVERYTHING,
    Interval,
    next_below,
    order_keys,
    value_of_key,
)

FLOATS = st.floats(width=32, allow_nan=False)
LARGEST = np.finfo(np.float32).max


def key(value):
    return order_keys(np.array([value], dtype=np.float32))[0]


@given(FLOATS, FLOATS)
def test_keys_are_in_the_order_of_the_floats(low, high):
    assert (key(low) < key(high)) == (low < high)


@given(FLOATS)
def test_neighbouring_floats_have_neighbouring_keys(value):
    below = next_below(np.array([value], dtype=np.float32))[0]
    assert key(value) - key(below) == (0 if value == -np.inf else 1)


@given(FLOATS)
def test_a_key_gives_its_float_back(value):
    assert value_of_key(key(value)) == np.float32(value)


def test_an_interval_offers_a_value_that_lies_in_it():
    assert EVERYTHING.finite_or_nan() == LARGEST
    assert Interval(key(1.0), key(2.0), nan=True).finite_or_nan() == 2.0
    assert np.isnan(Interval(key(2.0), key(2.0), nan=True).finite_or_nan())


def test_only_nan_is_left_where_no_number_is():
    nan_only = EVERYTHING.left_of(key(1.0), missing_left=True).right_of(key(1.0), True)
    assert nan_only.is_empty
    kept = EVERYTHING.right_of(key(1.0), missing_left=False).left_of(key(1.0), True)
    assert not kept.is_empty
    assert np.isnan(kept.finite_or_nan())
