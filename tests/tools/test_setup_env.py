"""When the environment is made anew, and what is left behind when making it fails."""

import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

PYPROJECT = """
[build-system]
requires = ["hatchling"]
[project]
name = "sample"
dependencies = ["numpy"]
[tool.ruff]
line-length = 100
"""


@pytest.fixture
def tool(load_tool: Callable[[str], ModuleType]) -> ModuleType:
    return load_tool("setup_env")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A project with locks."""
    folder = tmp_path / "project"
    (folder / "requirements").mkdir(parents=True)
    (folder / "pyproject.toml").write_text(PYPROJECT)
    for name in ("build", "serve", "train", "dev"):
        (folder / "requirements" / f"{name}.txt").write_text(f"{name}==1\n")
    return folder


@pytest.fixture
def make(tool: ModuleType, monkeypatch: pytest.MonkeyPatch) -> Callable[[Path, str], Path]:
    """Makes an environment that holds an interpreter and no packages."""

    def commands(installer: str, root: Path, environment: Path, level: str) -> list[list[str]]:
        del installer, root, level
        (environment / "bin").mkdir(parents=True, exist_ok=True)
        python = environment / "bin" / "python"
        python.unlink(missing_ok=True)
        python.symlink_to(sys.executable)
        return [[str(python), "-c", ""]]

    monkeypatch.setattr(tool, "commands", commands)
    monkeypatch.setenv("INSTALLER", "pip")

    def made(root: Path, level: str) -> Path:
        environment = root / ".venv"
        tool.make(root, environment, level)
        return environment

    return made


Make = Callable[[Path, str], Path]


def test_a_made_environment_is_current(tool: ModuleType, root: Path, make: Make) -> None:
    assert not tool.is_current(root, root / ".venv", "serve")
    assert tool.is_current(root, make(root, "serve"), "serve")


def test_development_environment_serves_but_not_the_reverse(
    tool: ModuleType, root: Path, make: Make
) -> None:
    assert tool.is_current(root, make(root, "dev"), "serve")
    assert not tool.is_current(root, make(root, "serve"), "dev")


@pytest.mark.parametrize("lock", ["build", "dev"])
def test_a_changed_lock_asks_for_a_new_environment(
    tool: ModuleType, root: Path, make: Make, lock: str
) -> None:
    environment = make(root, "dev")
    (root / "requirements" / f"{lock}.txt").write_text("other==2\n")
    assert not tool.is_current(root, environment, "dev")


def test_the_lock_of_another_level_does_not_matter(
    tool: ModuleType, root: Path, make: Make
) -> None:
    environment = make(root, "dev")
    (root / "requirements" / "serve.txt").write_text("other==2\n")
    assert tool.is_current(root, environment, "serve")


def test_only_what_is_installed_matters_in_the_declaration(
    tool: ModuleType, root: Path, make: Make
) -> None:
    environment = make(root, "dev")
    (root / "pyproject.toml").write_text(PYPROJECT.replace("line-length = 100", "line-length = 80"))
    assert tool.is_current(root, environment, "dev")
    (root / "pyproject.toml").write_text(PYPROJECT.replace("numpy", "polars"))
    assert not tool.is_current(root, environment, "dev")


def test_another_python_asks_for_a_new_environment(
    tool: ModuleType, root: Path, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = make(root, "dev")
    monkeypatch.setattr(tool.sys, "version", "3.99.0")
    assert not tool.is_current(root, environment, "dev")


def test_a_copied_project_does_not_take_the_environment_of_the_first(
    tool: ModuleType, root: Path, make: Make
) -> None:
    make(root, "dev")
    copy = root.with_name("copy")
    shutil.copytree(root, copy, symlinks=True)
    assert not tool.is_current(copy, copy / ".venv", "dev")


def test_an_environment_whose_python_is_gone_is_not_current(
    tool: ModuleType, root: Path, make: Make
) -> None:
    environment = make(root, "dev")
    (environment / "bin" / "python").unlink()
    (environment / "bin" / "python").symlink_to("/nonexistent/python3")
    assert not tool.is_current(root, environment, "dev")


@pytest.mark.parametrize("stamp", ["", "{}", "[]", '{"level": "other", "fingerprint": ""}'])
def test_a_damaged_stamp_asks_for_a_new_environment(
    tool: ModuleType, root: Path, make: Make, stamp: str
) -> None:
    environment = make(root, "dev")
    (environment / tool.STAMP).write_text(stamp)
    assert not tool.is_current(root, environment, "dev")


def test_nothing_of_a_half_made_environment_is_kept(
    tool: ModuleType, root: Path, make: Make
) -> None:
    leftover = root / ".venv" / "lib" / "leftover"
    leftover.mkdir(parents=True)
    assert tool.is_current(root, make(root, "dev"), "dev")
    assert not leftover.exists()


def test_a_link_to_an_environment_is_replaced_and_its_target_kept(
    tool: ModuleType, root: Path, make: Make
) -> None:
    elsewhere = root / "elsewhere"
    elsewhere.mkdir()
    (root / ".venv").symlink_to(elsewhere)
    assert not make(root, "dev").is_symlink()
    assert elsewhere.exists()


def test_a_failed_installation_leaves_no_current_environment(
    tool: ModuleType, root: Path, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = make(root, "dev")
    failing = [sys.executable, "-c", "raise SystemExit(1)"]
    monkeypatch.setattr(tool, "commands", lambda *_: [failing])
    with pytest.raises(tool.SetupError, match=r"this failed, see above: .*SystemExit"):
        tool.make(root, environment, "dev")
    assert not tool.is_current(root, environment, "dev")


@pytest.mark.parametrize(("exit_code", "installer"), [(0, "uv"), (1, "pip")])
def test_uv_is_taken_where_it_runs(
    tool: ModuleType,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    exit_code: int,
    installer: str,
) -> None:
    (tmp_path / "uv").write_text(f"#!/bin/sh\nexit {exit_code}\n")
    (tmp_path / "uv").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("INSTALLER", raising=False)
    assert tool.choose_installer() == installer
    monkeypatch.setenv("INSTALLER", "pip")
    assert tool.choose_installer() == "pip"


def test_without_uv_pip_is_taken(
    tool: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("INSTALLER", raising=False)
    assert tool.choose_installer() == "pip"
    monkeypatch.setenv("INSTALLER", "uv")
    with pytest.raises(tool.SetupError, match="uv does not run here"):
        tool.choose_installer()


def test_an_unknown_installer_is_refused(tool: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INSTALLER", "conda")
    with pytest.raises(tool.SetupError, match="INSTALLER=conda: it can be uv or pip"):
        tool.choose_installer()


@pytest.mark.parametrize("installer", ["uv", "pip"])
def test_packages_come_only_from_the_locks(tool: ModuleType, root: Path, installer: str) -> None:
    _, packages, project = tool.commands(installer, root, root / ".venv", "serve")
    assert "--require-hashes" in packages
    assert str(root / "requirements" / "serve.txt") in packages
    assert {"--no-deps", "--no-build-isolation"} <= set(project)


@pytest.mark.parametrize("arguments", [[], ["other"], ["serve", "dev"]])
def test_wrong_use_is_told(
    tool: ModuleType, arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert tool.main(arguments) == 2
    assert capsys.readouterr().err == "usage: setup_env.py serve|train|dev\n"


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere LightGBM says it itself")
def test_a_system_without_openmp_is_told_before_anything_is_installed(
    tool: ModuleType, root: Path, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tool, "OPENMP", "libno-such-thing.so.1")
    assert make(root, "serve").exists(), "serving does without"
    with pytest.raises(tool.SetupError, match=r"libno-such-thing.*apt-get install libgomp1"):
        make(root, "train")
    assert (root / ".venv" / tool.STAMP).exists(), "what was there is left alone"
