"""`rt-predictor history`: the outcome log of a service, filled and looked at."""

import shlex
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rt_predictor.cli.access_options import takes_access
from rt_predictor.cli.history_quarantine import quarantine_app
from rt_predictor.cli.history_upkeep import (
    LogFile,
    backup,
    clients,
    forget,
    prune,
    restore,
    withdraw,
)
from rt_predictor.cli.options import (
    DEFAULT_TARGET,
    Columns,
    Config,
    Fields,
    Format,
    Json,
    JsonCommand,
    Target,
    Timeout,
    Timezone,
    Traces,
    read_options,
)
from rt_predictor.cli.units import moment_s
from rt_predictor.errors import UsageError

if TYPE_CHECKING:
    from rt_predictor.cli.history_import import Imported
    from rt_predictor.client import Access
    from rt_predictor.follow.feed import Feed

_DAY_S = 86400.0

history_app = typer.Typer(
    name="history",
    help="""Fill, describe and maintain the log of jobs that predictions learn from.

    Example:

        rt-predictor history import jobs-2025.swf.gz
    """,
    no_args_is_help=True,
    rich_markup_mode="markdown",
)

history_app.add_typer(quarantine_app)
for _command in (clients, withdraw, forget, prune, backup, restore):
    history_app.command()(_command)


@history_app.command("import")
@takes_access
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
    access: "Access",
) -> None:
    """Import the jobs of job logs into history.

    These are the finished ones, those that were cancelled before they started, and those that
    waited or ran when the log was written. They go into the event log, whether or not a service
    uses it at the moment: one that does notices at once. Jobs that are there already are not
    counted twice, so an import can be repeated, or go on where another one was cut off. A job
    without an id gets one that follows from what it is. The answer adds up what became of each
    record.

    Example:

        rt-predictor history import jobs-2024.swf.gz jobs-2025.swf.gz
    """
    if history is not None and target is not None:
        raise UsageError("give --history or --target, not both: the jobs go to one of them")
    import polars as pl

    from rt_predictor.cli.history_import import import_into_log, import_into_service, left_out
    from rt_predictor.cli.progress_bar import ProgressBar, show_log
    from rt_predictor.jobs.events import log_events, with_doubts
    from rt_predictor.settings import load_settings

    settings = load_settings(config)
    path = history or settings.history.path
    options = replace(read_options(fields, columns, timezone, settings), may_be_empty=True)
    with ProgressBar(reading=0.5) as bar:
        log = bar.read(traces, format_, options)
        # Those in quarantine come in as such, for somebody to look at.
        finished = pl.concat([log.jobs, log.quarantined])
        events, broken = log_events(finished, log.cancelled, log.open, now_s=time.time())
        if target is None:
            events = with_doubts(events, limits_enforced=options.limits_enforced)
            imported = import_into_log(
                events, path, lambda share: bar.show("recording", share), options.home_cluster
            )
        else:
            imported = import_into_service(
                events, target, timeout, access, lambda share: bar.show("recording", share)
            )
    show_log(log, {})  # the sum says what was left out
    if broken:
        typer.echo(f"the first job that cannot be recorded: {broken[0]}", err=True)
    typer.echo(_sum(log.lines, imported, left_out(log, broken), target or str(path)))
    if imported.quarantined:
        typer.echo(
            f"{imported.quarantined:,} in quarantine: `rt-predictor history quarantine list` says "
            "why",
            err=True,
        )


@history_app.command()
@takes_access
def follow(
    *,
    spool: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Folder that Slurm's completion script fills, instead of sacct.",
            show_default=False,
        ),
    ] = None,
    sacct: Annotated[
        str, typer.Option(metavar="COMMAND", help="sacct, maybe with options of its own.")
    ] = "sacct",
    squeue: Annotated[
        str | None,
        typer.Option(
            metavar="COMMAND",
            help='squeue, maybe with options of its own; "" leaves out what waits and runs.',
            show_default="squeue, if it is there",
        ),
    ] = None,
    target: Target = None,
    timeout: Timeout = 60.0,
    interval: Annotated[
        float, typer.Option(min=0.01, metavar="SECONDS", help="Time between two looks.")
    ] = 30.0,
    overlap: Annotated[
        float,
        typer.Option(min=0.0, metavar="SECONDS", help="How late jobs may reach Slurm's database."),
    ] = 3600.0,
    since: Annotated[
        float | None,
        typer.Option(
            parser=moment_s,
            metavar="WHEN",
            help="Where to begin the first time: Unix seconds or ISO 8601 (UTC).",
            show_default="a day ago",
        ),
    ] = None,
    state: Annotated[
        Path, typer.Option(metavar="FILE", help="File that keeps how far sacct was read.")
    ] = Path("var/follow.json"),
    once: Annotated[
        bool, typer.Option("--once", help="Stop once all that is there is recorded.")
    ] = False,
    config: Config = None,
    access: "Access",
) -> None:
    """Send events of jobs to a service as they happen, until it is stopped.

    Asks sacct again and again, or empties a spool; either is enough for what has ended. Beside
    sacct it asks squeue for what waits and runs; beside a spool only where --squeue is given. Each
    event is recorded once, whenever this program or the service is stopped or killed. Where sacct
    or the service is away it waits, ever longer, up to ten minutes.

    Example:

        rt-predictor history follow --target predictor:50051
    """
    from rt_predictor.settings import load_settings

    logging = load_settings(config).logging
    from rt_predictor.follow.command import is_there
    from rt_predictor.follow.run import Pace, recorder_of, run
    from rt_predictor.follow.sacct import SacctFeed
    from rt_predictor.follow.spool import SpoolFeed
    from rt_predictor.follow.squeue import SqueueFeed

    begin_s = time.time() - _DAY_S if since is None else since
    feeds: list[Feed] = [
        SacctFeed(shlex.split(sacct), state, begin_s, overlap)
        if spool is None
        else SpoolFeed(spool)
    ]
    queue = shlex.split("squeue" if squeue is None else squeue)
    if queue and (squeue is not None or (spool is None and is_there(queue))):
        feeds.append(SqueueFeed(queue))
    recorder = recorder_of(target or DEFAULT_TARGET, timeout, access)
    raise typer.Exit(run(feeds, recorder, Pace(interval, once), logging))


@history_app.command(cls=JsonCommand)
def info(*, history: LogFile = None, json: Json = False, config: Config = None) -> None:
    """Describe an event log.

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


def _sum(records: int, imported: "Imported", left_out: Mapping[str, int], where: str) -> str:
    """Return what became of the records of a log, as a sum."""
    from rt_predictor.cli.words import counted, reasons

    known = f"{imported.duplicates:,} known already"
    if imported.conflicts:
        known += f" ({imported.conflicts:,} of them said differently, and kept apart)"
    parts = [f"{imported.recorded:,} recorded in {where}", known]
    if imported.quarantined:
        parts.append(f"{imported.quarantined:,} in quarantine")
    if imported.invalid:
        parts.append(f"{imported.invalid:,} refused by the service")
    why = f" ({reasons(left_out)})" if left_out else ""
    parts.append(f"{sum(left_out.values()):,} left out{why}")
    return f"{counted(records, 'record')} = {' + '.join(parts)}"
