"""The program: its sub-commands, and what becomes of errors.

Exit codes: 0 done; 2 the command line or a job is wrong; 3 cannot start (bundle, port, settings);
130 interrupted; 1 anything else. Errors are one line on stderr.
"""

import os
import sys
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import typer

from rt_predictor import __version__
from rt_predictor.cli.agent import agent
from rt_predictor.cli.bench import bench
from rt_predictor.cli.evaluate import evaluate
from rt_predictor.cli.health import health
from rt_predictor.cli.history import history_app
from rt_predictor.cli.info import info
from rt_predictor.cli.options import JsonCommand
from rt_predictor.cli.predict import predict
from rt_predictor.cli.reload import reload
from rt_predictor.cli.score import score
from rt_predictor.cli.serve import serve
from rt_predictor.cli.token import token
from rt_predictor.cli.train import train
from rt_predictor.errors import EXIT_FAILURE, EXIT_OK, RTPredictorError, outcome_of

PROGRAM = "rt-predictor"
EXIT_INTERRUPTED = 130


@dataclass
class _Run:
    """Options before the sub-command."""

    debug: bool = False


def _show_version(wanted: bool) -> None:
    if wanted:
        version()
        raise typer.Exit


def version() -> None:
    """Print the version of the program."""
    typer.echo(f"{PROGRAM} {__version__}")


app = typer.Typer(
    name=PROGRAM,
    help="How long will this batch job really run? Predicts the runtime of HPC jobs.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def _options(
    context: typer.Context,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show where an unexpected error comes from.")
    ] = False,
    _version: Annotated[
        bool,
        typer.Option("--version", help="Show the version.", callback=_show_version, is_eager=True),
    ] = False,
) -> None:
    context.obj.debug = debug


app.command()(serve)
app.command()(agent)
app.command(cls=JsonCommand)(predict)
app.command()(score)
app.command()(train)
app.command()(evaluate)
app.add_typer(history_app)
app.command(cls=JsonCommand)(info)
app.command(cls=JsonCommand)(health)
app.command(cls=JsonCommand)(reload)
app.command()(bench)
app.command()(token)
app.command()(version)


_FOREIGN_METRICS = ("PROMETHEUS_MULTIPROC_DIR", "prometheus_multiproc_dir")
"""Folder in which programs of another kind gather their metrics; workers here have their own."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program and return its exit code."""
    run = _Run()
    for name in _FOREIGN_METRICS:
        os.environ.pop(name, None)
    try:
        app(args=arguments, prog_name=PROGRAM, obj=run)
        return EXIT_OK
    except SystemExit as exit_:
        code = EXIT_OK if exit_.code is None else exit_.code
        return code if isinstance(code, int) else EXIT_FAILURE
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except Exception as error:
        if run.debug:
            traceback.print_exc()
        _say(error)
        return outcome_of(error).exit_code


def _say(error: Exception) -> None:
    text = " ".join(str(error).split())
    if not isinstance(error, RTPredictorError):
        text = (
            f"unexpected {type(error).__name__}: {text} "
            f"(see where it comes from with `{PROGRAM} --debug …`)"
        )
    print(f"error: {text}", file=sys.stderr)
