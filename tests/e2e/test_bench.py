"""`rt-predictor bench`, all of it, on a small scale: it measures what it says, however fast."""

import json
from pathlib import Path

from tests.e2e.conftest import Program, Service

GROUPS = {"service", "calls", "bulk", "growth", "history", "inside", "native"}


def test_everything_is_measured_and_held_against_the_promises(
    program: Program, tmp_path: Path
) -> None:
    file = tmp_path / "bench.json"
    result = program("bench", "--rounds", 1, "--scale", 0.002, "--json", file)
    assert result.returncode == 0, result.stderr
    document = json.loads(file.read_text())
    figures = document["figures"]
    assert {name.partition(".")[0] for name in figures} == GROUPS
    for name, figure in figures.items():
        assert "skipped" in figure or figure["median"] > 0, name
    skipped = {name for name, figure in figures.items() if "skipped" in figure}
    assert all(
        name.startswith(("growth.", "service.memory_growth", "history.ready_s")) for name in skipped
    )
    assert len(document["promises"]) == 15
    assert document["machine"]["rt_predictor"]
    assert "PredictArrow: at least 150,000 predictions/s" in result.stdout
    assert "measuring" in result.stderr


def test_a_running_service_is_measured_from_outside(program: Program, service: Service) -> None:
    result = program(
        "bench", "--target", service.target, "--rounds", 1, "--scale", 0.002, "--json", "-"
    )
    assert result.returncode == 0, result.stderr
    document = json.loads(result.stdout)
    assert {name.partition(".")[0] for name in document["figures"]} == {"calls", "bulk"}
    held = {promise["holds"] for promise in document["promises"]}
    assert None in held


def test_a_target_and_a_bundle_are_too_much(program: Program) -> None:
    result = program("bench", "--target", "localhost:1", "--bundle", ".")
    assert result.returncode == 2
    assert "not both" in result.stderr
