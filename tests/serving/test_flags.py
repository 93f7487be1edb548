"""Flags of one job are those that it gets among many."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from rt_predictor.features.categories import Category
from rt_predictor.features.declared import INPUTS, REQUEST_INPUTS, STATISTICS, UNSEEN_CODE
from rt_predictor.model.documents import RangeDocument
from rt_predictor.serving.flags import flags_of
from rt_predictor.serving.predictions import Flag

JOBS = 40
NAMES = [item.name for item in REQUEST_INPUTS]


def category(field: str, *names: str) -> Category:
    return Category(field, names, np.zeros((2 + len(names), len(STATISTICS)), np.float32), "salt")


FLAGS = flags_of(
    {name: RangeDocument(minimum=1.0, maximum=8.0) for name in ("processors_req", "time_req")},
    [category("partition", "short"), category("qos"), category("account", "physics")],
)
values = st.sampled_from([float("nan"), -1.0, 0.0, UNSEEN_CODE, 1.0, 1.5, 8.0, 9.0, 1e9])


@given(
    arrays(np.float32, (JOBS, len(INPUTS)), elements=values, fill=values),
    arrays(np.bool_, JOBS),
)
def test_a_job_gets_the_same_flags_alone_and_among_many(
    inputs: np.ndarray, knows_user: np.ndarray
) -> None:
    together = FLAGS.raised(inputs, knows_user)
    for size in (1, 3):
        parts = [slice(at, at + size) for at in range(0, JOBS, size)]
        apart = [FLAGS.raised(inputs[part], knows_user[part]) for part in parts]
        assert {part.dtype for part in apart} == {together.dtype}
        np.testing.assert_array_equal(np.concatenate(apart), together)


def raised(**asked: float) -> Flag:
    row = np.full((1, len(INPUTS)), 5.0, np.float32)
    for name, value in asked.items():
        row[0, NAMES.index(name)] = value
    return Flag(int(FLAGS.raised(row, np.ones(1, np.bool_))[0]))


def test_each_flag_is_raised_by_what_it_is_named_after() -> None:
    assert raised(processors_req=8.0) == Flag(0)
    assert raised(processors_req=9.0) == Flag.OUT_OF_TRAINING_RANGE
    assert raised(nodes_req=1e9) == Flag(0), "training saw no numbers of nodes"
    assert raised(time_req=float("nan")) == Flag.NO_TIME_LIMIT
    assert raised(partition_code=UNSEEN_CODE) == Flag.UNSEEN_PARTITION
    assert raised(qos_code=UNSEEN_CODE) == Flag(0), "training saw no QoS at all"
