"""`rt-predictor history quarantine`: doubtful events, until an operator has looked at them."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from rt_predictor.cli.history_upkeep import DryRun, LogFile, opened_log, say_removed
from rt_predictor.cli.options import Config, Json, JsonCommand
from rt_predictor.errors import UsageError

if TYPE_CHECKING:
    from rt_predictor.eventlog.removing import Selection

Client = Annotated[
    str | None, typer.Option(metavar="NAME", help='Only what this client sent; "" if not known.')
]
User = Annotated[str | None, typer.Option(metavar="NAME", help="Only jobs of this user.")]
JobIds = Annotated[
    list[str] | None,
    typer.Option("--id", metavar="JOB", help="Only this job, by its id; may be repeated."),
]
All = Annotated[bool, typer.Option("--all", help="All that is in quarantine.")]

_SHOWN = ("cluster", "job_id", "attempt", "user", "client", "quarantine")
_TIMES = ("submit_time", "end_time", "runtime", "time_req", "arrived_s")

quarantine_app = typer.Typer(
    name="quarantine",
    help="""Doubtful events: kept, but not learned from until somebody has looked at them.

    Ends of jobs that are said to have run for more than twice their time limit, and more than an
    hour longer, where `prediction.limits_enforced` says that jobs are ended at it.

    Example:

        rt-predictor history quarantine list
    """,
    no_args_is_help=True,
    rich_markup_mode="markdown",
)


@quarantine_app.command("list", cls=JsonCommand)
def list_(
    *,
    client: Client = None,
    user: User = None,
    id_: JobIds = None,
    json: Json = False,
    history: LogFile = None,
    config: Config = None,
) -> None:
    """List events in quarantine, in the order in which they came in.

    Example:

        rt-predictor history quarantine list --client epilog
    """
    with opened_log(history, config) as log:
        events = log.quarantined(_selection(client, user, id_))
    rows = events.select(*_SHOWN, *_TIMES).rows(named=True)
    if json:
        from json import dumps

        typer.echo(dumps(rows, indent=2))
        return
    for row in rows:
        typer.echo(_line(row))
    from rt_predictor.cli.words import counted

    typer.echo(f"{counted(len(rows), 'event')} in quarantine")


@quarantine_app.command()
def release(
    *,
    client: Client = None,
    user: User = None,
    id_: JobIds = None,
    all_: All = False,
    dry_run: DryRun = False,
    history: LogFile = None,
    config: Config = None,
) -> None:
    """Release events: from now on they count as if they had never been doubted.

    Events are released where all options hold. A service that uses the log notices by itself, and
    reads all of it again.

    Example:

        rt-predictor history quarantine release --id 4711 --id 4712
    """
    selection = _chosen(client, user, id_, all_=all_)
    with opened_log(history, config) as log:
        count = len(log.quarantined(selection)) if dry_run else log.release(selection)
    from rt_predictor.cli.words import counted

    typer.echo(f"{counted(count, 'event')} {'would be ' if dry_run else ''}released")


@quarantine_app.command()
def drop(
    *,
    client: Client = None,
    user: User = None,
    id_: JobIds = None,
    all_: All = False,
    dry_run: DryRun = False,
    history: LogFile = None,
    config: Config = None,
) -> None:
    """Delete events from the log for good: as if they had never come in.

    Events are deleted where all options hold. Where another version of an event had been sent, it
    takes the place.

    Example:

        rt-predictor history quarantine drop --client epilog
    """
    selection = _chosen(client, user, id_, all_=all_)
    with opened_log(history, config) as log:
        removed = log.count_selected(selection) if dry_run else log.remove(selection)
    say_removed(removed, "dropped", dry_run)


def _selection(client: str | None, user: str | None, ids: list[str] | None) -> "Selection":
    from rt_predictor.eventlog.removing import Selection

    return Selection(client=client, user=user, job_ids=tuple(ids or ()), quarantined=True)


def _chosen(
    client: str | None, user: str | None, ids: list[str] | None, *, all_: bool
) -> "Selection":
    """The events that are meant. Raises UsageError where nothing says which, or too much does."""
    some = client is not None or user is not None or bool(ids)
    if some == all_:
        raise UsageError("say which events: --id, --client, --user, or --all for all of them")
    return _selection(client, user, ids)


def _line(row: dict[str, Any]) -> str:
    from rt_predictor.cli.words import duration, moment

    cluster = f" of {row['cluster']}" if row["cluster"] else ""
    return (
        f"job {row['job_id']}{cluster}, ended {moment(row['end_time'])}: ran for "
        f"{duration(row['runtime'])}, limit {duration(row['time_req'])}: {row['quarantine']} "
        f"(user {row['user'] or 'not known'}, from {row['client'] or 'not known'})"
    )
