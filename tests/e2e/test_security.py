"""The service over TLS: real processes, certificates in files."""

import json
import ssl
import tomllib
import urllib.request
from pathlib import Path

import pytest

from tests.security.files import Place

from .conftest import PATIENCE_S, PROJECT, Program, running

JOB = ("--processors", 32, "--nodes", 4, "--mem", 128000, "--time", 3600, "--partition", "normal")
JOB += ("--qos", "normal")


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def _settings(place: Place, **others: str) -> dict[str, str]:
    files = place.issue()
    named = {"CERTIFICATE": str(files.certificate), "KEY": str(files.key), **others}
    return {f"RT_PREDICTOR_SECURITY__{name}": value for name, value in named.items()}


@pytest.mark.parametrize("workers", [1, 2])
def test_commands_reach_a_service_over_mutual_tls(
    program: Program, bundle: Path, place: Place, workers: int
) -> None:
    settings = _settings(place, CLIENT_CA=str(place.ca_file), METRICS_TLS="true")
    own = place.issue("operator")
    client = {
        "RT_PREDICTOR_CA": str(place.ca_file),
        "RT_PREDICTOR_CERT": str(own.certificate),
        "RT_PREDICTOR_KEY": str(own.key),
    }
    with running(bundle, "--workers", workers, **settings) as service:
        target = ("--target", service.target)
        assert program("health", *target, **client).returncode == 0
        answer = program("predict", *JOB, *target, **client)
        assert "predicted " in answer.stdout, answer.stderr
        refused = program("health", *target, "--ca", place.ca_file)
        assert refused.returncode == 1
        assert "it may want TLS, or a certificate of yours" in refused.stderr
        context = ssl.create_default_context(cafile=place.ca_file)
        url = service.metrics_url.replace("http:", "https:")
        with urllib.request.urlopen(url, timeout=PATIENCE_S, context=context) as page:
            assert "rt_predictor_certificate_expiry_timestamp_seconds" in page.read().decode()


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("missing", "(security.key) cannot be read: No such file or directory"),
        ("mismatched", "(security.key) is not the key of"),
        ("expired", "would be refused by clients: certificate has expired; renew it"),
        ("half", "certificate and key go together: set both, or neither"),
    ],
)
def test_files_that_cannot_be_used_are_told_in_one_line_at_start(
    program: Program, place: Place, fault: str, said: str, workers: int
) -> None:
    settings = _settings(place)
    match fault:
        case "missing":
            (place.folder / "server.key").unlink()
        case "mismatched":
            settings["RT_PREDICTOR_SECURITY__KEY"] = str(place.issue("other").key)
        case "expired":
            place.issue("server", expired=True)
        case _:
            del settings["RT_PREDICTOR_SECURITY__KEY"]
    ports = ("--port", 0, "--metrics-port", 0)
    result = program("serve", *ports, "--workers", workers, **settings)
    assert (result.returncode, result.stdout) == (3, "")
    (line,) = result.stderr.splitlines()
    assert said in line


def test_the_secure_profile_as_it_is_shipped(
    program: Program, bundle: Path, place: Place, tmp_path: Path
) -> None:
    """But for where the files are, and whose tokens are good."""
    lines = []
    for name, role in (("hooks", "predict"), ("operator", "admin")):
        made = program(
            "token", "--name", name, "--role", role, "--token-file", tmp_path / f"{name}.token"
        )
        lines.append(made.stdout.strip())
    (tokens,) = tomllib.loads(f"tokens = [{''.join(lines)}]").values()
    settings = _settings(place, CLIENT_CA=str(place.ca_file), TOKENS=json.dumps(tokens))
    own = place.issue("operator")
    tls = ("--ca", place.ca_file, "--cert", own.certificate, "--key", own.key)
    with running(bundle, "--config", PROJECT / "config" / "secure.toml", **settings) as service:
        target = ("--target", service.target, *tls)
        assert program("health", *target).returncode == 0
        hooks = ("--token-file", tmp_path / "hooks.token")
        answer = program("predict", *JOB, *target, *hooks)
        assert "predicted " in answer.stdout, answer.stderr
        token = (tmp_path / "hooks.token").read_text().strip()
        assert program("info", *target, RT_PREDICTOR_TOKEN=token).returncode == 0
        refused = program("predict", *JOB, *target)
        assert refused.returncode == 1
        assert "no token that is known" in refused.stderr
        other = ("--token-file", tmp_path / "operator.token")
        refused = program("predict", *JOB, *target, *other)
        assert refused.returncode == 1
        assert (
            "operator lacks the role for this call: predict (PERMISSION_DENIED)" in refused.stderr
        )
        assert token not in json.dumps(service.log)


def test_the_shipped_profile_lets_nobody_in() -> None:
    shipped = tomllib.loads((PROJECT / "config" / "secure.toml").read_text())
    assert shipped["security"]["tokens"]
    for entry in shipped["security"]["tokens"]:
        assert int(entry["hash"].removeprefix("sha256:"), 16) < 10, "a hash of a token somebody has"
