"""Moves between files, as tools/journeys.py counts them."""

import asyncio
import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

OUTER = """
from inner import add, ask, each

def twice():
    return add(1) + helper(2)

def helper(number):
    return add(number)

def all_of():
    return sum(each(3))

async def waits():
    return await ask()
"""
INNER = """
import asyncio

def add(number):
    return number + 1

def each(count):
    yield from range(count)

async def ask():
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    return 1
"""


@pytest.fixture
def tool(load_tool: Callable[[str], ModuleType]) -> ModuleType:
    return load_tool("journeys")


@pytest.fixture
def hook(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.setenv("JOURNEYS_PACKAGE", str(tmp_path))
    monkeypatch.delenv("JOURNEYS", raising=False)
    path = project / "tools/journeys_hook/sitecustomize.py"
    spec = importlib.util.spec_from_file_location("journeys_hook", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def outer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A package of two files, of which the first calls the second."""
    (tmp_path / "outer.py").write_text(OUTER)
    (tmp_path / "inner.py").write_text(INNER)
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in ("outer", "inner"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return importlib.import_module("outer")


def journey(tool: ModuleType, hook: ModuleType, act: Callable[[], object]) -> object:
    counting = hook.Counting()
    counting.on = True
    before = sys.getprofile()
    sys.setprofile(counting)
    try:
        act()
    finally:
        sys.setprofile(before)
    return tool.Journey(dict(counting.edges))


def test_calls_into_another_file_are_moves(
    tool: ModuleType, hook: ModuleType, outer: ModuleType
) -> None:
    found = journey(tool, hook, outer.twice)
    assert found.files == {"outer.py", "inner.py"}
    assert found.moves == 2
    assert found.into == {"inner.py": 2}


def test_what_goes_on_after_a_pause_is_no_move(
    tool: ModuleType, hook: ModuleType, outer: ModuleType
) -> None:
    assert journey(tool, hook, outer.all_of).moves == 1
    assert journey(tool, hook, lambda: asyncio.run(outer.waits())).moves == 1


def test_what_an_idle_service_calls_is_taken_off(tool: ModuleType) -> None:
    poll, work = ("a.py", "poll", "b.py", "read"), ("a.py", "poll", "c.py", "fold")
    found = tool.Journey({poll: 3, work: 1}).without({poll: 3})
    assert (found.files, found.moves) == ({"a.py", "c.py"}, 1)


def test_the_round_in_the_middle_is_shown(tool: ModuleType) -> None:
    edge = ("a.py", "f", "b.py", "g")
    rounds = [tool.Journey({edge: moves}) for moves in (9, 1, 4)]
    assert tool.median(rounds).moves == 4
    assert "| one call | 2 | 4 |" in tool.table({"one call": rounds[2]})
