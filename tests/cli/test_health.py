"""`rt-predictor health`."""

import pytest


def test_a_ready_service_is_exit_0(run, clients) -> None:
    result = run("health", "--target", "far:1", "--timeout", 2)
    assert (result.code, result.out, result.err) == (0, "far:1 is ready\n", "")
    assert (clients[0].target, clients[0].timeout_s) == ("far:1", 2.0)


def test_a_service_that_is_not_ready_is_exit_1(run, service_not_ready) -> None:
    result = run("health", "--target", "far:1")
    assert (result.code, result.out) == (1, "")
    assert result.err == "error: far:1 is up but not ready: it is starting or shutting down\n"


def test_no_service_is_exit_1(run, service_down) -> None:
    assert run("health").code == 1


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
