"""`rt-predictor info`."""

import asyncio
import json
from typing import TYPE_CHECKING, Annotated

import typer

from rt_predictor.cli.access_options import takes_access
from rt_predictor.cli.options import BundleFolder, Json, Target, Timeout, chosen_target

if TYPE_CHECKING:
    from rt_predictor.client import Access, ModelInfo


@takes_access
def info(
    *,
    target: Target = None,
    bundle: BundleFolder = None,
    timeout: Timeout = 10.0,
    top: Annotated[int, typer.Option(min=0, metavar="N", help="Features to show.")] = 15,
    every: Annotated[
        bool, typer.Option("--all", help="Show all features, and who provided the logs.")
    ] = False,
    as_json: Json = False,
    access: "Access",
) -> None:
    """Show which model answers.

    Its origin, its figures on jobs that it had not seen and on those that end now, its features,
    and which provider of ONNX Runtime runs how much of it.

    Example:

        rt-predictor info --bundle artifacts/production --all
    """
    asked = chosen_target(target, bundle)
    if bundle is not None:
        from rt_predictor.cli.local import load_predictor, model_info

        found = model_info(load_predictor(bundle))
    else:
        found = asyncio.run(_ask(asked, timeout, access))
    if as_json:
        typer.echo(json.dumps(_document(found), indent=2))
    else:
        from rt_predictor.cli.info_screen import show

        show(found, len(found.model.features) if every else top, thanks=every)


async def _ask(target: str, timeout_s: float, access: "Access") -> "ModelInfo":
    from rt_predictor.client import Client

    async with Client(target, timeout_s=timeout_s, access=access) as client:
        return await client.model_info()


def _document(found: "ModelInfo") -> dict[str, object]:
    """The fields of the API's GetModelInfoResponse."""
    from dataclasses import asdict

    model = asdict(found.model)
    model["models"] = model.pop("members")
    return {
        "model_version": found.model_version,
        "service_version": found.service_version,
        "confidence_level": found.confidence_level,
        "recommendation_confidence": found.recommendation_confidence,
        **model,
        "uptime_seconds": found.uptime_seconds,
        "predictions_served": found.predictions_served,
        "live": asdict(found.live),
        "shadow": asdict(found.shadow) if found.shadow else None,
    }
