import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from rt_predictor.model.level_maps import CELLS, KNOTS, LEVEL_STEP, LevelMaps
from tests.model.distributions import random_maps

some_levels = arrays(np.float64, (7, 50), elements=st.floats(0, 1))


def _images(maps: LevelMaps, levels: np.ndarray) -> np.ndarray:
    images = levels.copy()
    maps.apply(images)
    return images


def test_knots_lie_between_equal_parts() -> None:
    assert KNOTS[0] == 0
    assert KNOTS[-1] == 1
    assert (np.diff(KNOTS) > 0).all()
    assert np.allclose(KNOTS * CELLS, np.rint(KNOTS * CELLS), atol=1e-12)


@given(some_levels, st.integers(0, 2**32))
def test_images_lie_on_the_lines_between_knots(levels: np.ndarray, seed: int) -> None:
    maps = random_maps(np.random.default_rng(seed), 7)
    expected = [
        np.interp(row, KNOTS, maps.values[which])
        for row, which in zip(levels, maps.which, strict=True)
    ]
    assert _images(maps, levels) == pytest.approx(np.array(expected), abs=1e-11)


@given(some_levels, st.integers(0, 2**32))
def test_images_never_fall(levels: np.ndarray, seed: int) -> None:
    around = np.concatenate([levels[0], KNOTS, np.nextafter(KNOTS, 2), np.nextafter(KNOTS, -1)])
    ascending = np.tile(np.sort(np.clip(around, 0, 1)), (7, 1))
    images = _images(random_maps(np.random.default_rng(seed), 7), ascending)
    assert (np.diff(images, axis=1) >= 0).all()
    assert (images[:, 0] == 0).all()
    assert (images[:, -1] == 1).all()
    assert (images % LEVEL_STEP == 0).all()


@given(some_levels, st.integers(0, 2**32))
def test_an_image_does_not_depend_on_the_other_rows(levels: np.ndarray, seed: int) -> None:
    maps = random_maps(np.random.default_rng(seed), 7)
    images = _images(maps, levels)
    for row in range(7):
        one = slice(row, row + 1)
        alone = _images(LevelMaps.same(maps.values[maps.which[row]], 1), levels[one])
        assert alone.tobytes() == images[one].tobytes()
        part = levels[one].copy()
        maps.apply(part, one)
        assert part.tobytes() == images[one].tobytes()


def test_a_map_that_names_the_knots_themselves_changes_nothing() -> None:
    levels = np.random.default_rng(0).random((3, 200))
    images = _images(LevelMaps.same(KNOTS.copy(), 3), levels)
    assert np.abs(images - levels).max() <= 2 * LEVEL_STEP


@pytest.mark.parametrize(
    "values", [KNOTS[::-1], KNOTS * 0.9, KNOTS + 0.1, np.full(len(KNOTS), np.nan), KNOTS[1:]]
)
def test_what_is_no_monotone_map_is_refused(values: np.ndarray) -> None:
    with pytest.raises(ValueError, match="map"):
        LevelMaps.same(values, 1)
