"""`rt-predictor history`: the outcome log of a service, filled and looked at."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rt_predictor.cli.options import (
    Columns,
    Config,
    Fields,
    Format,
    Json,
    JsonCommand,
    Timeout,
    Timezone,
    Traces,
    read_options,
)
from rt_predictor.errors import InvalidJobError, UsageError

if TYPE_CHECKING:
    from rt_predictor.cli.history_import import Imported

history_app = typer.Typer(
    name="history",
    help="""The log of finished jobs that predictions learn from.

    Example:

        rt-predictor history import jobs-2025.swf.gz
    """,
    no_args_is_help=True,
    rich_markup_mode="markdown",
)

LogFile = Annotated[
    Path | None,
    typer.Option("--history", metavar="FILE", help="Outcome log (history.path of the settings)."),
]


@history_app.command("import")
def import_(
    *,
    traces: Traces,
    history: LogFile = None,
    target: Annotated[
        str | None,
        typer.Option(
            metavar="HOST:PORT",
            help="Service to send the jobs to, instead of writing its log.",
            show_default=False,
        ),
    ] = None,
    timeout: Timeout = 60.0,
    format_: Format = None,
    fields: Fields = "",
    columns: Columns = None,
    timezone: Timezone = "UTC",
    config: Config = None,
) -> None:
    """Brings the finished jobs of job logs into history.

    Writes into the outcome log, whether or not a service uses it at the moment: one that does
    notices at once. Jobs that are there already are not counted twice, so an import can be
    repeated, or go on where another one was cut off. A job without an id gets one that follows from
    what it is.

    Example:

        rt-predictor history import jobs-2024.swf.gz jobs-2025.swf.gz
    """
    if history is not None and target is not None:
        raise UsageError("give --history or --target, not both: the jobs go to one of them")
    from rt_predictor.cli.history_import import import_into_log, import_into_service, read_events
    from rt_predictor.cli.train_log import show_log
    from rt_predictor.cli.train_screen import Steps
    from rt_predictor.settings import load_settings
    from rt_predictor.traces import TraceFormat, read_traces

    path = history or load_settings(config).history.path
    options = read_options(fields, columns, timezone)
    with Steps() as steps:
        log = read_traces(
            traces,
            format=TraceFormat(format_.value) if format_ else None,
            options=options,
            progress=lambda share: steps.show("reading", share),
        )
        events, broken = read_events(log.jobs)
        if target is None:
            imported = import_into_log(events, path, lambda share: steps.show("recording", share))
        else:
            imported = import_into_service(
                events, target, timeout, lambda share: steps.show("recording", share)
            )
    show_log(log)
    _say(imported, broken, target or str(path))


@history_app.command(cls=JsonCommand)
def info(*, history: LogFile = None, json: Json = False, config: Config = None) -> None:
    """Says what an outcome log holds.

    Example:

        rt-predictor history info --json
    """
    from rt_predictor.cli.history_info import describe_log, log_lines
    from rt_predictor.settings import load_settings

    described = describe_log(history or load_settings(config).history.path)
    if json:
        from dataclasses import asdict
        from json import dumps

        typer.echo(dumps(asdict(described), indent=2))
    else:
        typer.echo(log_lines(described))


def _say(imported: "Imported", broken: Sequence[InvalidJobError], where: str) -> None:
    example = f", e.g. {broken[0]}" if broken else ""
    typer.echo(
        f"{imported.recorded:,} jobs recorded in {where}, {imported.duplicates:,} known already, "
        f"{len(broken) + imported.invalid:,} skipped that break a rule{example}"
    )
