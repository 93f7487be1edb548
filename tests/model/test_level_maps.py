import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from rt_predictor.model.level_maps import CELLS, KNOTS, LEVEL_STEP, LevelMaps
from tests.model.distributions import MAPS, random_maps

EACH = np.arange(MAPS)

some_levels = arrays(np.float64, (MAPS, 50), elements=st.floats(0, 1))
some_maps = st.builds(random_maps, st.builds(np.random.default_rng, st.integers(0, 2**32)))


def test_knots_lie_between_equal_parts() -> None:
    assert KNOTS[0] == 0
    assert KNOTS[-1] == 1
    assert (np.diff(KNOTS) > 0).all()
    assert np.allclose(KNOTS * CELLS, np.rint(KNOTS * CELLS), atol=1e-12)


@given(some_levels, some_maps)
def test_images_lie_on_the_lines_between_knots(levels: np.ndarray, maps: LevelMaps) -> None:
    expected = [
        np.interp(row, KNOTS, values) for row, values in zip(levels, maps.values, strict=True)
    ]
    assert maps.images(levels, EACH) == pytest.approx(np.array(expected), abs=1e-11)


@given(some_levels, some_maps)
def test_images_never_fall(levels: np.ndarray, maps: LevelMaps) -> None:
    around = np.concatenate([levels[0], KNOTS, np.nextafter(KNOTS, 2), np.nextafter(KNOTS, -1)])
    ascending = np.tile(np.sort(np.clip(around, 0, 1)), (MAPS, 1))
    images = maps.images(ascending, EACH)
    assert (np.diff(images, axis=1) >= 0).all()
    assert (images[:, 0] == 0).all()
    assert (images[:, -1] == 1).all()
    assert (images % LEVEL_STEP == 0).all()


@given(some_levels, some_maps)
def test_an_image_does_not_depend_on_other_jobs_and_maps(
    levels: np.ndarray, maps: LevelMaps
) -> None:
    images = maps.images(levels, EACH)
    for row in EACH:
        one = slice(row, row + 1)
        alone = LevelMaps(maps.values[one]).images(levels[one], np.zeros(1, dtype=np.intp))
        assert alone.tobytes() == images[one].tobytes()


@given(some_levels, some_maps)
def test_maps_that_are_not_expanded_give_the_same_images(
    levels: np.ndarray, maps: LevelMaps
) -> None:
    joined = LevelMaps.joined([LevelMaps(row[np.newaxis], expanded=False) for row in maps.values])
    assert not joined.expanded
    assert joined.images(levels, EACH).tobytes() == maps.images(levels, EACH).tobytes()


def test_a_map_that_names_the_knots_themselves_changes_nothing() -> None:
    levels = np.random.default_rng(0).random((3, 200))
    images = LevelMaps(KNOTS[np.newaxis]).images(levels, np.zeros(3, dtype=np.intp))
    assert np.abs(images - levels).max() <= 2 * LEVEL_STEP


@pytest.mark.parametrize(
    "values", [KNOTS[::-1], KNOTS * 0.9, KNOTS + 0.1, np.full(len(KNOTS), np.nan), KNOTS[1:]]
)
def test_what_is_no_monotone_map_is_refused(values: np.ndarray) -> None:
    with pytest.raises(ValueError, match="map"):
        LevelMaps(values[np.newaxis])
