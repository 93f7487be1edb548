"""What a worker has folded from the outcome log, in one file, so that it is ready soon after start.

The file is a cache of the log: it can be deleted at any time, and one that does not fit is ignored.
It is only good for the same log, experts, keys and format. It holds no names, but hashes of users
and job names, which can be guessed from: only its owner may read it (mode 0600).

    magic | format | SHA-256 of the header | its length | header, JSON | arrays, little-endian
"""

import hashlib
import json
import os
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from io import BufferedReader, BufferedWriter
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rt_predictor.errors import HistoryError
from rt_predictor.history.experts import Decays, ExpertLosses, LossRows
from rt_predictor.history.judge import Judge
from rt_predictor.history.key_ids import keys_fingerprint
from rt_predictor.history.live import LiveSums
from rt_predictor.history.offsets import OffsetRows, TailOffsets
from rt_predictor.history.sorted_runs import SortedRuns
from rt_predictor.history.store import DEFAULT_MAX_KEYS, EventStore
from rt_predictor.model.bounds import MISS_SHARES

_MAGIC = b"rt-predictor history snapshot, format "
_FORMAT = b"0004"
_DIGEST_BYTES = hashlib.sha256().digest_size
_LENGTH_BYTES = 8
_MAX_HEADER_BYTES = 1 << 16

_ABANDONED_S = 3600.0
"""Age of a file that nobody is writing any more."""

_TYPES: Mapping[str, str] = {
    "runs.end_s": "<f8",
    "runs.runtime_s": "<f4",
    "runs.used": "<f4",
    "runs.ids": "<u8",
    "runs.starts": "<i4",
    "runs.events": "<i4",
    "rows.users": "<u8",
    "rows.visible_s": "<f8",
    "rows.user_visible_s": "<f8",
    "rows.sums": "<f4",
    "offsets.groups": "<i8",
    "offsets.visible_s": "<f8",
    "offsets.states": "<f8",
    "live.sums": "<f8",
    "live.counts": "<f8",
}
"""The arrays, in the order of the fields of `SortedRuns`, `LossRows`, `OffsetRows`, `LiveSums`."""

_RUNS = tuple(name for name in _TYPES if name.startswith("runs."))
_ROWS = tuple(name for name in _TYPES if name.startswith("rows."))
_OFFSETS = tuple(name for name in _TYPES if name.startswith("offsets."))
_LIVE = tuple(name for name in _TYPES if name.startswith("live."))


@dataclass(frozen=True)
class Origin:
    """What a snapshot was made from; it is of no use with anything else."""

    log_id: str
    """Which outcome log."""
    model_version: str
    """Whose experts."""
    experts: int
    """How many they are."""
    decays: Decays
    """How their losses are folded."""
    limits_enforced: bool
    """What live figures count as told."""

    @classmethod
    def of(cls, log_id: str, judge: Judge) -> "Origin":
        """A log, and the model whose errors are folded."""
        return cls(log_id, judge.model_version, judge.experts, judge.decays, judge.limits_enforced)


@dataclass(frozen=True)
class Snapshot:
    """What a worker knows at one moment."""

    store: EventStore
    losses: ExpertLosses
    offsets: TailOffsets
    live: LiveSums
    position: int
    """Position in the log of the last event that is in it."""


@dataclass(frozen=True)
class Rejected:
    """A snapshot that is not used."""

    reason: str


@dataclass(frozen=True)
class _Header:
    keys: str
    origin: Mapping[str, Any]
    position: int
    arrived: int
    losses_arrived: int
    offsets_arrived: int
    live_jobs: int
    limits: Sequence[int]
    shapes: Mapping[str, Sequence[int]]
    arrays_sha256: str


class _UnfitError(Exception):
    """Why a file is not used."""


