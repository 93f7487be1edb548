"""What training says jobs were like."""

import numpy as np

from rt_predictor.features.declared import INPUTS
from rt_predictor.model.learned import reference_document, reference_from
from rt_predictor.model.reference import BINS, RUNTIME_TO_PREDICTION, WATCHED_INPUTS
from rt_predictor.training.reference import fit_reference

PLACE = {item.name: place for place, item in enumerate(INPUTS)}


def test_each_column_is_cut_at_its_deciles() -> None:
    inputs = np.full((1000, len(INPUTS)), np.nan, dtype=np.float32)
    inputs[:, PLACE["time_req"]] = np.arange(1, 1001)
    inputs[:500, PLACE["mem_req"]] = 8.0
    inputs[:, PLACE["partition_code"]] = 3.0
    columns = {
        column.name: column for column in fit_reference(inputs, np.linspace(0.5, 2, 99)).columns
    }
    assert set(columns) == {*WATCHED_INPUTS, RUNTIME_TO_PREDICTION}
    assert columns["time_req"].edges.tolist() == [100.0 * n for n in range(1, 10)]
    assert columns["time_req"].shares.tolist() == [0.1] * 10 + [0.0] * (BINS - 10)
    assert columns["mem_req"].edges.tolist() == [8.0]
    assert columns["mem_req"].shares[[0, -1]].tolist() == [0.5, 0.5]
    assert columns["nodes_req"].edges.tolist() == []
    assert columns["partition_code"].edges.tolist() == [0.0, 1.0, 3.0]


def test_what_is_written_is_read() -> None:
    rng = np.random.default_rng(1)
    inputs = rng.lognormal(3, 1, (500, len(INPUTS))).astype(np.float32)
    ratios = rng.lognormal(0, 1, 500)
    reference = fit_reference(inputs, ratios)
    read = reference_from(reference_document(reference))
    np.testing.assert_array_equal(read.bins(inputs, ratios), reference.bins(inputs, ratios))
    for column, again in zip(reference.columns, read.columns, strict=True):
        np.testing.assert_array_equal(column.shares, again.shares)
