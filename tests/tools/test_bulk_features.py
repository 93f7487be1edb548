"""The tool that measures the history features of a whole log."""

import re
from collections.abc import Callable
from types import ModuleType

import pytest

from rt_predictor.errors import TraceError


@pytest.fixture
def tool(load_tool: Callable[[str], ModuleType]) -> ModuleType:
    return load_tool("bulk_features")


def test_it_tells_time_and_memory_of_a_made_up_log(
    tool: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    assert tool.main(["--jobs", "2000"]) == 0
    line = capsys.readouterr().out
    assert re.match(r"2,000 jobs, 96 history features: \d+ s, at most \d+\.\d GiB$", line)


def test_a_log_that_is_not_there_is_an_error(tool: ModuleType) -> None:
    with pytest.raises(TraceError, match="nowhere"):
        tool.main(["--trace", "nowhere.swf"])
