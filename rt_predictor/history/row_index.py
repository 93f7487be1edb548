"""The index of rows: a row's number by its job's id, and lists of rows by key.

A table from 64-bit ids to small numbers takes two flat arrays, 17 to 35 bytes an id; a dict of
Python takes four to eight times as much. Open addressing with linear probing: an id is searched for
from its home on, up to the first free slot. Ids are hashes, so their upper bits say where home is,
and ids in ascending order have their homes in ascending order: a table of many is laid out at once.

Rows under a key are in an order that the caller says. A key of a single job, as most are, costs no
list: its row stands in the table itself.
"""

from array import array
from bisect import bisect_right
from collections.abc import Callable
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from rt_predictor.history.asked_tokens import Rows
from rt_predictor.history.value_ids import Ids

ABSENT = -1
"""Number of an id that is not in the table."""

_FREE = 0
"""Stands in a slot without an id; no id is 0."""

_FULL = 2 / 3
"""Share of the slots that may be taken."""

_FIRST_BITS = 8

_FEW = 32
"""Ids that are searched for one at a time: some are far from home, however many are asked for."""


class IdTable:
    """Numbers by id. One thread changes it at a time, and nobody reads meanwhile."""

    def __init__(self) -> None:
        self._lay_out(np.empty(0, np.uint64), np.empty(0, np.int32), _FIRST_BITS)

    @classmethod
    def of(cls, ids: Ids, numbers: NDArray[np.int32]) -> "IdTable":
        """Return a table of n distinct ids, none of them 0."""
        table = cls()
        bits = max(_FIRST_BITS, int(len(ids) / _FULL).bit_length())
        table._lay_out(ids, numbers, bits)
        return table

    def __len__(self) -> int:
        return self._taken

    @property
    def size_bytes(self) -> int:
        """Memory that the table takes."""
        return len(self._ids) * (self._ids.itemsize + self._numbers.itemsize)

    def get(self, some_id: int) -> int:
        """Return the number of an id; `ABSENT` where it has none."""
        ids, slot = self._ids, some_id >> self._shift
        while found := ids[slot]:
            if found == some_id:
                return self._numbers[slot]
            slot += 1
        return ABSENT

    def get_all(self, ids: Ids) -> NDArray[np.int32]:
        """Return the numbers of n ids: [n]."""
        numbers = np.full(len(ids), ABSENT, dtype=np.int32)
        kept_ids = np.frombuffer(self._ids, dtype=np.uint64)
        kept_numbers = np.frombuffer(self._numbers, dtype=np.int32)
        left = np.arange(len(ids))
        slots = (ids >> np.uint64(self._shift)).astype(np.intp)
        while len(left) > _FEW:
            found = kept_ids.take(slots)
            taken, same = found != _FREE, found == ids
            there = taken & same  # an id that is 0 is in no table
            numbers[left[there]] = kept_numbers.take(slots[there])
            going_on = taken & ~same
            left, slots, ids = left[going_on], slots[going_on] + 1, ids[going_on]
        for index, some_id in zip(left.tolist(), ids.tolist(), strict=True):
            numbers[index] = self.get(some_id)
        return numbers

    def set(self, some_id: int, number: int) -> None:
        """Gives an id a number, whether it has one or not."""
        ids, slot = self._ids, some_id >> self._shift
        while (found := ids[slot]) and found != some_id:
            slot += 1
        self._numbers[slot] = number
        if found:
            return
        ids[slot] = some_id
        self._taken += 1
        if self._taken > self._most or slot == len(ids) - 1:
            self._lay_out(*self.items(), self._bits + 1)

    def items(self) -> tuple[Ids, NDArray[np.int32]]:
        """Return all ids, ascending, and their numbers."""
        ids = np.frombuffer(self._ids, dtype=np.uint64)
        taken = np.flatnonzero(ids)
        taken = taken[np.argsort(ids[taken], kind="stable")]
        return ids[taken], np.frombuffer(self._numbers, dtype=np.int32)[taken]

    def _lay_out(self, ids: Ids, numbers: NDArray[np.int32], bits: int) -> None:
        shift = 64 - bits
        order = np.argsort(ids, kind="stable")
        homes = (ids[order] >> np.uint64(shift)).astype(np.int64)
        step = np.arange(len(ids))
        slots = np.maximum.accumulate(homes - step) + step
        # Room behind the last home is for those that find theirs taken; the last slot is free.
        size = max(1 << bits, int(slots.max(initial=0)) + 1) + (1 << bits // 2)
        kept_ids = np.zeros(size, dtype=np.uint64)
        kept_numbers = np.zeros(size, dtype=np.int32)
        kept_ids[slots], kept_numbers[slots] = ids[order], numbers[order]
        self._ids, self._numbers = (
            array("Q", kept_ids.tobytes()),
            array("i", kept_numbers.tobytes()),
        )
        self._bits, self._shift = bits, shift
        self._taken, self._most = len(ids), int(_FULL * (1 << bits))


SortKey = tuple[float, ...]
"""By what a row is ordered."""


class Order(NamedTuple):
    """An order of rows."""

    first: "memoryview[float]"
    """[rows] the first number of the sort key of each row, which mostly decides"""
    sort_key: Callable[[int], SortKey]
    """Returns the sort key of a row"""


_NO_ROWS = array("i")


class ListArrays:
    """The same in three arrays: the rows of key i are rows[starts[i] : starts[i + 1]]."""

    def __init__(self, ids: Ids, starts: NDArray[np.int64], rows: Rows) -> None:
        self.ids, self.starts, self.rows = ids, starts, rows

    def renumbered(self, new: Rows) -> "ListArrays":
        """Return the lists of the rows that have a new number, [rows], and not a negative one."""
        rows = new[self.rows]
        kept = rows >= 0
        before = np.concatenate(([0], kept.cumsum()))[self.starts]
        having = np.diff(before) > 0
        starts = np.append(before[:-1][having], before[-1])
        return ListArrays(self.ids[having], starts, rows[kept])


class RowLists:
    """Lists of rows by 64-bit keys. While one thread changes them, nobody reads."""

    def __init__(self) -> None:
        self._table = IdTable()
        self._lists: list[array[int]] = []

    def __len__(self) -> int:
        return len(self._table)

    def rows(self, key: int) -> "array[int]":
        """Return the rows of a key, to be looked at but not to be kept; none of `NO_KEY`."""
        code = self._table.get(key)
        if code >= 0:
            return self._lists[code]
        return _NO_ROWS if code == ABSENT else array("i", (_row_of(code),))

    def codes_of(self, keys: Ids) -> Rows:
        """Return which list each of n keys has: [n]; keys without rows share `ABSENT`."""
        return self._table.get_all(keys)

    def lists_of(self, codes: Rows) -> "list[array[int]]":
        """Return the rows of lists by their codes, to be looked at but not to be kept."""
        lists = self._lists
        return [
            lists[code]
            if code >= 0
            else _NO_ROWS
            if code == ABSENT
            else array("i", (_row_of(code),))
            for code in codes.tolist()
        ]

    def insert(self, key: int, row: int, sort_key: SortKey, order: Order) -> None:
        """Puts a row under a key where it belongs in the order; nearly always it is the last."""
        code = self._table.get(key)
        if code == ABSENT:
            self._table.set(key, _code_of(row))
            return
        if code < 0:
            rows = array("i", (_row_of(code),))
            self._table.set(key, len(self._lists))
            self._lists.append(rows)
        else:
            rows = self._lists[code]
        insert_row(rows, row, sort_key, order)

    def remove(self, key: int, row: int) -> None:
        """Takes a row out from under a key."""
        rows = array("i", self.rows(key))
        rows.remove(row)
        code = self._table.get(key)
        if code < 0:
            code = len(self._lists)
            self._lists.append(rows)
            self._table.set(key, code)
        self._lists[code] = rows

    @property
    def size_bytes(self) -> int:
        """Memory that the lists take, about."""
        return self._table.size_bytes + sum(map(_size_bytes, self._lists))

    def to_arrays(self) -> ListArrays:
        """Return all lists, by key."""
        keys, codes = self._table.items()
        lengths = np.ones(len(keys), dtype=np.int64)
        listed = np.flatnonzero(codes >= 0)
        lists = [self._lists[code] for code in codes[listed].tolist()]
        lengths[listed] = list(map(len, lists))
        starts = np.concatenate(([0], lengths.cumsum()))
        rows = np.empty(starts[-1], dtype=np.int32)
        sole = codes < 0
        rows[starts[:-1][sole]] = _row_of(codes[sole])
        in_list = np.repeat(~sole, lengths)
        rows[in_list] = np.frombuffer(b"".join(lists), dtype=np.int32)
        having = lengths > 0
        return ListArrays(keys[having], np.append(starts[:-1][having], starts[-1]), rows)

    @classmethod
    def of(cls, arrays: ListArrays) -> "RowLists":
        """Return the lists that `to_arrays` gave."""
        lists = cls()
        lengths = np.diff(arrays.starts)
        codes = np.empty(len(lengths), dtype=np.int32)
        sole = lengths == 1
        codes[sole] = _code_of(arrays.rows[arrays.starts[:-1][sole]])
        listed = np.flatnonzero(~sole)
        codes[listed] = np.arange(len(listed))
        for number in listed.tolist():
            first, stop = arrays.starts[number : number + 2].tolist()
            lists._lists.append(array("i", arrays.rows[first:stop].tobytes()))
        lists._table = IdTable.of(arrays.ids, codes)
        return lists


def insert_row(rows: "array[int]", row: int, sort_key: SortKey, order: Order) -> None:
    """Puts a row where it belongs in the order."""
    if not rows or order.first[rows[-1]] < sort_key[0] or order.sort_key(rows[-1]) <= sort_key:
        rows.append(row)
    else:
        rows.insert(bisect_right(rows, sort_key, key=order.sort_key), row)


_R = TypeVar("_R", int, Rows)


def _code_of(row: _R) -> _R:
    """Return how the table says a sole row."""
    return -2 - row


_row_of = _code_of  # it is its own inverse


def _size_bytes(rows: "array[int]") -> int:
    return rows.__sizeof__()
