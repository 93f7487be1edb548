"""The locks in requirements/: whole, in step with pyproject.toml, and bound to no machine."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

LOCKS = ("build", "serve", "tracing", "train", "dev")
TRAINING_LIBRARIES = {
    "catboost",
    "lightgbm",
    "matplotlib",
    "onnx",
    "pandas",
    "pyarrow",
    "scikit-learn",
    "scipy",
    "xgboost",
    "xgboost-cpu",
}


def lock_text(project: Path, name: str) -> str:
    return (project / "requirements" / f"{name}.txt").read_text()


def entries(project: Path, name: str) -> list[str]:
    """The lock's requirements, each with its hashes, on one line."""
    joined = lock_text(project, name).replace("\\\n", " ")
    return [line for line in joined.splitlines() if line and not line.lstrip().startswith("#")]


def pins(project: Path, name: str) -> dict[str, list[Requirement]]:
    found: dict[str, list[Requirement]] = {}
    for entry in entries(project, name):
        requirement = Requirement(entry.split("--hash")[0])
        found.setdefault(canonicalize_name(requirement.name), []).append(requirement)
    return found


@pytest.mark.parametrize("name", LOCKS)
def test_lock_names_no_index_host_or_folder_of_a_machine(project: Path, name: str) -> None:
    assert not re.findall(
        r"https?:|file:|--(?:extra-)?index|--find-links|@ |(?:^|\s)/", lock_text(project, name)
    )


@pytest.mark.parametrize("name", LOCKS)
def test_every_package_is_pinned_with_hashes(project: Path, name: str) -> None:
    found = entries(project, name)
    assert found
    assert [e for e in found if "==" not in e or "--hash=sha256:" not in e] == []


@pytest.mark.parametrize("name", ["build", "serve", "tracing", "train"])
def test_locks_agree_on_versions_with_dev(project: Path, name: str) -> None:
    dev = pins(project, "dev")
    shared = {package: pin for package, pin in pins(project, name).items() if package in dev}
    assert shared
    assert {package: list(map(str, pin)) for package, pin in shared.items()} == {
        package: list(map(str, dev[package])) for package in shared
    }


def test_each_level_holds_the_one_before(project: Path) -> None:
    serve, train, dev = (set(pins(project, name)) for name in ("serve", "train", "dev"))
    assert serve < train < dev
    assert serve < set(pins(project, "tracing")) < dev


def test_serving_needs_no_training_library(project: Path) -> None:
    assert TRAINING_LIBRARIES.isdisjoint(pins(project, "serve"))
    assert TRAINING_LIBRARIES.isdisjoint(pins(project, "tracing"))


def test_traces_need_nothing_unless_they_are_asked_for(project: Path) -> None:
    assert [name for name in pins(project, "serve") if name.startswith("opentelemetry")] == []


@pytest.mark.parametrize("name", LOCKS)
def test_no_lock_brings_cuda(project: Path, name: str) -> None:
    assert [package for package in pins(project, name) if package.startswith("nvidia-")] == []


@pytest.mark.parametrize("name", LOCKS)
def test_lock_satisfies_what_the_project_declares(project: Path, name: str) -> None:
    declaration = tomllib.loads((project / "pyproject.toml").read_text())
    extras = declaration["project"]["optional-dependencies"]
    base = declaration["project"]["dependencies"]
    declared = {
        "build": declaration["build-system"]["requires"],
        "serve": base,
        "tracing": [*base, *extras["tracing"]],
        "train": [*base, *extras["train"]],
        "dev": [*base, *extras["train"], *extras["dev"]],
    }[name]
    locked = pins(project, name)
    for requirement in map(Requirement, declared):
        if requirement.name == "rt-predictor":
            continue
        versions = [
            specifier.version
            for pin in locked.get(canonicalize_name(requirement.name), [])
            for specifier in pin.specifier
        ]
        assert versions, f"{requirement} is not in requirements/{name}.txt: run make lock"
        assert all(requirement.specifier.contains(version) for version in versions), (
            f"requirements/{name}.txt has {requirement.name} {versions}: run make lock"
        )
