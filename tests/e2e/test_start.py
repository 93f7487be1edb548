"""A service that cannot start says why in one line and exits with 3."""

import json
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from .conftest import Program

FREE = ("--port", 0, "--metrics-port", 0)


@pytest.fixture
def copy(bundle: Path, tmp_path: Path) -> Path:
    """A copy of the bundle, to be damaged."""
    return Path(shutil.copytree(bundle, tmp_path / "copy"))


@pytest.fixture
def taken_port() -> Iterator[int]:
    """A port that something else listens on."""
    with socket.socket() as other:
        other.bind(("0.0.0.0", 0))
        other.listen()
        yield other.getsockname()[1]


def _says_why(program: Program, *arguments: object, **settings: str) -> str:
    """The one line that a service that cannot start leaves on stderr."""
    result = program("serve", *arguments, **settings)
    assert result.returncode == 3, result.stderr
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    assert "Traceback" not in line
    return line


def test_a_missing_bundle(program: Program, tmp_path: Path) -> None:
    line = _says_why(program, "--bundle", tmp_path / "none", *FREE)
    assert f"no model bundle at {tmp_path / 'none'}" in line
    assert "rt-predictor train" in line


def test_a_missing_file_of_a_bundle(program: Program, copy: Path) -> None:
    (copy / "graph.onnx").unlink()
    assert f"{copy / 'graph.onnx'} is missing" in _says_why(program, "--bundle", copy, *FREE)


def test_a_flipped_bit(program: Program, copy: Path) -> None:
    path = copy / "graph.onnx"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    line = _says_why(program, "--bundle", copy, *FREE)
    assert f"{path} is damaged: its SHA-256 is" in line


def test_a_bundle_of_an_earlier_edition(program: Program, copy: Path) -> None:
    path = copy / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "schema_version": 4}))
    line = _says_why(program, "--bundle", copy, *FREE)
    assert "schema version 4" in line
    assert "rt-predictor train" in line


def test_a_port_in_use(program: Program, bundle: Path, taken_port: int) -> None:
    line = _says_why(program, "--bundle", bundle, "--port", taken_port, "--metrics-port", 0)
    assert f"port {taken_port} (server.port) is already in use" in line


def test_a_metrics_port_in_use(program: Program, bundle: Path, taken_port: int) -> None:
    line = _says_why(program, "--bundle", bundle, "--port", 0, "--metrics-port", taken_port)
    assert f"port {taken_port} (server.metrics_port) is already in use" in line


def test_an_unknown_setting(program: Program, tmp_path: Path) -> None:
    path = tmp_path / "settings.toml"
    path.write_text("[server]\nprot = 50052\n")
    line = _says_why(program, "--config", path)
    assert f"settings file {path}: unknown setting server.prot (did you mean port?)" in line


def test_a_settings_file_that_is_not_toml(program: Program, tmp_path: Path) -> None:
    path = tmp_path / "settings.toml"
    path.write_text("[server\n")
    assert f"settings file {path} is not valid TOML" in _says_why(program, "--config", path)


def test_an_environment_variable_that_names_nothing(program: Program) -> None:
    line = _says_why(program, RT_PREDICTOR_SERVER__PROT="1")
    assert "environment variable RT_PREDICTOR_SERVER__PROT names no setting" in line


def test_an_environment_variable_with_a_bad_value(program: Program) -> None:
    line = _says_why(program, RT_PREDICTOR_SERVER__PORT="many")
    assert "RT_PREDICTOR_SERVER__PORT: server.port = 'many': must be a valid integer" in line
