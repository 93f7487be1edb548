"""Options of every command that asks a service: TLS and credentials.

Each has an environment variable. A token itself is never an option: others on the machine see
command lines.
"""

import inspect
import os
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rt_predictor.client import Access

_TOKEN_ENV = "RT_PREDICTOR_TOKEN"
_PANEL = "Connection to the service"


def _options(
    *,
    tls: Annotated[
        bool,
        typer.Option("--tls", envvar="RT_PREDICTOR_TLS", help="Use TLS.", rich_help_panel=_PANEL),
    ] = False,
    ca: Annotated[
        Path | None,
        typer.Option(
            envvar="RT_PREDICTOR_CA",
            metavar="FILE",
            help="CA certificates to trust (PEM); implies --tls.",
            show_default="those that gRPC knows",
            rich_help_panel=_PANEL,
        ),
    ] = None,
    cert: Annotated[
        Path | None,
        typer.Option(
            envvar="RT_PREDICTOR_CERT",
            metavar="FILE",
            help="Own certificate (PEM), where the service asks for one.",
            show_default=False,
            rich_help_panel=_PANEL,
        ),
    ] = None,
    key: Annotated[
        Path | None,
        typer.Option(
            envvar="RT_PREDICTOR_KEY",
            metavar="FILE",
            help="Its private key (PEM).",
            show_default=False,
            rich_help_panel=_PANEL,
        ),
    ] = None,
    server_name: Annotated[
        str,
        typer.Option(
            envvar="RT_PREDICTOR_SERVER_NAME",
            metavar="NAME",
            help="Name in the service's certificate.",
            show_default="the host of --target",
            rich_help_panel=_PANEL,
        ),
    ] = "",
    token_file: Annotated[
        Path | None,
        typer.Option(
            envvar="RT_PREDICTOR_TOKEN_FILE",
            metavar="FILE",
            help="File with the bearer token; RT_PREDICTOR_TOKEN may hold the token itself.",
            show_default=False,
            rich_help_panel=_PANEL,
        ),
    ] = None,
) -> "Access":
    """Return how to reach the service, as the options say."""
    from rt_predictor.client import Access

    return Access(
        tls=tls,
        ca=ca,
        certificate=cert,
        key=key,
        server_name=server_name,
        token="" if token_file else os.environ.get(_TOKEN_ENV, ""),
        token_file=token_file,
    )


def takes_access(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command these options in place of its parameter `access`."""
    own = inspect.signature(command).parameters
    added = inspect.signature(_options).parameters
    parameters = [*(one for name, one in own.items() if name != "access"), *added.values()]

    @wraps(command)
    def run(**given: Any) -> Any:
        access = _options(**{name: given.pop(name) for name in added})
        return command(**given, access=access)

    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {one.name: one.annotation for one in parameters}
    return run
