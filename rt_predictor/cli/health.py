"""`rt-predictor health`."""

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from rt_predictor.cli.access_options import takes_access
from rt_predictor.errors import ServiceError

if TYPE_CHECKING:
    from rt_predictor.client import Access

_EVERYWHERE = ("0.0.0.0", "::")


@takes_access
def health(
    *,
    target: Annotated[
        str | None,
        typer.Option(
            metavar="HOST:PORT",
            help="Service to ask.",
            show_default="this machine, at the port of the settings",
        ),
    ] = None,
    timeout: Annotated[
        float, typer.Option(min=0.001, metavar="SECONDS", help="Time the service gets to answer.")
    ] = 3.0,
    access: "Access",
) -> None:
    """Asks whether a service is ready.

    Exit code 0 if it is, 1 if not. Speaks grpc.health.v1, as orchestrators do.

    Example:

        rt-predictor health --target localhost:50051
    """
    asked = target or _local_target()
    if not asyncio.run(_is_ready(asked, timeout, access)):
        raise ServiceError(f"{asked} is up but not ready: it is starting or shutting down")
    typer.echo(f"{asked} is ready")


async def _is_ready(target: str, timeout_s: float, access: "Access") -> bool:
    from rt_predictor.client import Client

    async with Client(target, timeout_s=timeout_s, access=access) as client:
        return await client.is_serving()


def _local_target() -> str:
    from rt_predictor.serving.sockets import address_of
    from rt_predictor.settings import load_settings

    server = load_settings().server
    host = "localhost" if server.host in _EVERYWHERE else server.host
    return address_of(host, server.port)
