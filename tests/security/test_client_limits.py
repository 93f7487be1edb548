"""What one client may ask: calls a second, calls at once."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rt_predictor.errors import ClientLimitError
from rt_predictor.security.client_limits import ClientLimits


def _limits(**settings: float) -> ClientLimits:
    known = {"calls_per_s": 0.0, "burst": 1, "max_calls": 0, "max_clients": 100, **settings}
    return ClientLimits(**known)  # type: ignore[arg-type]


def _calls(limits: ClientLimits, key: str, moments: list[float]) -> list[bool]:
    """Which of calls at these moments are taken; none takes any time."""
    taken = []
    for now_s in moments:
        try:
            limits.enter(key, now_s)
        except ClientLimitError:
            taken.append(False)
        else:
            limits.leave(key)
            taken.append(True)
    return taken


def test_after_a_burst_calls_come_at_the_rate() -> None:
    limits = _limits(calls_per_s=2.0, burst=3)
    assert _calls(limits, "a", [0.0] * 5) == [True] * 3 + [False] * 2
    assert _calls(limits, "a", [0.4, 0.5, 0.6, 1.0, 1.0]) == [False, True, False, True, False]
    assert _calls(limits, "a", [1000.0] * 5) == [True] * 3 + [False] * 2


def test_who_is_turned_away_is_told_when_there_is_room_and_then_there_is() -> None:
    limits = _limits(calls_per_s=4.0)
    _calls(limits, "a", [0.0])
    with pytest.raises(ClientLimitError, match="more than 4 calls a second") as raised:
        limits.enter("a", 0.1)
    assert raised.value.retry_after_s == pytest.approx(0.15)
    assert _calls(limits, "a", [0.1 + raised.value.retry_after_s + 1e-9]) == [True]


def test_clients_do_not_share() -> None:
    limits = _limits(calls_per_s=1.0)
    assert _calls(limits, "a", [0.0, 0.0]) == [True, False]
    assert _calls(limits, "b", [0.0, 0.0]) == [True, False]


def test_calls_at_once_are_counted_until_they_end() -> None:
    limits = _limits(max_calls=2)
    limits.enter("a", 0.0)
    limits.enter("a", 0.0)
    with pytest.raises(ClientLimitError, match="2 calls in progress"):
        limits.enter("a", 9e9)
    limits.enter("b", 0.0)
    limits.leave("a")
    limits.enter("a", 0.0)


@given(
    st.lists(st.floats(0, 0.5), max_size=80),
    st.floats(0.5, 50),
    st.integers(1, 10),
)
def test_no_span_of_time_has_more_calls_than_burst_and_rate_allow(
    gaps: list[float], calls_per_s: float, burst: int
) -> None:
    limits = _limits(calls_per_s=calls_per_s, burst=burst)
    now_s, moments = 0.0, []
    for gap in gaps:
        now_s += gap
        moments.append(now_s)
    taken = [at for at, ok in zip(moments, _calls(limits, "a", moments), strict=True) if ok]
    for first in range(len(taken)):
        for last in range(first, len(taken)):
            allowed = burst + (taken[last] - taken[first]) * calls_per_s
            assert last - first + 1 <= allowed + 1e-6


@given(st.lists(st.tuples(st.integers(0, 30), st.booleans()), max_size=200))
def test_the_table_never_grows_beyond_its_bound_and_those_who_were_busy(
    steps: list[tuple[int, bool]],
) -> None:
    limits = _limits(max_clients=5)
    busy: list[str] = []
    busiest = 0
    for number, ends in steps:
        if ends and busy:
            limits.leave(busy.pop(0))
        else:
            limits.enter(str(number), 0.0)
            busy.append(str(number))
        busiest = max(busiest, len(set(busy)))
        assert len(limits) <= 5 + busiest
    for key in busy:
        limits.leave(key)