def save_snapshot(path: Path, snapshot: Snapshot, origin: Origin) -> None:
    """Writes the file, or leaves the one of before as it is. Call it on the writer's thread.

    Raises HistoryError where it cannot be written.
    """
    parts = {
        "runs": snapshot.store.compact(),
        "rows": snapshot.losses.rows(),
        "offsets": snapshot.offsets.rows(),
        "live": snapshot.live,
    }
    arrays: dict[str, NDArray[Any]] = {}
    for name, kind in _TYPES.items():
        part, _, column = name.partition(".")
        arrays[name] = np.ascontiguousarray(getattr(parts[part], column), dtype=kind)
    header = _Header(
        keys=keys_fingerprint(),
        origin=asdict(origin),
        position=snapshot.position,
        arrived=snapshot.store.arrived,
        losses_arrived=snapshot.losses.arrived,
        offsets_arrived=snapshot.offsets.arrived,
        live_jobs=snapshot.live.jobs,
        limits=_limits(snapshot.store),
        shapes={name: list(array.shape) for name, array in arrays.items()},
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


def load_snapshot(
    path: Path, origin: Origin, max_events: int, max_keys: int = DEFAULT_MAX_KEYS
) -> Snapshot | Rejected:
    """Reads the file, within these limits, or says why it is not used. It never raises."""
    try:
        with path.open("rb") as file:
            header, arrays = _read(file, origin)
    except OSError as error:
        return Rejected(f"{path} cannot be read: {error.strerror}")
    except _UnfitError as unfit:
        return Rejected(f"{path} {unfit}")
    runs = SortedRuns(*(arrays[name] for name in _RUNS))
    rows = LossRows(*(arrays[name] for name in _ROWS))
    store = EventStore.restored(runs, header.arrived, max_events, max_keys)
    losses = ExpertLosses.restored(rows, header.losses_arrived, max_events, origin.decays)
    offset_rows = OffsetRows(*(arrays[name] for name in _OFFSETS))
    offsets = TailOffsets.restored(offset_rows, header.offsets_arrived, MISS_SHARES, max_events)
    live = LiveSums(header.live_jobs, *(arrays[name] for name in _LIVE))
    if header.limits != _limits(store):
        store.evict()
        losses.evict()
    return Snapshot(store, losses, offsets, live, header.position)


def _limits(store: EventStore) -> list[int]:
    return [store.max_events, store.max_keys]


def saved_position(path: Path, origin: Origin) -> int | None:
    """How far the file goes; None where it is not used, or there is none."""
    try:
        with path.open("rb") as file:
            return _read_header(file, origin).position
    except (OSError, _UnfitError):
        return None


def is_of_another_model(path: Path, origin: Origin) -> bool:
    """Whether the file is sound, and was made for another model or log."""
    try:
        with path.open("rb") as file:
            return _read_header(file, None).origin != asdict(origin)
    except (OSError, _UnfitError):
        return False


def _remove_abandoned(path: Path) -> None:
    """Deletes what a process that was killed while it saved has left."""
    for leftover in path.parent.glob(f".{path.name}.*"):
        with suppress(FileNotFoundError):
            if leftover.stat().st_mtime < time.time() - _ABANDONED_S:
                leftover.unlink()


def _write(file: BufferedWriter, header: _Header, arrays: Mapping[str, NDArray[Any]]) -> None:
    text = json.dumps(asdict(header)).encode()
    file.write(_MAGIC + _FORMAT + hashlib.sha256(text).digest())
    file.write(len(text).to_bytes(_LENGTH_BYTES, "little") + text)
    for array in arrays.values():
        file.write(array.data)
    file.flush()
    os.fsync(file.fileno())


def _read(file: BufferedReader, origin: Origin) -> tuple[_Header, dict[str, NDArray[Any]]]:
    header = _read_header(file, origin)
    arrays = {name: np.empty(header.shapes[name], dtype=kind) for name, kind in _TYPES.items()}
    for array in arrays.values():
        if file.readinto(array.data) != array.nbytes:
            raise _UnfitError("is damaged: it is cut short")
    if _digest(arrays) != header.arrays_sha256 or file.read(1):
        raise _UnfitError("is damaged: its checksum is wrong")
    return header, arrays


def _read_header(file: BufferedReader, origin: Origin | None) -> _Header:
    """The header of a file made for these keys, and for `origin` if one is given."""
    if file.read(len(_MAGIC)) != _MAGIC:
        raise _UnfitError("is no history snapshot")
    if (found := file.read(len(_FORMAT))) != _FORMAT:
        raise _UnfitError(f"has format {found.decode(errors='replace')}, not {_FORMAT.decode()}")
    digest, length = file.read(_DIGEST_BYTES), file.read(_LENGTH_BYTES)
    text = file.read(min(int.from_bytes(length, "little"), _MAX_HEADER_BYTES))
    if hashlib.sha256(text).digest() != digest:
        raise _UnfitError("is damaged: the checksum of its header is wrong")
    header = _Header(**json.loads(text))
    if header.keys != keys_fingerprint():
        raise _UnfitError("was made for other history keys")
    for name, value in asdict(origin).items() if origin is not None else ():
        if header.origin[name] != value:
            raise _UnfitError(f"was made for {name} {header.origin[name]}, not for {value}")
    return header


def _digest(arrays: Mapping[str, NDArray[Any]]) -> str:
    digest = hashlib.sha256()
    for array in arrays.values():
        digest.update(array.data)
    return digest.hexdigest()
