import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from rt_predictor.history.row_index import ABSENT, IdTable

# Ids that lie close together as well, so that many have one home.
ids = st.integers(1, 2**64 - 1) | st.integers(1, 20) | st.integers(2**64 - 20, 2**64 - 1)
steps = st.lists(st.tuples(ids, st.integers(-(2**31), 2**31 - 1)), max_size=300)


@settings(max_examples=200, deadline=None)
@given(steps, st.integers(0, 300))
def test_a_table_says_what_a_dict_says(drawn: list[tuple[int, int]], built: int) -> None:
    expected = dict(drawn[:built])
    table = IdTable.of(np.array([*expected], np.uint64), np.array([*expected.values()], np.int32))
    for some_id, number in drawn[built:]:
        table.set(some_id, number)
        expected[some_id] = number
    assert len(table) == len(expected)
    assert {some_id: table.get(some_id) for some_id in expected} == expected
    found = table.get_all(np.array([*expected], np.uint64))
    assert found.tolist() == [*expected.values()]
    kept, numbers = table.items()
    assert dict(zip(kept.tolist(), numbers.tolist(), strict=True)) == expected
    assert kept.tolist() == sorted(expected)


@given(st.lists(ids, max_size=20), st.lists(ids, max_size=20))
def test_an_id_that_was_never_given_is_absent(given_ids: list[int], asked: list[int]) -> None:
    table = IdTable()
    for some_id in given_ids:
        table.set(some_id, 7)
    strangers = [some_id for some_id in asked if some_id not in given_ids]
    assert all(table.get(some_id) == ABSENT for some_id in strangers)
    assert (table.get_all(np.array(strangers, np.uint64)) == ABSENT).all()


def test_many_ids_take_few_bytes() -> None:
    ids = np.random.default_rng(0).integers(1, 2**63, 100_000, dtype=np.uint64) << np.uint64(1)
    table = IdTable()
    for number, some_id in enumerate(ids.tolist()):
        table.set(some_id, number)
    assert table.size_bytes / len(ids) < 36
    assert (table.get_all(ids) == np.arange(len(ids))).all()


def test_no_id_is_in_no_table() -> None:
    table = IdTable.of(np.array([1 << 63], np.uint64), np.array([5], np.int32))
    assert (table.get_all(np.zeros(100, np.uint64)) == ABSENT).all()
    assert table.get(0) == ABSENT
