"""`rt-predictor evaluate`."""

import json
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
from rt_predictor.errors import UsageError

_STDOUT = Path("-")


def evaluate(
    *,
    traces: Traces,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="DIR", help="Where report.html goes; it opens offline."
        ),
    ] = None,
    json_file: Annotated[
        Path | None,
        typer.Option(
            "--json",
            metavar="FILE",
            help="Write all figures as one JSON document; - prints it, and nothing else.",
        ),
    ] = None,
    retrain_every: Annotated[
        float | None,
        typer.Option(
            min=0.01, metavar="DAYS", help="Make the model anew after so many days of the log."
        ),
    ] = None,
    format_: Format = None,
    fields: Fields = "",
    columns: Columns = None,
    timezone: Timezone = "UTC",
    config: Config = None,
) -> None:
    """Says how good predictions would have been on job logs.

    A model learns from the jobs that had ended before the last part of the log (training.test_share
    of its submissions) began; that part is then replayed in the order of submission, where every
    job is predicted from what had ended by then. The figures stand beside those of baselines that
    need no model. Nothing is kept but the report. Needs the libraries of the extra `train`.

    Example:

        rt-predictor evaluate jobs.swf.gz -o reports/ours
        rt-predictor evaluate jobs.swf.gz --retrain-every 7 --json -
    """
    check_training_libraries()
    _check_writable(output, json_file)
    from rt_predictor.cli.train_log import log_names, read_log
    from rt_predictor.cli.train_screen import Steps
    from rt_predictor.jobs.rules import null_invalid
    from rt_predictor.settings import load_settings
    from rt_predictor.training.evaluate import evaluate as measure
    from rt_predictor.training.replay import replay
    from rt_predictor.training.split import scorable

    settings = load_settings(config)
    enforced = settings.prediction.limits_enforced
    options = read_options(fields, columns, timezone, limits_enforced=enforced)
    log = read_log(traces, format_, options)
    jobs = null_invalid(scorable(log.jobs))
    with Steps() as steps:
        replayed = replay(jobs, settings, retrain_every, steps.show)
        steps.show("measuring", 0.0)
        name = " + ".join(log_names(log))
        found = measure(name, jobs, replayed, settings.prediction.confidence_level)
        steps.show("measuring", 1.0)
    text = json.dumps(found.to_json(), indent=2, allow_nan=False) + "\n"
    wrote = []
    if output is not None:
        from rt_predictor.cli.report import write_report

        wrote.append(write_report(output, found, replayed))
    if json_file == _STDOUT:
        typer.echo(text, nl=False)
        return
    if json_file is not None:
        json_file.write_text(text, encoding="utf-8")
        wrote.append(json_file)

    from rt_predictor.cli.evaluation_screen import show_evaluation

    show_evaluation(found)
    for path in wrote:
        typer.echo(f"wrote {path}")


def _check_writable(folder: Path | None, file: Path | None) -> None:
    """Finds out before the work whether its result can be written.

    Raises UsageError.
    """
    if folder is not None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(f"{folder} cannot be made a folder: {error.strerror}") from error
    if file is not None and file != _STDOUT:
        existed = file.exists()
        try:
            file.open("a").close()
        except OSError as error:
            raise UsageError(f"{file} cannot be written: {error.strerror}") from error
        if not existed:
            file.unlink()
