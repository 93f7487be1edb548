"""Real processes: the service on free ports with the committed bundle, and the program itself."""

import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.waiting import PATIENCE_S

PROJECT = Path(__file__).resolve().parents[2]

Program = Callable[..., subprocess.CompletedProcess[str]]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker("e2e")


def environment(**settings: str) -> dict[str, str]:
    """The environment of a process: this one's, with these settings and no others."""
    kept = {k: v for k, v in os.environ.items() if not k.upper().startswith("RT_PREDICTOR_")}
    path = os.pathsep.join(filter(None, (str(PROJECT), kept.get("PYTHONPATH"))))
    return {**kept, "PYTHONPATH": path, "NO_COLOR": "1", "COLUMNS": "200", **settings}


@pytest.fixture(scope="session")
def bundle() -> Path:
    """The model bundle that the service starts with by default."""
    folder = PROJECT / "artifacts" / "production"
    assert (folder / "manifest.json").exists(), f"no model bundle at {folder}: run make train"
    return folder


@pytest.fixture(scope="session")
def program() -> Program:
    """Runs `rt-predictor` with arguments, to its end."""

    def run(
        *arguments: object, cwd: Path = PROJECT, **settings: str
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "rt_predictor", *map(str, arguments)],
            cwd=cwd, env=environment(**settings), capture_output=True, text=True,
            stdin=subprocess.DEVNULL, timeout=PATIENCE_S, check=False,
        )  # fmt: skip

    return run


def _entry(line: str) -> dict[str, object]:
    """A line of the log; gRPC's core writes some that are not JSON, when files run out for one."""
    try:
        entry: dict[str, object] = json.loads(line)
    except ValueError:
        entry = {"message": line.rstrip(), "level": "NONE"}
    return entry


@dataclass
class Service:
    """A running service. Its log is read all the while, so that it never blocks on a full pipe."""

    process: subprocess.Popen[str]
    log: list[dict[str, object]] = field(default_factory=list)
    news: threading.Condition = field(default_factory=threading.Condition)
    ended: bool = False

    def read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            with self.news:
                self.log.append(_entry(line))
                self.news.notify_all()
        with self.news:
            self.ended = True
            self.news.notify_all()

    def wait_for(self, message: str) -> dict[str, object]:
        """The log line that says so, once it is there."""

        def found() -> list[dict[str, object]]:
            return [line for line in self.log if line["message"] == message]

        with self.news:
            self.news.wait_for(lambda: found() or self.ended, PATIENCE_S)
            assert found(), f"the service never said {message!r}, but: {self.log}"
            return found()[0]

    @property
    def target(self) -> str:
        return f"localhost:{self.wait_for('serving')['port']}"

    @property
    def metrics_url(self) -> str:
        return f"http://localhost:{self.wait_for('serving')['metrics_port']}/metrics"


@contextmanager
def started(*arguments: object, **settings: str) -> Iterator[Service]:
    """`rt-predictor` with arguments, for as long as the context lasts."""
    process = subprocess.Popen(
        [sys.executable, "-m", "rt_predictor", *map(str, arguments)], cwd=PROJECT,
        stderr=subprocess.PIPE, text=True, stdin=subprocess.DEVNULL,
        env=environment(**{"RT_PREDICTOR_LOGGING__FORMAT": "json", **settings}),
    )  # fmt: skip
    service = Service(process)
    reader = threading.Thread(target=service.read)
    reader.start()
    try:
        yield service
    finally:
        process.terminate()
        try:
            process.wait(PATIENCE_S)
        finally:
            process.kill()
            process.wait()
            reader.join()
            assert process.stderr is not None
            process.stderr.close()


@contextmanager
def running(bundle: Path, *arguments: object, **settings: str) -> Iterator[Service]:
    """A service on free ports that is ready; it is gone afterwards."""
    command = ("serve", "--bundle", bundle, "--port", 0, "--metrics-port", 0, *arguments)
    with tempfile.TemporaryDirectory() as folder:
        kept = {
            "RT_PREDICTOR_HISTORY__PATH": f"{folder}/history.sqlite",
            # Before all of the log is read, answers are others.
            "RT_PREDICTOR_HISTORY__CATCH_UP_TIMEOUT_S": str(PATIENCE_S),
            # A machine that does much else is slow, and no call is to be refused for that.
            "RT_PREDICTOR_SERVER__MAX_WAIT_MS": str(PATIENCE_S * 1000),
        }
        with started(*command, **{**kept, **settings}) as service:
            service.wait_for("serving")
            yield service


@pytest.fixture(scope="session")
def service(bundle: Path) -> Iterator[Service]:
    """A service for every test that leaves it as it was."""
    with running(bundle) as service:
        yield service
