"""The tool that asks for the next of thirty runs alike, and what the committed model says."""

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from rt_predictor.model.bundle import read_bundle


@pytest.fixture
def tool(load_tool: Callable[[str], ModuleType]) -> ModuleType:
    return load_tool("regular_user")


def test_the_committed_model_believes_a_regular_user(tool: ModuleType, project: Path) -> None:
    found = tool.next_one(
        read_bundle(project / "artifacts" / "production"), log := tool.runs_alike()
    )
    assert len(log) == tool.RUNS + 1
    (half, most) = (
        [float(end[0]) / 60 for end in found.interval_s(level)] for level in (0.5, 0.75)
    )
    assert 8 <= half[0] <= half[1] <= 12
    assert 5 <= most[0] <= most[1] <= 20
    assert float(found.timeout_probability()[0]) < 0.05


def test_it_prints_a_line_a_bundle(tool: ModuleType, project: Path, capsys) -> None:
    assert tool.main([str(project / "artifacts" / "production")]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("base ")
    assert "50 %: " in line
