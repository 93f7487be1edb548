"""Resident memory."""

import ctypes
import subprocess
import sys
from pathlib import Path

import pytest

from rt_predictor.observability import memory
from tests.waiting import PATIENCE_S

pytestmark = pytest.mark.slow


def test_memory_is_that_of_a_running_interpreter() -> None:
    assert 5_000_000 < memory.resident_memory_bytes() < 100_000_000_000


@pytest.mark.parametrize("content", [None, "", "12 x"])
def test_the_peak_stands_in_where_the_system_does_not_tell(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: str | None
) -> None:
    statm = tmp_path / "statm"
    if content is not None:
        statm.write_text(content)
    monkeypatch.setattr(memory, "_STATM", statm)
    monkeypatch.setattr(sys, "platform", "linux")
    in_kib = memory.resident_memory_bytes()
    monkeypatch.setattr(sys, "platform", "darwin")
    assert memory.resident_memory_bytes() <= in_kib / 1000
    assert in_kib > 5_000_000


_FREED = """
import threading
import numpy as np
from rt_predictor.observability.memory import keep_memory_small, resident_memory_bytes
if not keep_memory_small():
    raise SystemExit(77)
def work():
    arrays = [np.ones(1 << 19) for _ in range(10)]  # 4 MB each
    del arrays[:-1]
    kept.append(arrays)
kept = []
before = resident_memory_bytes()
for _ in range(4):
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
print(resident_memory_bytes() - before)
"""


def test_large_buffers_are_given_back_as_soon_as_they_are_free() -> None:
    run = subprocess.run(
        [sys.executable, "-c", _FREED],
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_S,
    )
    if run.returncode == 77:
        pytest.skip("the C library has no mallopt")
    assert run.returncode == 0, run.stderr
    assert int(run.stdout) < 60_000_000  # 168 MB were used by the four, 17 MB are still


def _no_library(_name: str | None) -> ctypes.CDLL:
    raise OSError("none")


@pytest.mark.parametrize("library", [_no_library, lambda _name: object()])
def test_another_c_library_is_left_as_it_is(
    monkeypatch: pytest.MonkeyPatch, library: object
) -> None:
    monkeypatch.setattr(ctypes, "CDLL", library)
    assert not memory.keep_memory_small()
