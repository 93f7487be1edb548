"""`rt-predictor reload`."""

import asyncio
import json
from typing import TYPE_CHECKING, Annotated

import typer

from rt_predictor.cli.access_options import takes_access
from rt_predictor.cli.options import Json, Target, chosen_target

if TYPE_CHECKING:
    from rt_predictor.client import Access, Reloaded


@takes_access
def reload(
    *,
    target: Target = None,
    timeout: Annotated[
        float,
        typer.Option(min=0.001, metavar="SECONDS", help="Time it gets for that."),
    ] = 660.0,
    as_json: Json = False,
    access: "Access",
) -> None:
    """Have a service load the bundle in its folder again, without a stop.

    Exit code 0 once all of its workers answer with it, 1 if it cannot be used: then the old model
    goes on serving. The service must allow it (server.admin).

    Example:

        rt-predictor reload --target localhost:50051
    """
    done = asyncio.run(_reload(chosen_target(target, None), timeout, access))
    if as_json:
        versions = {"old_version": done.old_version, "new_version": done.new_version}
        typer.echo(json.dumps(versions, indent=2))
    elif done.old_version == done.new_version:
        typer.echo(f"{done.new_version} was served already: nothing to load")
    else:
        typer.echo(f"{done.new_version} is served now, in place of {done.old_version}")


async def _reload(target: str, timeout_s: float, access: "Access") -> "Reloaded":
    from rt_predictor.client import Client

    async with Client(target, timeout_s=timeout_s, access=access) as client:
        return await client.reload_model()
