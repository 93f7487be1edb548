"""The interpreters that the Slurm hooks run in: Slurm's own, and those of other systems."""

import shutil
import subprocess
from pathlib import Path

import pytest

HOOKS = Path(__file__).resolve().parents[3] / "tools" / "slurm"
INTERPRETERS = ("lua5.1", "lua5.3", "lua5.4")
"""Slurm of Debian 12 links 5.1; newer ones link 5.3 or 5.4."""


@pytest.fixture(params=INTERPRETERS)
def lua(request: pytest.FixtureRequest) -> str:
    """A Lua, each in turn; the test is skipped where it is absent."""
    name: str = request.param
    if shutil.which(name) is None:
        pytest.skip(f"{name} is not installed")
    return name


@pytest.fixture
def lua_with_socket(lua: str) -> str:
    """The same, with LuaSocket."""
    found = subprocess.run(
        [lua, "-e", 'require "socket.unix"'], capture_output=True, check=False, timeout=30
    )
    if found.returncode:
        pytest.skip(f"{lua} has no LuaSocket (lua-socket)")
    return lua
