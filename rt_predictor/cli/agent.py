"""`rt-predictor agent`."""

import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rt_predictor.cli.access_options import takes_access
from rt_predictor.cli.options import Config
from rt_predictor.errors import StartupError

if TYPE_CHECKING:
    from rt_predictor.client import Access


@takes_access
def agent(
    *,
    socket: Annotated[
        Path,
        typer.Option(metavar="PATH", help="Unix socket to listen on.", show_default=False),
    ],
    target: Annotated[
        str | None,
        typer.Option(metavar="HOST:PORT", help="Service to ask (agent.target)."),
    ] = None,
    deadline: Annotated[
        float | None,
        typer.Option(
            metavar="MS", help="Time that a request waits for an answer (agent.deadline_ms)."
        ),
    ] = None,
    mode: Annotated[
        str | None,
        typer.Option(metavar="OCTAL", help="Permissions of the socket (agent.mode)."),
    ] = None,
    group: Annotated[
        str | None, typer.Option(metavar="NAME", help="Group of the socket (agent.group).")
    ] = None,
    config: Config = None,
    access: "Access",
) -> None:
    """Answer submission hooks on this machine, within milliseconds.

    Speaks lines of JSON on a Unix socket and asks the service over connections that stay open.
    Where the service is slow or away it says so at once: no submission waits for longer than the
    deadline. SIGTERM or Ctrl-C stops it.

    Example:

        rt-predictor agent --socket /run/rt-predictor/agent.sock --target predictor:50051
    """
    if sys.platform == "win32":
        raise StartupError("the agent needs Unix sockets, which this system lacks")
    from rt_predictor.settings import load_settings

    settings = load_settings(config).with_overrides(
        {
            "agent.target": target,
            "agent.deadline_ms": deadline,
            "agent.mode": mode,
            "agent.group": group,
        }
    )
    from rt_predictor.agent.run import run, service_of

    raise typer.Exit(run(settings, socket, partial(service_of, access=access)))
