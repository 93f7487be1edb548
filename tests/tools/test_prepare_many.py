"""The tool that makes a large log ready to learn from, on a small one."""

from collections.abc import Callable
from types import ModuleType

import pytest

from rt_predictor.jobs.schema import JOB_SCHEMA


@pytest.fixture
def tool(load_tool: Callable[[str], ModuleType]) -> ModuleType:
    return load_tool("prepare_many")


def test_made_up_jobs_keep_the_rules(tool: ModuleType) -> None:
    jobs = tool.made_up_jobs(500)
    assert jobs.schema == dict(JOB_SCHEMA)
    assert jobs["submit_time"].is_sorted()
    assert (jobs["start_time"] >= jobs["submit_time"]).all()
    assert (jobs["runtime"] <= jobs["time_req"]).all()


def test_it_says_what_preparing_took(tool: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    assert tool.main(["--jobs", "700"]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("700 jobs prepared in ")
    assert "of processor time" in printed
