"""The snapshot file: named arrays and a header, made from one log for one purpose.

It only saves time: whatever is wrong with it, it is passed over, and everything is folded again
from the log. So nothing in it is believed before its checksums are right, and what was made from
another log, or for another purpose (`Origin`), is not used. A file is written beside its place and
renamed: there is the old one or the new one, never half of one.
"""

import hashlib
import json
import math
import os
import re
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from io import BufferedReader, BufferedWriter
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from rt_predictor.errors import HistoryError

_MAGIC = b"rt-predictor history snapshot, format "
_FORMAT = b"0005"
_DIGEST_BYTES = hashlib.sha256().digest_size
_LENGTH_BYTES = 8
_MAX_HEADER_BYTES = 1 << 16
_ARRAY_TYPE = re.compile(r"[<|][biuf][1248]")
"""Numbers, little endian."""

_ABANDONED_S = 3600.0
"""Age of a file that nobody is writing any more."""

Json: TypeAlias = "str | int | float | bool | list[Json] | dict[str, Json] | None"
Origin: TypeAlias = Mapping[str, Json]
"""Origin of a snapshot, what it was made from and for: name -> value. With any other value it is of
no use."""


@dataclass(frozen=True)
class Stored:
    """State at one moment, as its owner puts it."""

    position: int
    """Position in the log of the last event that is in it."""
    facts: Mapping[str, Json]
    """Values beside the arrays."""
    arrays: Mapping[str, NDArray[Any]]
    """Arrays of numbers, by name."""


@dataclass(frozen=True)
class Rejected:
    """A snapshot that is not used."""

    reason: str


class _UnfitError(Exception):
    """Why a file is not used."""


@dataclass(frozen=True)
class _ArrayPlan:
    type: str
    shape: Sequence[int]

    @property
    def size_bytes(self) -> int:
        return math.prod(self.shape) * int(self.type[-1])


@dataclass(frozen=True)
class _Header:
    origin: Origin
    position: int
    facts: Mapping[str, Json]
    arrays: Mapping[str, _ArrayPlan]
    arrays_sha256: str


def save_snapshot(path: Path, stored: Stored, origin: Origin) -> None:
    """Write the file, or leave the one of before as it is.

    Raises HistoryError where it cannot be written.
    """
    arrays = {name: _little_endian(array) for name, array in stored.arrays.items()}
    header = _Header(
        origin=origin,
        position=stored.position,
        facts=stored.facts,
        arrays={
            name: _ArrayPlan(array.dtype.str, list(array.shape)) for name, array in arrays.items()
        },
        arrays_sha256=_digest(arrays),
    )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_abandoned(path)
        # Made readable to the owner alone.
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with open(descriptor, "wb") as file:  # noqa: PTH123
                _write(file, header, arrays)
            Path(temporary).replace(path)
        except BaseException:
            Path(temporary).unlink()
            raise
    except OSError as error:
        raise HistoryError(f"history snapshot {path} cannot be written: {error}") from error


def load_snapshot(path: Path, origin: Origin) -> Stored | Rejected:
    """Read the file, or say why it is not used. It never raises."""
    try:
        with path.open("rb") as file:
            header = _read_header(file, origin)
            arrays = _read_arrays(file, header)
    except OSError as error:
        return Rejected(f"{path} cannot be read: {error.strerror}")
    except _UnfitError as unfit:
        return Rejected(f"{path} {unfit}")
    return Stored(header.position, header.facts, arrays)


def saved_position(path: Path, origin: Origin) -> int | None:
    """Position that the file goes up to; None where it is not used, or there is none."""
    try:
        with path.open("rb") as file:
            return _read_header(file, origin).position
    except (OSError, _UnfitError):
        return None


def is_of_another_origin(path: Path, origin: Origin) -> bool:
    """Return whether the file is sound, and was made for another purpose or from another log."""
    try:
        with path.open("rb") as file:
            return _read_header(file, None).origin != origin
    except (OSError, _UnfitError):
        return False


def _little_endian(array: NDArray[Any]) -> NDArray[Any]:
    return np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))


