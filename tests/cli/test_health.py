"""`rt-predictor health`."""

import json

import pytest


def test_a_ready_service_is_exit_0(run, clients) -> None:
    result = run("health", "--target", "far:1", "--timeout", 2)
    assert (result.code, result.out, result.err) == (0, "far:1 is ready\n", "")
    assert (clients[0].target, clients[0].timeout_s) == ("far:1", 2.0)


def test_a_service_that_is_not_ready_is_exit_1(run, service_not_ready) -> None:
    result = run("health", "--target", "far:1")
    assert (result.code, result.out) == (1, "")
    assert result.err == "error: far:1 is up but not ready: it is starting or shutting down\n"


def test_what_is_degraded_is_told(run, service_degraded) -> None:
    result = run("health", "--target", "far:1")
    assert (result.code, result.out) == (0, "far:1 is ready, but degraded: coverage: low\n")


def test_no_service_is_exit_1(run, service_down) -> None:
    assert run("health").code == 1


def _document(result, code: int) -> dict[str, object]:
    assert result.code == code
    return json.loads(result.out)


def test_health_is_one_document_for_programs(run, clients, service_degraded) -> None:
    del clients
    for arguments in (("--json",), ("--json", "-")):
        found = _document(run("health", "--target", "far:1", *arguments), 0)
        assert {name: found[name] for name in ("target", "ready", "status", "message")} == {
            "target": "far:1",
            "ready": True,
            "status": "DEGRADED",
            "message": "coverage: low",
        }
        assert found.keys() >= {"uptime_seconds", "memory_bytes", "components", "service_version"}


def test_programs_are_told_what_is_not_ready(run, service_not_ready) -> None:
    found = _document(run("health", "--target", "far:1", "--json"), 1)
    assert (found["ready"], found["status"]) == (False, "NOT_SERVING")


def test_programs_are_told_that_nobody_answers(run, service_down) -> None:
    found = _document(run("health", "--target", "far:1", "--json"), 1)
    assert (found["ready"], found["status"]) == (False, "UNREACHABLE")
    assert "no service answers at far:1" in found["message"]


@pytest.mark.parametrize(
    ("variables", "target"),
    [
        ({}, "localhost:50051"),
        ({"PORT": "6000"}, "localhost:6000"),
        ({"HOST": "::"}, "localhost:50051"),
        ({"HOST": "10.0.0.5"}, "10.0.0.5:50051"),
        ({"HOST": "fe80::1"}, "[fe80::1]:50051"),
    ],
)
def test_the_service_of_the_settings_is_asked_by_default(
    run, clients, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], target: str
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(f"RT_PREDICTOR_SERVER__{name}", value)
    assert run("health").code == 0
    assert clients[0].target == target
