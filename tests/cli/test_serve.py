"""`rt-predictor serve`: what it passes on."""

from collections.abc import Callable
from pathlib import Path

import pytest

from rt_predictor.processes import run as serving_run
from rt_predictor.settings import Settings


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[Settings]:
    """The settings that the server was run with; it then leaves with exit code 7."""
    seen: list[Settings] = []

    def run(settings: Settings, reread: Callable[[], Settings]) -> int:
        assert reread() == settings
        seen.append(settings)
        return 7

    monkeypatch.setattr(serving_run, "run", run)
    return seen


def test_without_options_the_settings_are_served_and_the_exit_code_is_the_servers(
    run, served
) -> None:
    assert run("serve").code == 7
    assert served[0].server.port == 50051


def test_options_win_over_the_environment_and_that_over_the_file(
    run, served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "c.toml"
    config.write_text("[server]\nport = 1\nmetrics_port = 2\nmax_workers = 3\nhost = 'h'")
    monkeypatch.setenv("RT_PREDICTOR_SERVER__METRICS_PORT", "4")
    run("serve", "--config", config, "--port", 5, "--bundle", "b")
    options = served[0].server
    assert (options.port, options.metrics_port, options.max_workers) == (5, 4, 3)
    assert options.host == "h"
    assert served[0].model.path == Path("b")


def test_workers_and_metrics_port_are_options(run, served) -> None:
    run("serve", "--workers", 2, "--metrics-port", 0)
    assert (served[0].server.max_workers, served[0].server.metrics_port) == (2, 0)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--port", 70_000), "settings from the command line: server.port = 70000: must be less"),
        (("--workers", 0), "server.max_workers = 0: must be greater"),
        (("--config", "none.toml"), "settings file none.toml does not exist"),
    ],
)
def test_wrong_settings_exit_3_before_anything_starts(run, served, arguments, says: str) -> None:
    result = run("serve", *arguments)
    assert result.code == 3
    assert says in result.err
    assert served == []
