"""`rt-predictor token`."""

import tomllib
from pathlib import Path

import pytest

from rt_predictor.security.role import Role
from rt_predictor.security.tokens import TokenTable
from rt_predictor.settings import SecuritySettings


def _table(line: str) -> TokenTable:
    """The tokens of settings that have the line."""
    document = tomllib.loads(f"tokens = [\n{line}\n]\n")
    return TokenTable(SecuritySettings.model_validate(document).tokens)


def test_the_line_goes_into_the_settings_and_knows_the_token(run) -> None:
    result = run(
        "token", "--name", 'an "odd" näme', "--role", "predict", "--role", "record",
        "--expires", "2999-01-31",
    )  # fmt: skip
    assert result.code == 0, result.err
    shown = dict(line.split(maxsplit=1) for line in result.out.splitlines())
    assert shown["token"] not in shown["settings"]
    caller = _table(shown["settings"]).find(shown["token"], 0.0)
    assert caller is not None
    assert caller.name == 'an "odd" näme'
    assert caller.roles == {Role.PREDICT, Role.RECORD}


def test_into_a_file_it_is_its_owners_alone_and_not_shown(run, tmp_path: Path) -> None:
    path = tmp_path / "token"
    result = run("token", "--name", "hooks", "--role", "admin", "--token-file", path)
    assert result.code == 0, result.err
    assert path.stat().st_mode & 0o777 == 0o600
    token = path.read_text().strip()
    assert token not in result.out
    assert _table(result.out).find(token, 0.0) is not None


def test_a_file_that_is_there_is_not_overwritten(run, tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text("mine")
    result = run("token", "--name", "hooks", "--role", "admin", "--token-file", path)
    assert result.code == 2
    assert f"{path} cannot be made: File exists" in result.err
    assert path.read_text() == "mine"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--name", "a", "--role", "god"), "god"),
        (("--name", "a", "--role", "admin", "--expires", "soon"), "--expires: must be a day or"),
        (("--name", "", "--role", "admin"), "--name"),
        (("--name", "a"), "--role"),
    ],
)
def test_what_makes_no_sense_is_usage(run, arguments: tuple[str, ...], said: str) -> None:
    result = run("token", *arguments)
    assert result.code == 2
    assert said in result.err
    assert "rtp_" not in result.out
