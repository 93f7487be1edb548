"""Options that several sub-commands share."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

from rt_predictor.errors import StartupError, UsageError

if TYPE_CHECKING:
    from rt_predictor.settings import Settings
    from rt_predictor.traces import ReadOptions

DEFAULT_TARGET = "localhost:50051"
STDIO = Path("-")
"""Stands for stdin and stdout on the command line."""
_SOURCE = "Service or bundle"
LOG_PANEL = "Reading the job log"
_TRAINING_LIBRARIES = (
    *("catboost", "jax", "lightgbm", "onnx", "onnxmltools", "optax", "skl2onnx", "xgboost"),
)


class LogFormat(StrEnum):
    """Formats of job logs."""

    SWF = "swf"
    SACCT = "sacct"
    CSV = "csv"
    PARQUET = "parquet"


class InputFormat(StrEnum):
    """Formats of jobs to score: those of job logs, of Slurm's queue, and one JSON object a line."""

    SWF = "swf"
    SACCT = "sacct"
    CSV = "csv"
    PARQUET = "parquet"
    JSONL = "jsonl"
    SQUEUE = "squeue"


class AnswerFormat(StrEnum):
    """Formats of the answers that `score` writes."""

    CSV = "csv"
    PARQUET = "parquet"
    JSONL = "jsonl"


Target = Annotated[
    str | None,
    typer.Option(
        metavar="HOST:PORT",
        help="Service to ask.",
        show_default=DEFAULT_TARGET,
        rich_help_panel=_SOURCE,
    ),
]
BundleFolder = Annotated[
    Path | None,
    typer.Option(
        "--bundle",
        metavar="DIR",
        help="Model bundle to use in this process, without a service.",
        rich_help_panel=_SOURCE,
    ),
]
Timeout = Annotated[
    float,
    typer.Option(
        min=0.001,
        metavar="SECONDS",
        help="Time the service gets to answer one call.",
        rich_help_panel=_SOURCE,
    ),
]
Json = Annotated[
    bool,
    typer.Option("--json", help="Print one JSON document on stdout, and nothing else."),
]
Config = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE", help="Settings file (TOML); config/rt_predictor.toml explains them all."
    ),
]
Traces = Annotated[
    list[Path],
    typer.Argument(
        metavar="TRACE", help="Job logs of one system; may be compressed.", show_default=False
    ),
]
Format = Annotated[
    LogFormat | None,
    typer.Option(
        "--format",
        help="Format of the logs.  [default: by their names, then their contents]",
        rich_help_panel=LOG_PANEL,
    ),
]
Fields = Annotated[
    str,
    typer.Option(
        metavar="NAME,…",
        help="Columns of sacct text that has no header line, e.g. JobIDRaw,User,Submit.",
        show_default=False,
        rich_help_panel=LOG_PANEL,
    ),
]
Columns = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="TOML file that maps columns of a CSV or Parquet file to those of a job.",
        rich_help_panel=LOG_PANEL,
    ),
]
Timezone = Annotated[
    str,
    typer.Option(
        metavar="NAME",
        help="Time zone of times that carry none, e.g. Europe/Paris.",
        rich_help_panel=LOG_PANEL,
    ),
]


BaseFolder = Annotated[
    Path | None,
    typer.Option(
        "--base",
        metavar="DIR",
        help="Base model to start from.  [default: the one that training.base names]",
    ),
]
FromScratch = Annotated[
    bool,
    typer.Option("--from-scratch", help="Start from nothing: learn from this site's log alone."),
]


class JsonCommand(TyperCommand):
    """Takes `--json -` for `--json`: other programs of this kind name a file there, or stdout."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Drop the dash after `--json`."""
        kept = [a for before, a in zip(["", *args], args, strict=False) if (before, a) != _DASH]
        return super().parse_args(ctx, kept)


_DASH = ("--json", "-")


def read_options(
    fields: str, columns: Path | None, timezone: str, settings: "Settings | None" = None
) -> "ReadOptions":
    """Return the options for reading a job log; `settings` are those of the site that wrote it.

    Raises UsageError where an option makes no sense.
    """
    from rt_predictor.traces import ColumnMap, ReadOptions

    names = (name.strip() for name in fields.split(","))
    return ReadOptions(
        fields=tuple(name for name in names if name),
        timezone=timezone,
        columns=ColumnMap.from_toml(columns) if columns else None,
        limits_enforced=settings is not None and settings.prediction.limits_enforced,
        home_cluster="" if settings is None else settings.history.home_cluster,
    )


def check_training_libraries() -> None:
    """Raise StartupError where the libraries of training are not installed, or do not load."""
    from importlib import import_module
    from importlib.util import find_spec

    missing = [name for name in _TRAINING_LIBRARIES if find_spec(name) is None]
    if missing:
        raise StartupError(
            f"training needs {', '.join(missing)}: install them with "
            "`pip install 'rt-predictor[train]'`"
        )
    try:
        import_module("lightgbm")
    except OSError as error:
        # It is the only one that does not bring all that it links.
        raise StartupError(
            f"training needs OpenMP's library ({error}): install libgomp1 (Debian, Ubuntu) or "
            "libgomp (Red Hat, SUSE)"
        ) from error


def chosen_target(target: str | None, bundle: Path | None) -> str:
    """The service to ask, where no bundle is named.

    Raises UsageError where both are named.
    """
    if target is not None and bundle is not None:
        raise UsageError("give --target or --bundle, not both: one of them answers")
    return target or DEFAULT_TARGET
