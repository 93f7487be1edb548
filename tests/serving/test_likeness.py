"""The order in which a large batch is scored."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from rt_predictor.features.declared import INPUTS
from rt_predictor.serving.likeness import by_likeness

COLUMN = {item.name: place for place, item in enumerate(INPUTS)}
TELLING = [COLUMN[n] for n in ("user_median5", "partition_code", "processors_req", "time_req")]

numbers = st.one_of(st.just(float("nan")), st.floats(0, 2**30, width=32))
rows = st.integers(0, 40).flatmap(lambda n: arrays(np.float32, (n, len(TELLING)), elements=numbers))


def inputs_of(telling: np.ndarray) -> np.ndarray:
    inputs = np.zeros((len(telling), len(INPUTS)), dtype=np.float32)
    inputs[:, TELLING] = telling
    return inputs


@settings(max_examples=50, deadline=None)
@given(telling=rows)
def test_every_row_has_one_place(telling: np.ndarray) -> None:
    assert sorted(by_likeness(inputs_of(telling)).tolist()) == list(range(len(telling)))


def test_jobs_of_users_whose_jobs_take_as_long_follow_one_another() -> None:
    random = np.random.default_rng(1)
    telling = random.choice([60.0, 3600.0, 86400.0, np.nan], (500, len(TELLING)))
    ordered = np.nan_to_num(telling[by_likeness(inputs_of(telling))], nan=-1)
    for place in range(len(TELLING)):
        # Where all that is more telling stays the same, a value that is left does not come back.
        groups = ordered[:, : place + 1]
        changes = (groups[1:] != groups[:-1]).any(axis=1)
        assert changes.sum() == len(np.unique(groups, axis=0)) - 1
