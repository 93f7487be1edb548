"""`rt-predictor train`."""

from pathlib import Path
from typing import Annotated

import typer

from rt_predictor.cli.options import (
    Columns,
    Config,
    Fields,
    Format,
    Timezone,
    Traces,
    check_training_libraries,
    read_options,
)


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
    check_training_libraries()
    from rt_predictor.cli.train_log import log_names, read_log
    from rt_predictor.cli.train_screen import Steps, show_report
    from rt_predictor.settings import load_settings
    from rt_predictor.training.pipeline import train as train_model

    settings = load_settings(config)
    enforced = settings.prediction.limits_enforced
    options = read_options(fields, columns, timezone, limits_enforced=enforced)
    log = read_log(traces, format_, options)
    with Steps() as steps:
        report = train_model(log.jobs, log_names(log), output, settings, steps.show)
    show_report(report)
