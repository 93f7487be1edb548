"""`rt-predictor token`."""

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rt_predictor.errors import UsageError
from rt_predictor.security.role import Role

if TYPE_CHECKING:
    from rt_predictor.settings import TokenSettings

_FILE_MODE = 0o600


def token(
    *,
    name: Annotated[str, typer.Option(metavar="NAME", help="Its owner.", show_default=False)],
    role: Annotated[
        list[Role],
        typer.Option(help="What its owner may do; may be repeated.", show_default=False),
    ],
    expires: Annotated[
        str,
        typer.Option(
            metavar="WHEN", help="When it stops working, e.g. 2027-01-31.", show_default="never"
        ),
    ] = "",
    token_file: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Write it there, for its owner alone to read, instead of showing it.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Make a bearer token, and its line for the settings of the service.

    The settings hold its hash alone: what is shown here cannot be shown again. The line goes into
    `tokens = [...]` of `[security]`.

    Example:

        rt-predictor token --name hooks --role predict --token-file hooks.token
    """
    from rt_predictor.security.tokens import new_token

    made = new_token()
    line = _settings_line(_entry(made, name, role, expires))
    if token_file is None:
        typer.echo(f"token     {made}\nsettings  {line}")
        return
    _write(token_file, made)
    typer.echo(line)


def _entry(made: str, name: str, roles: list[Role], expires: str) -> "TokenSettings":
    from pydantic import ValidationError

    from rt_predictor.security.tokens import hash_of
    from rt_predictor.settings import TokenSettings

    given = {"name": name, "hash": hash_of(made), "roles": roles, "expires": expires or None}
    try:
        return TokenSettings.model_validate(given)
    except ValidationError as error:
        first = error.errors()[0]
        rule = first["msg"].removeprefix("Value error, ")
        raise UsageError(f"--{first['loc'][0]}: {rule}") from error


def _settings_line(entry: "TokenSettings") -> str:
    """An inline table of TOML; strings of JSON are strings of TOML."""
    roles = json.dumps([str(role) for role in entry.roles])
    parts = [f"name = {json.dumps(entry.name)}", f'hash = "{entry.hash}"', f"roles = {roles}"]
    if entry.expires is not None:
        parts.append(f"expires = {entry.expires.isoformat()}")
    return f"{{ {', '.join(parts)} }},"


def _write(path: Path, made: str) -> None:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _FILE_MODE)
    except OSError as error:
        raise UsageError(f"{path} cannot be made: {error.strerror or error}") from error
    with os.fdopen(descriptor, "w") as file:
        file.write(f"{made}\n")
