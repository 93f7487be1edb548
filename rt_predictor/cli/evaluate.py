"""`rt-predictor evaluate`."""

import json
from pathlib import Path
from typing import Annotated

import typer

from rt_predictor.cli.options import (
    BaseFolder,
    Columns,
    Config,
    Fields,
    Format,
    FromScratch,
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
            min=0.01, metavar="DAYS", help="Tune the model anew after so many days of the log."
        ),
    ] = None,
    bundle: Annotated[
        Path | None,
        typer.Option(
            "--bundle", metavar="DIR", help="Judge this bundle as it is, without any training."
        ),
    ] = None,
    base: BaseFolder = None,
    from_scratch: FromScratch = False,
    beside: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Parquet file of what edition 1.0 answers to this log: see tools/edition1.py.",
        ),
    ] = None,
    format_: Format = None,
    fields: Fields = "",
    columns: Columns = None,
    timezone: Timezone = "UTC",
    config: Config = None,
) -> None:
    """Measure how good predictions would have been on job logs.

    The base model is tuned on the jobs that had ended before the last part of the log
    (training.test_share of its submissions) began; that part is then replayed in the order of
    submission, where every job is predicted from what was known by then. With --bundle, a bundle is
    judged as it is: for the base model that is what a site gets that never trains. The figures
    stand beside those of baselines that need no model. Nothing is kept but the report. Needs the
    libraries of the extra `train`.

    Example:

        rt-predictor evaluate jobs.swf.gz -o reports/ours
        rt-predictor evaluate --bundle artifacts/production jobs.swf.gz
        rt-predictor evaluate jobs.swf.gz --retrain-every 7 --json -
    """
    _check_options(bundle, base, retrain_every, from_scratch=from_scratch)
    check_training_libraries()
    _check_writable(output, json_file)
    from rt_predictor.cli.progress_bar import ProgressBar, log_names, show_log
    from rt_predictor.model.bundle import read_bundle
    from rt_predictor.settings import load_settings
    from rt_predictor.training.beside import compare, read_answers
    from rt_predictor.training.evaluate import evaluate as measure
    from rt_predictor.training.judged import judge_bundle, judge_training
    from rt_predictor.training.prepare import prepare_log, whole_log
    from rt_predictor.training.site import start_of

    settings = load_settings(config)
    answers = read_answers(beside) if beside else None
    judged = read_bundle(bundle) if bundle else None
    options = read_options(fields, columns, timezone, settings)
    with ProgressBar() as bar:
        start = (
            None
            if judged is not None
            else start_of(base, settings, None, from_scratch=from_scratch)
        )
        log = bar.read(traces, format_, options)
        show_log(log)
        prepared = prepare_log(whole_log(log), " + ".join(log_names(log)))
        if judged is not None:
            replayed = judge_bundle(prepared, judged, settings, bar.show)
        elif start is not None:
            replayed = judge_training(prepared, start, settings, retrain_every, bar.show)
        compared = None if answers is None else compare(replayed, answers)
        found = measure(prepared, replayed, settings.prediction.confidence_level, compared)
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


def _check_options(
    bundle: Path | None, base: Path | None, retrain_every: float | None, *, from_scratch: bool
) -> None:
    """Raise UsageError for options that do not go together."""
    if bundle is not None and (base is not None or from_scratch or retrain_every is not None):
        raise UsageError(
            "a --bundle is judged as it is: give it without --base, --from-scratch and "
            "--retrain-every"
        )
    if from_scratch and base is not None:
        raise UsageError(
            "give --base or --from-scratch, not both: training starts from one of them"
        )


def _check_writable(folder: Path | None, file: Path | None) -> None:
    """Find out before the work whether its result can be written.

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
