"""compose.yaml, as a real Compose reads it, and what the image is made from."""

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.waiting import PATIENCE_S

from .conftest import PROJECT

Compose = Callable[..., str]
_ALTERNATIVES = (("docker", "compose"), ("docker-compose",))
_EVERY_PROFILE = ("--profile", "monitoring", "--profile", "training")


def _works(command: tuple[str, ...]) -> bool:
    if shutil.which(command[0]) is None:
        return False
    asked = subprocess.run(
        [*command, "version"], capture_output=True, timeout=PATIENCE_S, check=False
    )
    return asked.returncode == 0


@pytest.fixture(scope="module")
def compose() -> Compose:
    """Has Compose check the files and say how it reads them."""
    command = next(filter(_works, _ALTERNATIVES), None)
    if command is None:
        pytest.skip("Compose is not installed (Debian: apt-get install docker-compose)")

    def config(*arguments: str) -> str:
        done = subprocess.run(
            [*command, *arguments],
            cwd=PROJECT, capture_output=True, text=True, timeout=PATIENCE_S, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    return config


def _services(compose: Compose, *profiles: str) -> set[str]:
    return set(compose(*profiles, "config", "--services").split())


def _read(shown: str) -> dict[str, str]:
    """Service -> how Compose shows it."""
    services = re.split(r"^(?=\S)", shown.split("services:\n")[1], maxsplit=1, flags=re.M)[0]
    parts = re.split(r"^  (\S+):\n", services, flags=re.M)[1:]
    return dict(zip(parts[::2], parts[1::2], strict=True))


def test_the_service_starts_alone_unless_a_profile_asks_for_more(compose: Compose) -> None:
    # Compose of the first kind lists services of all profiles, and starts only those asked for.
    assert "rt-predictor" in _services(compose)
    everything = {"rt-predictor", "train", "prometheus", "grafana"}
    assert _services(compose, *_EVERY_PROFILE) == everything
    text = (PROJECT / "compose.yaml").read_text()
    assert text.count("profiles: [monitoring]") == 2
    assert text.count("profiles: [training]") == 1


def test_all_services_have_a_read_only_root_no_capabilities_and_limits(compose: Compose) -> None:
    services = _read(compose(*_EVERY_PROFILE, "config"))
    assert len(services) == 4
    for name, text in services.items():
        for part in ("read_only: true", "- ALL", "no-new-privileges:true", "mem_limit:", "cpus:"):
            assert part in text, (part, name)


def test_the_override_gives_four_cpus_and_eight_gigabytes(compose: Compose) -> None:
    shown = compose("-f", "compose.yaml", "-f", "compose.m2max.yaml", "config")
    service = _read(shown)["rt-predictor"]
    assert re.search(r"cpus: 4(\.0)?$", service, re.M)
    assert re.search(r"mem_limit: \D?(8589934592|8g)\D?$", service, re.M)
    assert "read_only: true" in service


def test_what_compose_mounts_from_the_project_is_there() -> None:
    mounts = re.findall(r"- (\./deploy/\S+?):", (PROJECT / "compose.yaml").read_text())
    assert len(mounts) == 4
    assert [mount for mount in mounts if not (PROJECT / mount).exists()] == []


def test_what_the_image_copies_is_sent_to_the_build() -> None:
    copied = re.findall(r"^COPY (?!--from)(?:--\S+ )*(.*)$", _containerfile(), re.M)
    sources = {name.rstrip("/") for line in copied for name in line.split()[:-1]}
    kept = {
        line[1:]
        for line in (PROJECT / ".dockerignore").read_text().splitlines()
        if line.startswith("!")
    }
    assert sources
    assert sources - kept == set()
    assert [name for name in sources if not (PROJECT / name).exists()] == []


def test_the_image_runs_as_nobody_special_and_is_asked_by_its_own_program() -> None:
    stage = _containerfile().split("FROM base AS serve")[1]
    assert "USER 10001:10001" in stage
    check = re.search(r"HEALTHCHECK .*\\\n\s+CMD (\[.*\])", stage)
    assert check is not None
    assert json.loads(check[1]) == ["rt-predictor", "health"]
    assert "train" not in stage


def _containerfile() -> str:
    return (PROJECT / "Containerfile").read_text()


def test_grafana_finds_what_it_is_given() -> None:
    provisioning = PROJECT / "deploy" / "grafana" / "provisioning"
    compose = (PROJECT / "compose.yaml").read_text()
    provider = (provisioning / "dashboards" / "rt_predictor.yml").read_text()
    folder = re.search(r"path: (\S+)", provider)
    assert folder is not None
    assert f"./deploy/grafana/dashboards:{folder[1]}:ro" in compose
    source = (provisioning / "datasources" / "prometheus.yml").read_text()
    assert "url: http://prometheus:9090" in source
    assert Path(f"{folder[1]}/rt_predictor.json").as_posix() in compose
