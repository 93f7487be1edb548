"""`rt-predictor health`."""

import asyncio
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from rt_predictor.cli.access_options import takes_access
from rt_predictor.cli.options import Json
from rt_predictor.errors import EXIT_FAILURE, ServiceError

if TYPE_CHECKING:
    from rt_predictor.client import Access, Health

_EVERYWHERE = ("0.0.0.0", "::")


@dataclass(frozen=True)
class _Found:
    """State of a service, as far as its caller may know it."""

    ready: bool
    health: "Health | None" = None
    """None where it does not predict, and where the caller lacks the role to ask."""

    @property
    def trouble(self) -> str:
        """What is wrong with a service that is ready all the same; "" for nothing."""
        if self.health is None or self.health.status != "DEGRADED":
            return ""
        return f"degraded: {self.health.message}"


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
    as_json: Json = False,
    access: "Access",
) -> None:
    """Check whether a service is ready.

    Exit code 0 if it is, 1 if not. Speaks grpc.health.v1, as orchestrators do, and adds what is
    degraded. With --json there is a document in either case: target, ready, status (SERVING,
    DEGRADED, NOT_SERVING, or UNREACHABLE where nobody answers) and message; of a service that is
    ready, for who may ask, also uptime_seconds, memory_bytes, components and service_version.

    Example:

        rt-predictor health --target localhost:50051
    """
    asked = target or _local_target()
    try:
        found = asyncio.run(_state(asked, timeout, access))
    except ServiceError as error:
        if as_json:
            _tell(asked, _unready("UNREACHABLE", str(error)))
        raise
    if as_json:
        _tell(asked, _document(found))
        raise typer.Exit(0 if found.ready else EXIT_FAILURE)
    if not found.ready:
        raise ServiceError(f"{asked} is {_NOT_READY}")
    typer.echo(f"{asked} is ready" + (f", but {found.trouble}" if found.trouble else ""))


_NOT_READY = "up but not ready: it is starting or shutting down"


def _tell(target: str, document: dict[str, object]) -> None:
    typer.echo(json.dumps({"target": target, **document}, indent=2))


def _unready(status: str, message: str) -> dict[str, object]:
    return {"ready": False, "status": status, "message": message}


def _document(found: _Found) -> dict[str, object]:
    if not found.ready:
        return _unready("NOT_SERVING", _NOT_READY)
    if found.health is None:
        return {"ready": True, "status": "SERVING", "message": ""}
    known = vars(found.health)
    return {"ready": True, **known, "components": dict(found.health.components)}


async def _state(target: str, timeout_s: float, access: "Access") -> _Found:
    """Return what a service says of itself; more than whether it is ready only to some."""
    from rt_predictor.client import Client

    async with Client(target, timeout_s=timeout_s, access=access) as client:
        if not await client.is_serving():
            return _Found(ready=False)
        try:
            return _Found(ready=True, health=await client.health())
        except ServiceError:
            return _Found(ready=True)


def _local_target() -> str:
    from rt_predictor.api.sockets import address_of
    from rt_predictor.settings import load_settings

    server = load_settings().server
    host = "localhost" if server.host in _EVERYWHERE else server.host
    return address_of(host, server.port)
