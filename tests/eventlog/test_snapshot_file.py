"""A snapshot is used whole, for what it was made for, or not at all."""

import hashlib
import json
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of

from rt_predictor.errors import HistoryError
from rt_predictor.eventlog import snapshot_file as module
from rt_predictor.eventlog.snapshot_file import (
    Rejected,
    Stored,
    is_of_another_origin,
    load_snapshot,
    save_snapshot,
    saved_position,
)

ORIGIN = {"log_id": "log-1", "model": "1.0.0", "decays": {"overall": 0.5}}
STORED = Stored(
    7,
    {"arrived": 9, "limits": [1, 2]},
    {
        "ends": np.arange(30.0),
        "none": np.empty((0, 3), np.float32),
        "ids": np.arange(4, dtype="u8"),
    },
)


def why_not(path: Path, origin: dict[str, Any] = ORIGIN) -> str:
    found = load_snapshot(path, origin)
    assert isinstance(found, Rejected)
    return found.reason


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "var" / "history.snapshot"


@pytest.fixture
def saved(path: Path) -> Path:
    save_snapshot(path, STORED, ORIGIN)
    return path


@settings(
    max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    arrays=st.dictionaries(
        st.text(max_size=5),
        arrays_of.arrays(
            st.sampled_from(["<f8", ">f8", "<f4", "<u8", "<i4", "|u1"]),
            arrays_of.array_shapes(min_dims=1, min_side=0),
        ),
        max_size=4,
    ),
    position=st.integers(0, 2**60),
)
def test_arrays_of_any_kind_come_back_as_they_were(
    arrays: dict[str, np.ndarray], position: int, path: Path
) -> None:
    save_snapshot(path, Stored(position, {"a": 1.5}, arrays), ORIGIN)
    found = load_snapshot(path, ORIGIN)
    assert isinstance(found, Stored)
    assert (found.position, found.facts) == (position, {"a": 1.5})
    assert list(found.arrays) == list(arrays)
    for name, array in arrays.items():
        np.testing.assert_array_equal(found.arrays[name], array)


def test_only_its_owner_may_read_it(saved: Path) -> None:
    save_snapshot(saved, STORED, ORIGIN)
    assert saved.stat().st_mode & 0o777 == 0o600


def test_how_far_it_goes_is_known_without_reading_it_all(saved: Path) -> None:
    assert saved_position(saved, ORIGIN) == 7
    assert saved_position(saved, {"log_id": "log-2"}) is None
    assert saved_position(saved.with_name("none"), ORIGIN) is None


def test_a_file_that_is_not_there_is_a_reason(path: Path) -> None:
    assert why_not(path) == f"{path} cannot be read: No such file or directory"


@pytest.mark.parametrize("content", [b"", b"SQLite format 3\0" * 100])
def test_a_foreign_file_is_ignored(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "file").write_bytes(content)
    assert why_not(tmp_path / "file").endswith("is no history snapshot")


@settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(share=st.floats(0, 1, exclude_max=True), flipped=st.integers(1, 255))
def test_a_file_with_any_byte_changed_is_ignored(saved: Path, share: float, flipped: int) -> None:
    content = bytearray(saved.read_bytes())
    content[int(share * len(content))] ^= flipped
    damaged = saved.with_name("damaged")
    damaged.write_bytes(content)
    assert why_not(damaged)


@settings(
    max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(share=st.floats(0, 1, exclude_max=True))
def test_a_file_that_is_cut_short_is_ignored(saved: Path, share: float) -> None:
    content = saved.read_bytes()
    damaged = saved.with_name("damaged")
    damaged.write_bytes(content[: int(share * len(content))])
    assert why_not(damaged)


def test_a_file_that_is_too_long_is_ignored(saved: Path) -> None:
    saved.write_bytes(saved.read_bytes() + b"\0")
    assert why_not(saved).endswith("is damaged: it is too long")


def _with_header(path: Path, **odd: object) -> None:
    """Writes a file whose checksums are right and whose header no program of ours would write."""
    content = path.read_bytes()
    start = len(module._MAGIC + module._FORMAT) + module._DIGEST_BYTES
    length = int.from_bytes(content[start : start + module._LENGTH_BYTES], "little")
    text_start = start + module._LENGTH_BYTES
    header = json.loads(content[text_start : text_start + length])
    text = json.dumps({**header, **odd}).encode()
    path.write_bytes(
        module._MAGIC
        + module._FORMAT
        + hashlib.sha256(text).digest()
        + len(text).to_bytes(module._LENGTH_BYTES, "little")
        + text
        + content[text_start + length :]
    )


@pytest.mark.parametrize(
    "odd",
    [
        {"more": 1},
        {"position": "7"},
        {"position": None},
        {"origin": 3},
        {"facts": []},
        {"arrays": []},
        {"arrays": {"ends": 5}},
        {"arrays": {"ends": {"type": "<f8"}}},
        {"arrays": {"ends": {"type": "|O8", "shape": [3]}}},
        {"arrays": {"ends": {"type": 8, "shape": [3]}}},
        {"arrays": {"ends": {"type": "<f8", "shape": 3}}},
        {"arrays": {"ends": {"type": "<f8", "shape": [-3]}}},
        {"arrays": {"ends": {"type": "<f8", "shape": [1.5]}}},
        {"arrays": {"ends": {"type": "<f8", "shape": [10**15]}}},
        {"arrays": {"ends": {"type": "|f1", "shape": [0]}}},
        {"arrays": {"ends": {"type": "<f8", "shape": [0, 10**30]}}},
        {"arrays_sha256": None},
    ],
)
def test_a_sound_checksum_makes_no_sound_header(saved: Path, odd: dict[str, object]) -> None:
    _with_header(saved, **odd)
    assert "is damaged" in why_not(saved)


@pytest.mark.parametrize(
    ("origin", "reason"),
    [
        ({**ORIGIN, "log_id": "log-2"}, "was made for log_id log-1, not for log-2"),
        ({**ORIGIN, "model": "1.0.1"}, "was made for model 1.0.0, not for 1.0.1"),
        ({**ORIGIN, "decays": {"overall": 0.4}}, "was made for decays {'overall': 0.5}, not for"),
        ({**ORIGIN, "new": 1}, "was made for new None, not for 1"),
    ],
)
def test_what_was_made_for_something_else_is_ignored(
    saved: Path, origin: dict[str, Any], reason: str
) -> None:
    assert reason in why_not(saved, origin)
    assert is_of_another_origin(saved, origin)
    assert not is_of_another_origin(saved, ORIGIN)


def test_another_format_is_ignored(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_FORMAT", b"9999")
    assert why_not(saved).endswith("has format 0005, not 9999")
    assert not is_of_another_origin(saved, ORIGIN)


def test_a_save_that_fails_leaves_the_file_of_before(
    saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    before = saved.read_bytes()
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(HistoryError, match=r"history\.snapshot cannot be written: .*No space left"):
        save_snapshot(saved, STORED, ORIGIN)
    assert [entry.name for entry in saved.parent.iterdir()] == [saved.name]
    assert saved.read_bytes() == before


def test_what_a_killed_process_left_is_deleted_when_it_is_old(saved: Path) -> None:
    old, new = (saved.with_name(f".{saved.name}.{end}") for end in ("old", "new"))
    for leftover in (old, new):
        leftover.write_bytes(b"half")
    os.utime(old, (0, time.time() - 2 * module._ABANDONED_S))
    save_snapshot(saved, STORED, ORIGIN)
    assert (old.exists(), new.exists()) == (False, True)
