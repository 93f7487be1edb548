"""A real Prometheus that scrapes a service and judges it by the rules of deploy/."""

import json
import shutil
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests import waiting
from tests.waiting import PATIENCE_S

from .conftest import PROJECT

RULES = PROJECT / "deploy" / "prometheus" / "rules"
_PAUSE_S = 0.2


def found(program: str) -> str:
    """Where a program of Prometheus is; the test is skipped where it is not installed."""
    path = shutil.which(program)
    if path is None:
        pytest.skip(f"{program} is not installed (Debian: apt-get install prometheus)")
    return path


class Prometheus:
    """Asks a running one."""

    def __init__(self, url: str) -> None:
        self._url = url

    def ask(self, query: str) -> list[dict[str, object]]:
        """The samples of an instant query. Raises AssertionError with what is wrong with it."""
        answer = self._get(f"/api/v1/query?{urllib.parse.urlencode({'query': query})}")
        assert answer["status"] == "success", answer
        samples: list[dict[str, object]] = answer["data"]["result"]  # type: ignore[index]
        return samples

    def value(self, query: str) -> float:
        """The only value of an instant query; NaN where there is none."""
        samples = self.ask(query)
        return float(samples[0]["value"][1]) if len(samples) == 1 else float("nan")  # type: ignore[index]

    def rules(self) -> list[dict[str, object]]:
        """All rules, each with its health."""
        groups = self._get("/api/v1/rules")["data"]["groups"]  # type: ignore[index]
        return [rule for group in groups for rule in group["rules"]]

    def ready(self) -> bool:
        """Whether it answers."""
        try:
            with urllib.request.urlopen(f"{self._url}/-/ready", timeout=PATIENCE_S):
                return True
        except OSError:
            return False

    def _get(self, path: str) -> dict[str, object]:
        try:
            with urllib.request.urlopen(f"{self._url}{path}", timeout=PATIENCE_S) as answer:
                document: dict[str, object] = json.load(answer)
        except urllib.error.HTTPError as error:
            document = json.load(error)
        return document


@contextmanager
def scraping(metrics_url: str, folder: Path, port: int) -> Iterator[Prometheus]:
    """A Prometheus on `port` that reads a metrics page every second."""
    address = urllib.parse.urlsplit(metrics_url).netloc
    config = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [f"{RULES}/*.yml"],
        "scrape_configs": [
            {"job_name": "rt-predictor", "static_configs": [{"targets": [address]}]}
        ],
    }
    (folder / "prometheus.yml").write_text(json.dumps(config))  # JSON is YAML
    command = [
        found("prometheus"),
        f"--config.file={folder}/prometheus.yml",
        f"--storage.tsdb.path={folder}/data",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stderr=log, stdin=subprocess.DEVNULL)
    try:
        prometheus = Prometheus(f"http://127.0.0.1:{port}")
        until(lambda: prometheus.ready() or process.poll() is not None)
        assert process.poll() is None, (folder / "log").read_text()
        yield prometheus
    finally:
        process.terminate()
        try:
            process.wait(PATIENCE_S)
        finally:
            process.kill()
            process.wait()


def until(condition: Callable[[], bool]) -> None:
    """Waits for it. Fails once that takes too long."""
    waiting.until(condition, within_s=PATIENCE_S, pause_s=_PAUSE_S)
