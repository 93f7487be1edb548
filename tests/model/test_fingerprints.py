import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rt_predictor.model.fingerprints import NOTHING_LEARNED, Fingerprints

idents = st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=50)


@given(idents)
def test_every_job_that_was_learned_from_is_held(drawn: list[int]) -> None:
    learned = np.array(drawn, dtype=np.uint64)
    found = Fingerprints.of(learned)
    assert found.hold(learned).all()
    again = Fingerprints.from_text(found.text(), found.jobs)
    assert again.hold(learned).all()
    assert again.jobs == len(drawn)


def test_one_in_a_hundred_of_other_jobs_is_held() -> None:
    # Numbers one after the other: idents need not look random.
    found = Fingerprints.of(np.arange(20_000, dtype=np.uint64))
    others = np.arange(20_000, 120_000, dtype=np.uint64)
    assert found.hold(others).mean() < 0.015


def test_a_filter_of_nothing_holds_nothing() -> None:
    some = np.arange(10, dtype=np.uint64)
    assert not NOTHING_LEARNED.hold(some).any()
    assert not Fingerprints.of(some[:0]).hold(some).any()


def test_a_damaged_text_is_refused() -> None:
    with pytest.raises(ValueError, match="no base64"):
        Fingerprints.from_text("?", 1)
