"""How many calls are admitted, by how long they wait."""

from hypothesis import given
from hypothesis import strategies as st

from rt_predictor.api.shedding import LEAST_SHARE, LOOKS, Shedding

MOST_S = 0.1
LONG_S, SHORT_S = 0.2, 0.01


def overloaded(looks: int) -> Shedding:
    shedding = Shedding(MOST_S)
    for _ in range(looks):
        shedding.look(LONG_S)
    return shedding


def admitted(shedding: Shedding, calls: int) -> int:
    return sum(shedding.admits() for _ in range(calls))


def test_all_calls_are_admitted_at_first() -> None:
    assert admitted(Shedding(MOST_S), 100) == 100


def test_one_long_wait_is_no_overload() -> None:
    """A worker that was stopped for a while, or a long step of Python, must refuse nobody."""
    assert admitted(overloaded(LOOKS - 1), 100) == 100


def test_waits_that_stay_long_cut_the_share_but_never_to_nothing() -> None:
    assert admitted(overloaded(LOOKS), 1000) < 800
    assert abs(admitted(overloaded(100), 1000) - LEAST_SHARE * 1000) < 2


def test_all_are_admitted_within_a_second_after_the_overload() -> None:
    shedding = overloaded(100)
    for _ in range(25):  # looks of half a second
        shedding.look(SHORT_S)
    assert admitted(shedding, 100) == 100


def test_any_wait_is_put_up_with_where_none_is_set() -> None:
    shedding = Shedding(0.0)
    for _ in range(100):
        shedding.look(1e6)
    assert admitted(shedding, 100) == 100


@given(st.lists(st.floats(0, 10)), st.integers(1, 1000))
def test_as_many_are_admitted_as_the_share_says(waits_s: list[float], calls: int) -> None:
    shedding = Shedding(MOST_S)
    for wait_s in waits_s:
        shedding.look(wait_s)
    assert LEAST_SHARE <= shedding.share <= 1
    assert abs(admitted(shedding, calls) - shedding.share * calls) < 2
    assert shedding.asked == calls
