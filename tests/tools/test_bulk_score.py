"""The tool that measures scoring from file to file."""

import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture
def tool(load_tool: Callable[[str], ModuleType]) -> ModuleType:
    return load_tool("bulk_score")


def test_it_tells_time_and_memory_of_each_format(
    tool: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    assert tool.main(["--jobs", "300", "--formats", "jsonl"]) == 0
    line = capsys.readouterr().out
    assert re.match(
        r"300 jobs, jsonl: \d+\.\d s, \d+\.\d s of processor time, at most \d+\.\d GiB$", line
    )


def test_a_program_that_fails_is_no_measurement(tool: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(subprocess.CalledProcessError):
        tool.main(["--jobs", "1", "--formats", "csv", "--bundle", str(tmp_path)])
