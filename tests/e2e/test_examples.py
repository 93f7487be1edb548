"""The examples, as programs of their own against a running service."""

import subprocess
import sys

import pytest

from tests.e2e.conftest import PROJECT, Service, environment
from tests.waiting import PATIENCE_S


def _run(example: str, service: Service, stdin: str = "") -> str:
    command = [sys.executable, str(PROJECT / "examples" / example), service.target]
    result = subprocess.run(
        command, env=environment(), input=stdin, capture_output=True, text=True,
        timeout=PATIENCE_S, check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_every_example_is_run() -> None:
    names = {path.name for path in (PROJECT / "examples").glob("*.py")}
    assert names == {"predict_one.py", "score_frame.py", "stream_jobs.py"}


def test_one_job(service: Service) -> None:
    assert _run("predict_one.py", service).startswith("runs for ")


def test_a_frame(service: Service) -> None:
    assert "50000 jobs scored" in _run("score_frame.py", service)


@pytest.mark.parametrize("user", ["alice", ""])
def test_a_stream(service: Service, user: str) -> None:
    lines = [
        f'{{"processors_req": 4, "time_req": 3600, "user": "{user}"}}', '{"nodes_req": 0}'
    ]  # fmt: skip
    first, second = _run("stream_jobs.py", service, "\n".join(lines) + "\n").splitlines()
    assert first.endswith(" s")
    assert second.startswith("refused: nodes_req = 0")
