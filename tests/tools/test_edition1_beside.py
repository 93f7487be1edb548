"""The tool that measures this edition beside edition 1.0: with this program in both places."""

import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from rt_predictor.bench.processes import Program


@pytest.fixture
def tool(load_tool: Callable[[str], ModuleType]) -> ModuleType:
    return load_tool("edition1_beside")


def test_ratios_are_of_the_rounds(tool: ModuleType) -> None:
    found = {
        tool.NOW: {"ready, s": [1.0, 9.0, 2.0]},
        tool.BEFORE: {"ready, s": [2.0, 3.0, 4.0]},
    }
    assert tool.table(found).splitlines()[-1] == "| ready, s | 3 | 2 | 0.50 |"


def test_both_are_asked_the_same_and_every_figure_is_there(
    tool: ModuleType, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tool, "BATCH_JOBS", 50)
    this = tool.Edition(Program(project, Path(sys.executable)), "graph.onnx")
    found = tool.measure({tool.BEFORE: this, tool.NOW: this}, rounds=1, calls=10)
    assert set(found[tool.NOW]) == set(found[tool.BEFORE])
    assert len(found[tool.NOW]) == 6
    assert all(value > 0 for values in found[tool.NOW].values() for value in values)
