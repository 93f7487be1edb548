"""Upkeep of the log, `rt-predictor history`: clients, withdrawals, pruning, backups."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rt_predictor.cli.options import Config
from rt_predictor.cli.units import moment_s
from rt_predictor.errors import HistoryError, UsageError

if TYPE_CHECKING:
    from rt_predictor.eventlog.removing import Removed
    from rt_predictor.eventlog.sqlite import SQLiteEventLog

LogFile = Annotated[
    Path | None,
    typer.Option("--history", metavar="FILE", help="Event log (history.path of the settings)."),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say how many events it would be.")]
_WHEN = "Unix seconds or ISO 8601 (UTC)."
_NOTICED = "A service that uses the log notices by itself, and reads all of it again."


def clients(*, history: LogFile = None, config: Config = None) -> None:
    """List the clients that sent the events of a log.

    A client is known by the name of its token or certificate; one without by the way it came
    (`@local` from this host, `@ipv4`, `@ipv6`, `@unix`), and what was imported into the file by
    `@import`.

    Example:

        rt-predictor history clients
    """
    from rt_predictor.cli.words import moment

    with opened_log(history, config) as log:
        shares = log.clients()
    for one in shares:
        name = one.client or "(not known)"
        typer.echo(f"{one.events:>12,}  {moment(one.first_s)} to {moment(one.last_s)}  {name}")


def withdraw(
    *,
    client: Annotated[
        str | None,
        typer.Option(metavar="NAME", help='Only what this client sent; "" where it is not known.'),
    ] = None,
    user: Annotated[
        str | None, typer.Option(metavar="NAME", help="Only jobs of this user.")
    ] = None,
    since: Annotated[
        float | None,
        typer.Option(
            parser=moment_s,
            metavar="WHEN",
            help=f"Only what came in at this time or later: {_WHEN}",
        ),
    ] = None,
    until: Annotated[
        float | None,
        typer.Option(parser=moment_s, metavar="WHEN", help=f"Only what came in before: {_WHEN}"),
    ] = None,
    dry_run: DryRun = False,
    history: LogFile = None,
    config: Config = None,
) -> None:
    """Take back what clients recorded, exactly: as if it had never come in.

    Events are taken back where all options hold. They may come in again, corrected; where another
    client had sent an event too, its version takes the place. A service that uses the log notices
    by itself, and reads all of it again.

    Example:

        rt-predictor history withdraw --client epilog --since 2026-03-01 --until 2026-03-02
    """
    from rt_predictor.eventlog.removing import Selection

    selection = Selection(client=client, user=user, since_s=since, until_s=until)
    if selection.is_everything:
        raise UsageError("say what to withdraw: --client, --user, --since or --until")
    with opened_log(history, config) as log:
        removed = log.count_selected(selection) if dry_run else log.remove(selection)
    say_removed(removed, "withdrawn", dry_run)


def forget(
    *,
    user: Annotated[str, typer.Option(metavar="NAME", help="User whose jobs are deleted.")],
    dry_run: DryRun = False,
    history: LogFile = None,
    config: Config = None,
) -> None:
    """Delete all jobs of a user from the log, and from all files that lie beside it.

    The log is written anew, so that nothing of them stays on its pages; snapshots are deleted, and
    made again without that user. Prints what it cannot reach.

    Example:

        rt-predictor history forget --user ada
    """
    from rt_predictor.eventlog.removing import Selection
    from rt_predictor.eventlog.upkeep import forget_user

    path = _existing(_path(history, config))
    if dry_run:
        with opened_log(path, None) as log:
            say_removed(log.count_selected(Selection(user=user)), "forgotten", dry_run)
        return
    forgotten = forget_user(path, user)
    say_removed(forgotten.removed, "forgotten", dry_run)
    for what, files in (("cleaned", forgotten.cleaned), ("deleted", forgotten.deleted)):
        for file in files:
            typer.echo(f"{what} {file}")
    for file in forgotten.out_of_reach:
        typer.echo(f"not reached: {file} cannot be read and may name the user: delete it")
    typer.echo(
        "not reached, if there are any: backups of the log, bundles that were trained meanwhile, "
        "lines of logs of the service with logging.users"
    )


def prune(
    *,
    before: Annotated[
        float,
        typer.Option(parser=moment_s, metavar="WHEN", help=f"Delete what happened before: {_WHEN}"),
    ],
    compact: Annotated[
        bool,
        typer.Option(
            "--compact",
            help="Shrink the file too: needs as much free space as it has, and delays writers.",
        ),
    ] = False,
    dry_run: DryRun = False,
    history: LogFile = None,
    config: Config = None,
) -> None:
    """Delete old events from the log; none from before that time comes in again.

    The space is used for new events. A service that uses the log notices by itself, and reads all
    of it again.

    Example:

        rt-predictor history prune --before 2025-01-01
    """
    from rt_predictor.eventlog.removing import Selection

    with opened_log(history, config) as log:
        if dry_run:
            removed = log.count_selected(Selection(before_s=before))
        else:
            removed = log.prune(before)
            if compact:
                log.compact()
    say_removed(removed, "pruned", dry_run)


def backup(
    *,
    target: Annotated[Path, typer.Argument(metavar="FILE", help="New file for the copy.")],
    history: LogFile = None,
    config: Config = None,
) -> None:
    """Copy the log as it is now into a new file, whether or not a service uses it.

    Example:

        rt-predictor history backup /backup/history-2026-03-01.sqlite
    """
    from rt_predictor.eventlog.upkeep import back_up

    size = back_up(_existing(_path(history, config)), target)
    typer.echo(f"{target}: {size / 1e6:.1f} MB")


def restore(
    *,
    source: Annotated[Path, typer.Argument(metavar="FILE", help="A backup.")],
    history: LogFile = None,
    config: Config = None,
) -> None:
    """Put a backup in the place of the log, and keep the old log beside it.

    A service that uses the log notices by itself, and goes on with the backup.

    Example:

        rt-predictor history restore /backup/history-2026-03-01.sqlite
    """
    from rt_predictor.eventlog import upkeep

    path = _path(history, config)
    before = upkeep.restore(source, path)
    typer.echo(f"{path} now holds what {source} holds")
    if before is not None:
        typer.echo(f"the old log is {before}: import what it has on top, or delete it")


def _path(history: Path | None, config: Path | None) -> Path:
    from rt_predictor.settings import load_settings

    return history or load_settings(config).history.path


def _existing(path: Path) -> Path:
    if not path.exists():
        raise HistoryError(f"there is no history log {path}: name another with --history")
    return path


@contextmanager
def opened_log(history: Path | None, config: Path | None) -> "Iterator[SQLiteEventLog]":
    """The log, which must be there. Raises HistoryError."""
    from rt_predictor.eventlog.files import open_log

    with closing(open_log(_existing(_path(history, config)))) as log:
        yield log


def say_removed(removed: "Removed", what: str, dry_run: bool) -> None:
    """Print what became of events; `what` is a participle, as in "40 events pruned"."""
    from rt_predictor.cli.words import counted

    would = "would be " if dry_run else ""
    typer.echo(f"{counted(removed.events, 'event')} {would}{what}")
    if removed.versions:
        versions = counted(removed.versions, "other version")
        typer.echo(f"{versions} {would}{what} of events that another client had sent first")
    if removed.restored:
        versions = counted(removed.restored, "version")
        typer.echo(f"in their place now: {versions} that other clients had sent too")
    if not dry_run and removed.events:
        typer.echo(_NOTICED)
