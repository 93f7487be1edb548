"""The tool that says whose jobs intervals miss."""

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from tests.training.jobs import frame, job


@pytest.fixture
def tool(load_tool: Callable[[str], ModuleType]) -> ModuleType:
    return load_tool("missed_jobs")


def test_misses_are_told_apart_by_user_and_by_whether_one_had_ended_before(
    tool: ModuleType,
) -> None:
    first = {"user": "ann", "submit_time": 0.0, "end_time": 50.0, "runtime": 50.0}
    jobs = [job(**first), job(**first), job(**first | {"submit_time": 60.0, "end_time": 99.0})]
    others = [job(**first | {"user": f"user-{number}"}) for number in range(4)]
    held = [job(**first | {"user": "bob"})]
    found = tool.misses(frame(*jobs, *others, *held), [False] * 7 + [True])
    assert found.coverage == 1 / 8
    assert found.of_few_users == 5 / 7
    assert found.untaught == 6 / 7


def test_where_nothing_is_missed_there_are_no_shares(tool: ModuleType) -> None:
    found = tool.misses(frame(job(submit_time=0.0, end_time=5.0, runtime=5.0)), [True])
    assert (found.coverage, found.of_few_users, found.untaught) == (1, 0, 0)


def test_a_log_that_cannot_be_read_is_one_line_of_error(
    tool: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert tool.main([str(tmp_path / "gone.swf")]) == 1
    assert capsys.readouterr().err == f"error: {tmp_path / 'gone.swf'} does not exist\n"
