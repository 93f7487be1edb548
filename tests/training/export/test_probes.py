import numpy as np

from rt_predictor.training.export.native import native
from rt_predictor.training.export.probes import missing_probes, split_probes, threshold_probes
from rt_predictor.training.export.trees import LEAF

LARGEST = np.finfo(np.float32).max


def rows_of(chunks):
    return np.concatenate([chunk.rows for chunk in chunks])


def reached(trees, rows):
    """For each split, the indices of the rows that get there; tree by tree, all rows at once."""
    found = {}
    for root in trees.roots:
        pending = [(int(root), np.arange(len(rows)))]
        while pending:
            node, here = pending.pop()
            if trees.feature[node] == LEAF:
                continue
            found[node] = here
            value = rows[here, trees.feature[node]]
            with np.errstate(invalid="ignore"):
                left = (value <= trees.threshold[node]) | (
                    np.isnan(value) & trees.missing_left[node]
                )
            pending += [(trees.left[node], here[left]), (trees.right[node], here[~left])]
    return found


def test_every_split_is_reached_on_both_sides_of_its_threshold(trained):
    for trees in [ensemble for head in trained.heads for ensemble in head.ensembles]:
        rows = rows_of(split_probes(trees, trained.rows[:8], 100))
        by_split = reached(trees, rows)
        assert len(by_split) == np.sum(trees.feature != LEAF)
        for node, here in by_split.items():
            tried = set(rows[here, trees.feature[node]].tolist())
            threshold = trees.threshold[node]
            assert {float(threshold), float(np.nextafter(threshold, np.float32(np.inf)))} <= tried


def test_every_threshold_is_tried_with_its_neighbours(trained):
    for booster in trained.boosters:
        trees = native(booster).trees
        chunks = list(threshold_probes(trees, trained.rows[:8], 100))
        rows = rows_of(chunks)
        feature = np.concatenate([chunk.feature for chunk in chunks])
        for column, threshold in zip(trees.feature, trees.threshold, strict=True):
            if column == LEAF:
                continue
            nearest = np.float32(threshold)
            tried = set(rows[feature == column, column].tolist())
            with np.errstate(over="ignore"):
                near = np.nextafter(nearest, np.float32([-np.inf, nearest, np.inf]))
            assert set(near[np.isfinite(near)].tolist()) <= tried


def test_a_probe_differs_from_the_data_in_its_column_alone(trained):
    base = trained.rows[:1]
    for chunk in threshold_probes(native(trained.boosters[0]).trees, base, 100):
        same = (chunk.rows == base) | (np.isnan(chunk.rows) & np.isnan(base))
        same[np.arange(len(chunk.rows)), chunk.feature] = True
        assert same.all()


def test_the_ends_of_the_band_read_as_zero_are_tried(ensemble):
    band = np.float32(1e-35)
    base = np.ones((1, 3), dtype=np.float32)
    rows = rows_of(threshold_probes(ensemble((1, 4.0, 1.0, 2.0), band=band), base, 100))
    outside = np.nextafter(band, np.float32(1.0))
    assert {float(band), float(-band), float(outside), float(-outside)} <= set(rows[:, 1].tolist())


def test_no_probe_is_infinite(ensemble):
    base = np.ones((1, 3), dtype=np.float32)
    trees = ensemble((1, 1e300, (1, -1e300, 1.0, 2.0), 3.0))
    rows = rows_of(threshold_probes(trees, base, 100))
    assert set(np.abs(rows[:, 1]).tolist()) >= {float(LARGEST)}
    assert np.isfinite(rows).all()


def test_a_model_without_splits_needs_no_probes(ensemble):
    base = np.ones((1, 3), dtype=np.float32)
    assert list(threshold_probes(ensemble(0.5), base, 100)) == []


def test_nan_is_tried_in_every_column_and_in_all_at_once(trained):
    rows = rows_of(missing_probes(trained.rows[:4], 7))
    assert np.isnan(rows).all(axis=1).sum() == 1
    assert np.isnan(rows[:-1]).reshape(5, 4, 5)[np.arange(5), :, np.arange(5)].all()


def test_probes_come_in_chunks(trained):
    chunks = list(missing_probes(trained.rows[:4], 6))
    assert [len(chunk.rows) for chunk in chunks] == [6, 6, 6, 3]
