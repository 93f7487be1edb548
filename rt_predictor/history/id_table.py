"""A table from 64-bit ids to small numbers in two flat arrays: 17 to 35 bytes an id.

A dict of Python takes four to eight times as much. Open addressing with linear probing: an id is
searched for from its home on, up to the first free slot. Ids are hashes, so their upper bits say
where home is, and ids in ascending order have their homes in ascending order: a table of many is
laid out at once.
"""

from array import array

import numpy as np
from numpy.typing import NDArray

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
        for place, some_id in zip(left.tolist(), ids.tolist(), strict=True):
            numbers[place] = self.get(some_id)
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
