"""`rt-predictor train`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rt_predictor.cli.options import (
    Columns,
    Config,
    Fields,
    Format,
    Timezone,
    Traces,
    read_options,
)
from rt_predictor.errors import StartupError

if TYPE_CHECKING:
    from rt_predictor.traces import Trace

_EXTRA_LIBRARIES = ("catboost", "lightgbm", "onnx", "xgboost")


def train(
    *,
    traces: Traces,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="DIR", help="Where the model bundle goes.")
    ],
    format_: Format = None,
    fields: Fields = "",
    columns: Columns = None,
    timezone: Timezone = "UTC",
    config: Config = None,
) -> None:
    """Trains a model on the finished jobs of job logs.

    Writes a model bundle and says how good it is: the last part of the log (training.test_share)
    is held out, and the figures are of those jobs. Needs the libraries of the extra `train`:
    `pip install 'rt-predictor[train]'`.

    Example:

        rt-predictor train jobs-2024.swf.gz jobs-2025.swf.gz -o models/ours
        rt-predictor serve --bundle models/ours
    """
    _check_libraries()
    from rt_predictor.cli.train_screen import Steps, show_report, show_trace
    from rt_predictor.settings import load_settings
    from rt_predictor.traces import TraceFormat, read_traces
    from rt_predictor.training.pipeline import train as train_model

    settings = load_settings(config)
    options = read_options(fields, columns, timezone)
    with Steps() as steps:
        log = read_traces(
            traces,
            format=TraceFormat(format_.value) if format_ else None,
            options=options,
            progress=lambda share: steps.show("reading", share),
        )
    show_trace(log)
    with Steps() as steps:
        report = train_model(log.jobs, _names(log), output, settings, steps.show)
    show_report(report)


def _names(log: "Trace") -> list[str]:
    return [path.name for path in (log.path, *log.more_paths)]


def _check_libraries() -> None:
    """Raises StartupError where the libraries of training are not installed."""
    from importlib.util import find_spec

    missing = [name for name in _EXTRA_LIBRARIES if find_spec(name) is None]
    if missing:
        raise StartupError(
            f"training needs {', '.join(missing)}: install them with "
            "`pip install 'rt-predictor[train]'`"
        )
