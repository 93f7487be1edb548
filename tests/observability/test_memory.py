"""Resident memory."""

import sys
from pathlib import Path

import pytest

from rt_predictor.observability import memory


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
