"""The tool that asks for the next of thirty runs alike, and what the committed model says."""

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from rt_predictor.model.bundle import Bundle, read_bundle


@pytest.fixture
def tool(load_tool: Callable[[str], ModuleType]) -> ModuleType:
    return load_tool("regular_user")


@pytest.fixture(scope="module")
def production(project: Path) -> Bundle:
    return read_bundle(project / "artifacts" / "production")


def test_the_committed_model_believes_a_regular_user(tool: ModuleType, production: Bundle) -> None:
    usual = tool.next_ones(production, tool.REGULAR)[:1]
    (half, most) = (
        [float(end[0]) / 60 for end in usual.interval_s(level)] for level in (0.5, 0.75)
    )
    assert 8 <= half[0] <= half[1] <= 12
    assert 5 <= most[0] <= most[1] <= 20
    assert float(usual.timeout_probability()[0]) < 0.05


@pytest.mark.parametrize("user", ["REGULAR", "LONGER"])
def test_another_limit_does_not_change_what_a_job_takes(
    tool: ModuleType, production: Bundle, user: str
) -> None:
    """From just enough to twice the usual limit."""
    found = tool.next_ones(production, getattr(tool, user))
    runtime_s = getattr(tool, user).runtime_s
    assert (found.median_s() > 0.75 * runtime_s).all()
    assert (found.median_s() < 2.5 * runtime_s).all()
    assert (found.timeout_probability() < 0.1).all()


def test_runs_that_their_limit_stopped_would_take_longer(
    tool: ModuleType, production: Bundle
) -> None:
    found = tool.next_ones(production, tool.STOPPED)
    chance = found.timeout_probability()
    assert chance[0] > 0.7
    assert (chance[1:] > 0.05).all(), "how long they take is not known"
    assert (found.quantile_s(0.9) > 1.2 * tool.STOPPED.limit_s)[1:].all()


def test_it_prints_a_line_a_limit(tool: ModuleType, project: Path, capsys) -> None:
    assert tool.main([str(project / "artifacts" / "production")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("base ")
    users = (tool.REGULAR, tool.LONGER, tool.STOPPED)
    told = [line for line in lines if line.startswith("  limit ")]
    assert len(told) == sum(1 + len(user.other_limits_s) for user in users)
    assert all("; 50 % " in line for line in told)


def test_other_limits_can_be_asked_for(
    tool: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    assert tool.main(["--days", "14"]) == 0
    shown = capsys.readouterr().out
    assert shown.count("  limit 14 d: ") == 3
    assert "  limit 4 d: " not in shown
