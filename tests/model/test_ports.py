"""One matrix in, one out: each kind of numbers has its place in them."""

import numpy as np
import pytest

from rt_predictor.features.declared import HISTORY_INPUTS, INPUTS
from rt_predictor.history.experts import SCOPES
from rt_predictor.model.bounds import LEVELS, QUANTILES, TAILS
from rt_predictor.model.ports import GraphInputs, GraphOutputs, input_sizes, output_sizes


@pytest.mark.parametrize("experts", [0, 3])
@pytest.mark.parametrize("jobs", [0, 1, 4])
def test_what_is_put_in_is_found_again(jobs: int, experts: int) -> None:
    rng = np.random.default_rng(1)
    inputs, losses, offsets = (
        rng.random((jobs, *shape), dtype=np.float32)
        for shape in ((len(INPUTS),), (SCOPES, experts + 1), (TAILS,))
    )
    joined = GraphInputs.of(inputs, losses, offsets)
    filled = GraphInputs.room(jobs, experts)
    filled.inputs[:], filled.expert_losses[:], filled.offsets[:] = inputs, losses, offsets
    for given in (joined, filled):
        assert given.matrix.shape == (jobs, sum(input_sizes(experts).values()))
        np.testing.assert_array_equal(given.inputs, inputs)
        assert given.history.shape == (jobs, len(HISTORY_INPUTS))
        np.testing.assert_array_equal(given.expert_losses, losses)
        np.testing.assert_array_equal(given.offsets, offsets)
    assert len(joined.rows(slice(1, 3))) == len(range(jobs)[1:3])


def test_what_comes_out_is_all_that_a_graph_says_each_number_once() -> None:
    sizes = output_sizes(5)
    assert list(sizes.values()) == [1, len(LEVELS), len(LEVELS), 1, len(QUANTILES), 5]
    matrix = np.arange(2.0 * sum(sizes.values())).reshape(-1, 2)
    said = GraphOutputs(matrix)
    parts = [getattr(said, name).reshape(2, size) for name, size in sizes.items()]
    np.testing.assert_array_equal(np.hstack(parts), matrix.T)
    np.testing.assert_array_equal(GraphOutputs.joined([said, said]).experts[2:], said.experts)
