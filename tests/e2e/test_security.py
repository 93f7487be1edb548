"""The service over TLS: real processes, certificates in files."""

import json
import signal
import ssl
import tomllib
import urllib.request
from pathlib import Path

import grpc
import pytest

from rt_predictor.api.sockets import shares_ports
from rt_predictor.api.v1 import rt_predictor_pb2 as pb
from rt_predictor.api.v1 import rt_predictor_pb2_grpc as pb_grpc
from rt_predictor.security.tokens import hash_of, new_token
from tests.security.files import Place
from tests.waiting import PATIENCE_S

from .conftest import PROJECT, Program, Service, running
from .observed import told, until

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


def _settings_file(path: Path, **tokens: tuple[str, str]) -> Path:
    """A settings file with tokens, each by its name: the token and its role."""
    entries = [
        f'{{ name = "{name}", hash = "{hash_of(token)}", roles = ["{role}"] }}'
        for name, (token, role) in tokens.items()
    ]
    path.write_text(f"[server]\nadmin = true\n[security]\ntokens = [{', '.join(entries)}]\n")
    return path


def _asked_with(service: Service, token: str) -> str:
    """How a call with that token ends."""
    with grpc.insecure_channel(service.target) as channel:
        stub = pb_grpc.RuntimePredictorStub(channel)
        try:
            stub.GetModelInfo(
                pb.GetModelInfoRequest(),
                metadata=(("authorization", f"Bearer {token}"),),
                timeout=PATIENCE_S,
            )
        except grpc.RpcError as error:
            return error.code().name
    return "OK"


@pytest.mark.skipif(not shares_ports(), reason="this system does not share ports")
async def test_tokens_change_with_sighup_and_only_administrators_reload(
    program: Program, bundle: Path, tmp_path: Path
) -> None:
    old, new, root = (new_token() for _ in range(3))
    roles = {"hooks": (old, "predict"), "root": (root, "admin")}
    config = _settings_file(tmp_path / "rt_predictor.toml", **roles)
    (tmp_path / "hooks").write_text(old)
    (tmp_path / "root").write_text(root)
    with running(bundle, "--config", config) as service:
        reload = ("reload", "--target", service.target, "--token-file")
        refused = program(*reload, tmp_path / "hooks")
        assert refused.returncode == 1
        assert "hooks lacks the role for this call: admin (PERMISSION_DENIED)" in refused.stderr
        done = program(*reload, tmp_path / "root")
        assert done.returncode == 0, done.stderr

        _settings_file(config, **roles | {"hooks": (new, "predict")})
        assert [_asked_with(service, token) for token in (old, new)] == ["OK", "UNAUTHENTICATED"]
        service.process.send_signal(signal.SIGHUP)
        await until(lambda: told(service, "workers replaced") == 1)
        assert [_asked_with(service, token) for token in (old, new)] == ["UNAUTHENTICATED", "OK"]

        config.write_text("[security]\ntokens = 1\n")
        service.process.send_signal(signal.SIGHUP)
        failed = "model not loaded: the one that was served still is"
        await until(lambda: told(service, failed) == 1)
        assert f"settings file {config}: security.tokens" in str(service.wait_for(failed)["reason"])
        assert [_asked_with(service, token) for token in (old, new)] == ["UNAUTHENTICATED", "OK"]