def _remove_abandoned(path: Path) -> None:
    """Delete what a process that was killed while it saved has left."""
    for leftover in path.parent.glob(f".{path.name}.*"):
        with suppress(FileNotFoundError):
            if leftover.stat().st_mtime < time.time() - _ABANDONED_S:
                leftover.unlink()


def _write(file: BufferedWriter, header: _Header, arrays: Mapping[str, NDArray[Any]]) -> None:
    text = json.dumps(asdict(header)).encode()
    if len(text) > _MAX_HEADER_BYTES:
        raise ValueError(f"the header of a snapshot has {len(text)} bytes")
    file.write(_MAGIC + _FORMAT + hashlib.sha256(text).digest())
    file.write(len(text).to_bytes(_LENGTH_BYTES, "little") + text)
    for array in arrays.values():
        file.write(array.data)
    file.flush()
    os.fsync(file.fileno())


def _read_header(file: BufferedReader, origin: Origin | None) -> _Header:
    """The header of a file made for `origin`, if one is given."""
    if file.read(len(_MAGIC)) != _MAGIC:
        raise _UnfitError("is no history snapshot")
    if (found := file.read(len(_FORMAT))) != _FORMAT:
        raise _UnfitError(f"has format {found.decode(errors='replace')}, not {_FORMAT.decode()}")
    digest, length = file.read(_DIGEST_BYTES), file.read(_LENGTH_BYTES)
    text = file.read(min(int.from_bytes(length, "little"), _MAX_HEADER_BYTES))
    if hashlib.sha256(text).digest() != digest:
        raise _UnfitError("is damaged: the checksum of its header is wrong")
    header = _parsed(text)
    for name, value in origin.items() if origin is not None else ():
        if (made_for := header.origin.get(name)) != value:
            raise _UnfitError(f"was made for {name} {made_for}, not for {value}")
    return header


def _parsed(text: bytes) -> _Header:
    """The header. Its checksum says that it was written so, not that a program of ours wrote it."""
    try:
        header = _Header(**json.loads(text))
        plans = {name: _ArrayPlan(**plan) for name, plan in header.arrays.items()}  # type: ignore[arg-type]
        sound = (
            type(header.position) is int
            and isinstance(header.origin, dict)
            and isinstance(header.facts, dict)
            and all(_is_sound(plan) for plan in plans.values())
        )
    except (TypeError, ValueError, AttributeError, RecursionError):
        sound = False
    if not sound:
        raise _UnfitError("is damaged: its header is not one")
    return _Header(header.origin, header.position, header.facts, plans, header.arrays_sha256)


def _is_sound(plan: _ArrayPlan) -> bool:
    shape_is_sound = isinstance(plan.shape, list) and all(
        type(size) is int and size >= 0 for size in plan.shape
    )
    return shape_is_sound and _ARRAY_TYPE.fullmatch(plan.type) is not None


def _read_arrays(file: BufferedReader, header: _Header) -> dict[str, NDArray[Any]]:
    # No more memory is taken than the file has bytes, whatever the header says.
    left = os.fstat(file.fileno()).st_size - file.tell()
    planned = sum(plan.size_bytes for plan in header.arrays.values())
    if planned > left:
        raise _UnfitError("is damaged: it is cut short")
    if planned < left:
        raise _UnfitError("is damaged: it is too long")
    try:
        arrays = {n: np.empty(plan.shape, dtype=plan.type) for n, plan in header.arrays.items()}
    except (TypeError, ValueError, MemoryError) as error:
        raise _UnfitError("is damaged: it names arrays that there cannot be") from error
    for array in arrays.values():
        if file.readinto(array.data) != array.nbytes:
            raise _UnfitError("is damaged: it is cut short")
    if _digest(arrays) != header.arrays_sha256:
        raise _UnfitError("is damaged: its checksum is wrong")
    return arrays


def _digest(arrays: Mapping[str, NDArray[Any]]) -> str:
    digest = hashlib.sha256()
    for array in arrays.values():
        digest.update(array.data)
    return digest.hexdigest()
