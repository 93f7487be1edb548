"""`make soak`: what it finds wrong, and a short one against a real service."""

import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from rt_predictor.api.sockets import shares_ports
from tests.e2e.conftest import environment
from tests.e2e.ledger import Ledger, Site
from tests.waiting import PATIENCE_S

SHORT_MINUTES = 0.1


@pytest.fixture
def soak(load_tool: Callable[[str], ModuleType]) -> ModuleType:
    return load_tool("soak")


def a_good_end(soak: ModuleType) -> object:
    """What is known at the end of a soak in which nothing went wrong."""
    ledger = Ledger(Site.made_up(), {}, Counter(one=5), acknowledged=["1", "2"])
    watched = [
        soak.Watched("supervisor", [90.0] * 9, [20] * 9),
        soak.Watched("worker 1", [180.0] * 3 + [190.0] * 6, [40, 47, 42] * 3),
    ]
    return soak.Soak(ledger, 1.0, Counter(killed=1), watched, [1.0] * 9, exit_code=0)


def failures(end: object) -> list[str]:
    return [asked for asked, _, holds in end.verdicts() if not holds]


def test_nothing_is_found_where_nothing_is_wrong(
    soak: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    end = a_good_end(soak)
    assert failures(end) == []
    assert end.report()
    assert "FAIL" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("spoil", "found"),
    [
        (lambda end: end.ledger.wrong.append("1 is not 2"), "wrong answers"),
        (lambda end: end.ledger.failed.append("one: UNAVAILABLE"), "failed calls"),
        (lambda end: end.ledger.calls.clear(), "calls answered"),
        (lambda end: end.ledger.acknowledged.clear(), "outcomes acknowledged"),
        (lambda end: setattr(end, "lost", 1), "of them lost"),
        (lambda end: setattr(end, "twice", 1), "recorded twice"),
        (lambda end: setattr(end, "internal_errors", 1.0), "internal errors"),
        (lambda end: setattr(end, "exit_code", -9), "exit code"),
        (lambda end: end.watched[0].memory_mb.extend([200.0] * 9), "memory of supervisor"),
        (lambda end: end.watched[1].memory_mb.extend([220.0] * 9), "memory of worker 1"),
        (lambda end: end.watched[1].files.extend([60] * 9), "open files of worker 1"),
    ],
)
def test_what_does_not_hold_is_found(
    soak: ModuleType,
    capsys: pytest.CaptureFixture[str],
    spoil: Callable[[object], None],
    found: str,
) -> None:
    end = a_good_end(soak)
    spoil(end)
    assert failures(end) == [found]
    assert not end.report()
    assert f"FAIL  {found}" in capsys.readouterr().out


def test_what_history_says_that_it_takes_is_not_held_against_a_worker(soak: ModuleType) -> None:
    end = a_good_end(soak)
    end.watched[1].memory_mb.extend([220.0] * 9)
    end.history_mb.extend([31.0] * 9)
    assert failures(end) == []


@pytest.mark.e2e
@pytest.mark.skipif(not shares_ports(), reason="this system does not share ports")
def test_a_short_soak_holds(project: Path) -> None:
    command = [sys.executable, str(project / "tools" / "soak.py"), "--minutes", str(SHORT_MINUTES)]
    result = subprocess.run(
        command, env=environment(), cwd=project, capture_output=True, text=True,
        stdin=subprocess.DEVNULL, timeout=2 * PATIENCE_S, check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stdout + result.stderr
    assert "killed " in result.stdout
    assert "replaced all " in result.stdout
    assert "FAIL" not in result.stdout
