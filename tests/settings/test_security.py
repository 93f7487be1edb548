"""Settings of security: what goes together, and what no message repeats."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from rt_predictor.errors import SettingsError
from rt_predictor.security.role import Role
from rt_predictor.settings import CLIENT_ENVS, SecuritySettings, load_settings

HASH = "sha256:" + "0" * 64
TLS = 'certificate = "a.pem"\nkey = "a.key"\n'


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str], Path]:
    def write(text: str) -> Path:
        path = tmp_path / "settings.toml"
        path.write_text(f"[security]\n{text}")
        return path

    return write


def test_nothing_is_asked_for_by_default() -> None:
    security = load_settings().security
    assert (security.certificate, security.key, security.client_ca) == (None, None, None)
    assert security.tokens == ()
    assert SecuritySettings(certificate="").certificate is None  # type: ignore[arg-type]


def test_tokens_and_certificates_are_read_with_their_roles(write: Callable[[str], Path]) -> None:
    text = f"""{TLS}client_ca = "ca.pem"
tokens = [
  {{ name = "hooks", hash = "{HASH}", roles = ["predict", "record"], expires = 2027-01-31 }},
  {{ name = "root", hash = "{HASH[:-1]}1", roles = ["admin"] }},
]
client_certificates = [{{ name = "portal", roles = ["predict"] }}]
"""
    security = load_settings(write(text)).security
    hooks, root = security.tokens
    assert hooks.roles == (Role.PREDICT, Role.RECORD)
    assert hooks.expires == datetime(2027, 1, 31, tzinfo=UTC)
    assert root.expires is None
    assert security.client_certificates[0].roles == (Role.PREDICT,)


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ('certificate = "a.pem"', "certificate and key go together"),
        ('key = "a.key"', "certificate and key go together"),
        ('client_ca = "ca.pem"', "client_ca needs TLS"),
        ("metrics_tls = true", "metrics_tls needs TLS"),
        (TLS + 'client_certificates = [{ name = "a", roles = ["admin"] }]', "need client_ca"),
        (
            f'tokens = [{{ name = "a", hash = "{HASH}", roles = ["admin"] }},'
            f'{{ name = "b", hash = "{HASH}", roles = ["admin"] }}]',
            "two of tokens have the same hash",
        ),
        (f'tokens = [{{ name = "a", hash = "{HASH}", roles = [] }}]', "roles"),
        (f'tokens = [{{ name = "a", hash = "{HASH}", roles = ["god"] }}]', "'predict'"),
        (
            f'tokens = [{{ name = "a", hash = "{HASH}", roles = ["admin"], expires = "soon" }}]',
            "must be a day or a time, e.g. 2027-01-31",
        ),
        ("max_calls_per_client = -1", "must be greater than or equal to 0"),
    ],
)
def test_what_makes_no_sense_is_told_with_its_rule(
    write: Callable[[str], Path], text: str, rule: str
) -> None:
    with pytest.raises(SettingsError) as raised:
        load_settings(write(text))
    assert "security" in str(raised.value)
    assert rule in str(raised.value)


def test_a_token_in_place_of_its_hash_is_not_repeated(write: Callable[[str], Path]) -> None:
    text = 'tokens = [{ name = "a", hash = "rtp_secret", roles = ["admin"] }]'
    with pytest.raises(SettingsError, match=r"tokens\.0\.hash: must be sha256: and 64") as raised:
        load_settings(write(text))
    assert "secret" not in str(raised.value)


def test_variables_of_clients_are_no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in CLIENT_ENVS:
        monkeypatch.setenv(name, "somewhere")
    assert load_settings().security == SecuritySettings()


def test_the_environment_can_bring_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    value = f'[{{"name": "a", "hash": "{HASH}", "roles": ["admin"]}}]'
    monkeypatch.setenv("RT_PREDICTOR_SECURITY__TOKENS", value)
    assert load_settings().security.tokens[0].name == "a"


def test_callers_on_the_host_and_imports_are_trusted_and_no_others(
    write: Callable[[str], Path],
) -> None:
    assert load_settings().security.trusted == {"@import", "@local"}
    text = f"""
trusted_clients = ["@ipv4"]
tokens = [{{ name = "accounting", hash = "{HASH}", roles = ["record"], trusted = true }}]
"""
    assert load_settings(write(text)).security.trusted == {"@import", "@ipv4", "accounting"}


def test_a_token_is_not_trusted_by_a_list_of_names(write: Callable[[str], Path]) -> None:
    with pytest.raises(SettingsError, match=r"trusted_clients.*'@import', '@local'"):
        load_settings(write('trusted_clients = ["accounting"]'))
