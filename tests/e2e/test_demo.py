"""`make demo`: the show, and the service that it leaves running."""

import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.waiting import PATIENCE_S

from .conftest import PROJECT, Program, environment

DEMO = [sys.executable, str(PROJECT / "tools" / "demo.py")]


@pytest.fixture
def settings(bundle: Path) -> dict[str, str]:
    return environment(
        RT_PREDICTOR_SERVER__PORT="0",
        RT_PREDICTOR_SERVER__METRICS_PORT="0",
        RT_PREDICTOR_MODEL__PATH=str(bundle),
    )


def test_the_show_asks_a_real_service_and_stops_it(settings: dict[str, str]) -> None:
    with socket.socket() as other:
        other.bind(("0.0.0.0", 0))
        other.listen()
        taken = str(other.getsockname()[1])
        result = subprocess.run(
            [*DEMO, "--once"], env={**settings, "RT_PREDICTOR_SERVER__PORT": taken},
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE_S,
            check=False,
        )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert f"Port {taken} (server.port) is taken" in result.stdout
    assert "$ rt-predictor predict --processors 4 --nodes 1" in result.stdout
    assert len(re.findall("^90 % interval ", result.stdout, re.MULTILINE)) == 3
    assert "not predicted: nodes_req = 0: must be a whole number" in result.stdout
    assert 'rt_predictor_requests_total{method="PredictStream",status="OK"} 1.0' in result.stdout
    before, after = (minutes(name, result.stdout) for name in ("before", "after"))
    assert "which took 50 min" in result.stdout
    assert abs(after - 50) < abs(before - 50)
    for known in ("nothing known", "log imported", "model tuned too"):
        assert f"later jobs, {known}:" in result.stdout
    assert "Traceback" not in result.stderr


def minutes(name: str, text: str) -> float:
    """What was predicted before or after outcomes were told."""
    found = re.search(
        rf"^{name}: +(?:(\d+) h ?)?(?:(\d+) min ?)?(?:[\d.]+ s )?\(", text, re.MULTILINE
    )
    assert found is not None, text
    return 60 * float(found[1] or 0) + float(found[2] or 0)


@pytest.mark.parametrize("ask", [signal.SIGTERM, signal.SIGINT])
def test_the_service_keeps_running_until_it_is_asked_to_stop(
    settings: dict[str, str], program: Program, ask: signal.Signals
) -> None:
    demo = subprocess.Popen(
        [*DEMO, "--quick"],
        env=settings,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert demo.stdout is not None
        line = next(line for line in demo.stdout if "keeps running at" in line)
        found = re.search(r"localhost:\d+", line)
        assert found is not None
        assert program("health", "--target", found[0]).returncode == 0
        demo.send_signal(ask)
        assert demo.wait(PATIENCE_S) == 0
        assert program("health", "--target", found[0], "--timeout", 2).returncode == 1
    finally:
        demo.terminate()
        demo.wait(PATIENCE_S)
        demo.stdout.close()


def test_the_show_goes_on_without_metrics_and_history(settings: dict[str, str]) -> None:
    off = dict.fromkeys(
        ("RT_PREDICTOR_SERVER__METRICS_ENABLED", "RT_PREDICTOR_HISTORY__ENABLED"), "false"
    )
    result = subprocess.run(
        [*DEMO, "--once", "--quick"], env={**settings, **off},
        capture_output=True, text=True, timeout=PATIENCE_S, check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert "Prometheus" not in result.stdout
    assert "What it learns" not in result.stdout


def test_outcomes_of_the_show_stay_out_of_the_log_that_is_set(
    settings: dict[str, str], tmp_path: Path
) -> None:
    log = tmp_path / "history.sqlite"
    result = subprocess.run(
        [*DEMO, "--once", "--quick"], env={**settings, "RT_PREDICTOR_HISTORY__PATH": str(log)},
        capture_output=True, text=True, timeout=PATIENCE_S, check=False,
    )  # fmt: skip
    assert "recorded 5 finished jobs" in result.stdout, result.stderr
    assert not log.exists()


def test_a_service_that_does_not_start_ends_the_show_with_its_exit_code(
    settings: dict[str, str],
) -> None:
    result = subprocess.run(
        [*DEMO, "--once"], env={**settings, "RT_PREDICTOR_SERVER__HOST": "no-such-host.invalid"},
        capture_output=True, text=True, timeout=PATIENCE_S, check=False,
    )  # fmt: skip
    assert result.returncode == 3
    assert "the service stopped while it was starting" in result.stderr


def test_without_a_bundle_it_says_how_to_get_one(settings: dict[str, str], tmp_path: Path) -> None:
    result = subprocess.run(
        DEMO, env={**settings, "RT_PREDICTOR_MODEL__PATH": str(tmp_path / "none")},
        capture_output=True, text=True, timeout=PATIENCE_S, check=False,
    )  # fmt: skip
    assert result.returncode == 3
    assert result.stderr.startswith("error: no model bundle at")
