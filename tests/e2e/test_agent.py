"""The agent as a process, over a real service: whatever becomes of either, an answer comes."""

import signal
from pathlib import Path

import pytest

from tests.ports import free_port
from tests.waiting import PATIENCE_S, until

from .agents import agent, ask
from .conftest import Program, Service, running

JOB = {"processors_req": 4, "nodes_req": 1, "time_req": 3600, "user": "al", "partial": True}
ASK: dict[str, object] = {"v": 1, "job": JOB}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "agent.sock"


def until_circuit(path: Path, state: str) -> None:
    until(lambda: ask(path, {"v": 1, "op": "stats"})["stats"]["circuit"] == state, pause_s=0.02)


def test_it_answers_as_the_service_does(service: Service, program: Program, path: Path) -> None:
    with agent(path, service.target):
        found = ask(path, {**ASK, "id": 1})
    assert found["id"] == 1
    prediction = found["prediction"]
    ends = prediction["confidence_lower"], prediction["confidence_upper"]
    assert 0 < ends[0] <= prediction["predicted_runtime"] <= ends[1]
    assert "cold_start_user" in prediction["flags"]


def test_submissions_go_on_without_a_service_and_with_it_again(bundle: Path, path: Path) -> None:
    quick = {
        "RT_PREDICTOR_AGENT__HEARTBEAT_S": "0.1",
        "RT_PREDICTOR_AGENT__BACKOFF_MAX_S": "0.2",
        "RT_PREDICTOR_AGENT__CACHE_ANSWERS": "0",
    }
    port = free_port()  # the agent knocks at it all the while
    with running(bundle, "--port", port) as first:
        target = first.target
        with agent(path, target, **quick) as asked:
            assert "prediction" in ask(path, ASK)
            first.process.kill()
            first.process.wait()
            until_circuit(path, "open")
            assert ask(path, ASK) == {"v": 1, "fallback": True, "reason": "away"}
            with running(bundle, "--port", port):
                until_circuit(path, "closed")
                assert "prediction" in ask(path, ASK)
            asked.wait_for("the service is away: submissions go on without it")


def test_sigterm_ends_it_cleanly_and_sigkill_leaves_nothing_in_the_way(
    path: Path, program: Program
) -> None:
    nobody = "localhost:1"
    with agent(path, nobody) as first:
        again = program("agent", "--socket", path, "--target", nobody)
        assert again.returncode == 3
        assert f"another agent listens at {path}" in again.stderr
        first.process.kill()
        first.process.wait()
        assert path.is_socket()
    with agent(path, nobody, "--mode", "0600") as second:
        assert ask(path, {"v": 1, "op": "ping"})["pong"] is True
        assert path.stat().st_mode & 0o777 == 0o600
        second.process.send_signal(signal.SIGTERM)
        assert second.process.wait(PATIENCE_S) == 0
    assert not path.exists()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--mode", "0999"), "agent.mode = '0999': must be permissions in octal"),
        (("--deadline", "0"), "agent.deadline_ms = 0.0: must be greater than 0"),
        (("--group", "no-such-group"), "there is no group 'no-such-group'"),
    ],
)
def test_what_it_cannot_start_with_is_told(
    program: Program, path: Path, arguments: tuple[str, ...], says: str
) -> None:
    result = program("agent", "--socket", path, *arguments)
    assert result.returncode == 3
    assert says in result.stderr
