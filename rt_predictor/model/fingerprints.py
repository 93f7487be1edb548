"""Which jobs a model has learned from, told without saying who they are.

A Bloom filter (1970) over the identities of jobs: it holds every job it was made of, and one in a
hundred of all others. Outcomes of jobs that it holds are no evidence of how good the model is.
"""

import base64
import binascii
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Ids = NDArray[np.uint64]

_BITS_A_JOB: Final = 10
_HASHES: Final = 7
"""Places of a job in the filter: with 10 bits a job, 0.8 % of all others are held too."""

_MIX: Final = ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB), (31, 1))
"""SplitMix64's finalizer: shift and factor (Steele, Lea, Flood 2014)."""

_PIECE: Final = 1 << 18
"""Jobs that are hashed at a time: bounds memory."""


@dataclass(frozen=True, eq=False)
class Fingerprints:
    """The jobs that a model has learned from.

    Attributes:
        bits: uint8 [m], eight positions of the filter each; empty where it holds nothing.
        jobs: how many it was made of.
    """

    bits: NDArray[np.uint8]
    jobs: int

    @classmethod
    def of(cls, idents: Ids) -> "Fingerprints":
        """Return those of n jobs, by the [n] hashes that `JobColumns.ident` gives them."""
        bits = np.zeros(-(-len(idents) * _BITS_A_JOB // 8), dtype=np.uint8)
        for first in range(0, len(idents), _PIECE):
            positions = _positions(idents[first : first + _PIECE], 8 * len(bits)).ravel()
            np.bitwise_or.at(bits, positions >> np.uint64(3), _bit(positions))
        return cls(bits, len(idents))

    @classmethod
    def from_text(cls, text: str, jobs: int) -> "Fingerprints":
        """Read what `text` gave. Raises ValueError for a text that is damaged."""
        try:
            data = base64.b64decode(text, validate=True)
        except binascii.Error as error:
            raise ValueError(f"fingerprints are no base64: {error}") from None
        return cls(np.frombuffer(data, dtype=np.uint8), jobs)

    def text(self) -> str:
        """Return the filter as base64."""
        return base64.b64encode(self.bits.tobytes()).decode()

    def hold(self, idents: Ids) -> NDArray[np.bool_]:
        """Return which of n jobs the model has learned from: [n]."""
        held = np.zeros(len(idents), dtype=np.bool_)
        if not len(self.bits):
            return held
        for first in range(0, len(idents), _PIECE):
            piece = slice(first, first + _PIECE)
            positions = _positions(idents[piece], 8 * len(self.bits))
            held[piece] = (self.bits[positions >> np.uint64(3)] & _bit(positions) > 0).all(axis=1)
        return held


NOTHING_LEARNED: Final = Fingerprints(np.zeros(0, dtype=np.uint8), 0)


def _positions(idents: Ids, positions: int) -> Ids:
    """Return where the jobs stand in a filter: [n, _HASHES] (Kirsch, Mitzenmacher 2006)."""
    mixed = idents.copy()
    for shift, factor in _MIX:
        mixed ^= mixed >> np.uint64(shift)
        mixed *= np.uint64(factor)
    low, high = mixed & np.uint64(0xFFFFFFFF), mixed >> np.uint64(32)
    steps = np.arange(_HASHES, dtype=np.uint64)
    return (low[:, None] + steps * (high | np.uint64(1))[:, None]) % np.uint64(positions)


def _bit(positions: Ids) -> NDArray[np.uint8]:
    """Return the bit of each position in its byte."""
    return np.left_shift(np.uint8(1), (positions & np.uint64(7)).astype(np.uint8))
