"""`rt-predictor serve`."""

from pathlib import Path
from typing import Annotated

import typer

from rt_predictor.cli.options import Config


def serve(
    *,
    config: Config = None,
    bundle: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Model bundle to serve (model.path).")
    ] = None,
    shadow: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Candidate's bundle, judged on the same jobs (model.shadow_path).",
        ),
    ] = None,
    port: Annotated[
        int | None, typer.Option(metavar="N", help="gRPC port; 0 takes any free one (server.port).")
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(metavar="N", help="Processes that share the port (server.max_workers)."),
    ] = None,
    metrics_port: Annotated[
        int | None,
        typer.Option(metavar="N", help="Port of the metrics page (server.metrics_port)."),
    ] = None,
) -> None:
    """Start the prediction service.

    SIGTERM or Ctrl-C stops it, once the calls in progress have finished. These options win over
    environment variables such as RT_PREDICTOR_SERVER__PORT, and those over the settings file.

    Example:

        rt-predictor serve --config config/rt_predictor.toml --workers 4
    """
    from rt_predictor.settings import Settings, load_settings

    def read() -> Settings:
        return load_settings(config).with_overrides(
            {
                "model.path": bundle,
                "model.shadow_path": shadow,
                "server.port": port,
                "server.max_workers": workers,
                "server.metrics_port": metrics_port,
            }
        )

    settings = read()
    from rt_predictor.processes.run import run

    raise typer.Exit(run(settings, reread=read))
