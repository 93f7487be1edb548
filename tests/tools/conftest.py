"""Fixtures for the tests of tools/, which is a folder of programs and not a package."""

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

PROJECT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def project() -> Path:
    """The project's folder."""
    return PROJECT


@pytest.fixture
def load_tool(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], ModuleType]:
    """Imports tools/NAME.py, and what it imports from its folder, for one test."""
    monkeypatch.syspath_prepend(str(PROJECT / "tools"))

    def load(name: str) -> ModuleType:
        spec = importlib.util.spec_from_file_location(
            f"tool_{name}", PROJECT / "tools" / f"{name}.py"
        )
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, spec.name, module)
        spec.loader.exec_module(module)
        return module

    return load
