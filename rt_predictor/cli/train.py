"""`rt-predictor train`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rt_predictor.cli.options import (
    BaseFolder,
    Columns,
    Config,
    Fields,
    Format,
    FromScratch,
    Timezone,
    check_training_libraries,
    read_options,
)
from rt_predictor.cli.renew import Logs, Renewal, renew
from rt_predictor.errors import UsageError

if TYPE_CHECKING:
    from rt_predictor.settings import Settings

_RENEWAL = "Renewal in the field"


def train(
    *,
    traces: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="TRACE",
            help="Job logs of one system; may be compressed. With --watch there need be none: they "
            "are read beside what the service has recorded.",
            show_default=False,
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="DIR",
            help="Folder for the model bundle. With --watch: for the candidate.  "
            "[default then: model.shadow_path]",
            show_default=False,
        ),
    ] = None,
    base: BaseFolder = None,
    from_scratch: FromScratch = False,
    watch: Annotated[
        bool,
        typer.Option(
            "--watch",
            help="Renew the bundle in service (model.path) until stopped.",
            rich_help_panel=_RENEWAL,
        ),
    ] = False,
    every: Annotated[
        float | None,
        typer.Option(
            min=0.01,
            metavar="DAYS",
            help="Time between two trainings, and from each to its verdict.",
            rich_help_panel=_RENEWAL,
        ),
    ] = None,
    once: Annotated[
        bool,
        typer.Option(
            "--once", help="Do what is due and stop, as a timer wants it.", rich_help_panel=_RENEWAL
        ),
    ] = False,
    least_jobs: Annotated[
        int,
        typer.Option(
            min=30,
            metavar="N",
            help="Finished jobs that must be new for a training, and have followed for a verdict.",
            rich_help_panel=_RENEWAL,
        ),
    ] = 500,
    format_: Format = None,
    fields: Fields = "",
    columns: Columns = None,
    timezone: Timezone = "UTC",
    config: Config = None,
) -> None:
    """Fine-tune the base model on the job logs of one site.

    The base model knows many sites, and none by name. It goes on learning from all but the jobs
    that ended last (training.window_share); on these the tuned model, the base and what lies
    between them are compared, and the best is written, never one worse than the base, with its
    figures on them. A log too small to learn from gives the base with its recalibration. Needs the
    libraries of the extra `train`: `pip install 'rt-predictor[train]'`.

    With --every DAYS --watch it renews the model in service from what its service has recorded. A
    candidate is tuned from the base on the jobs that ended last, put where the service's shadow
    looks (model.shadow_path), and judged a period later by the jobs that followed: it takes the
    place of the bundle in service only where it is no worse. What was there before is kept beside
    it as DIR.previous.

    Example:

        rt-predictor train jobs-2024.swf.gz jobs-2025.swf.gz -o models/ours
        rt-predictor serve --bundle models/ours
        rt-predictor train --every 7 --watch
    """
    renewal = Renewal(every, watch, once, least_jobs)
    renewal.check(from_scratch=from_scratch)
    if not watch:
        _check_whole(traces, output)
    check_training_libraries()
    from rt_predictor.settings import load_settings

    settings = load_settings(config)
    options = read_options(fields, columns, timezone, settings)
    logs = Logs(traces or [], format_, options)
    if watch:
        renew(renewal, logs, output, base, settings)
    elif output is not None:
        _train(logs, output, base, settings, from_scratch=from_scratch)


def _check_whole(traces: list[Path] | None, output: Path | None) -> None:
    """Raise UsageError where training lacks what renewal finds in the settings."""
    if not traces:
        raise UsageError("name a job log to train on, or renew with --every DAYS --watch")
    if output is None:
        raise UsageError("say where the model bundle goes: --output DIR (-o)")


def _train(
    logs: Logs, output: Path, base: Path | None, settings: "Settings", *, from_scratch: bool
) -> None:
    """Train on logs, write the bundle, and say how good it is."""
    from rt_predictor.cli.evaluation_screen import show_report
    from rt_predictor.cli.progress_bar import ProgressBar, log_names, show_log
    from rt_predictor.training.prepare import whole_log
    from rt_predictor.training.site import start_of, train_site

    with ProgressBar() as bar:
        start = start_of(base, settings, output, from_scratch=from_scratch)
        log = bar.read(logs.traces, logs.format_, logs.options)
        show_log(log)
        names = log_names(log)
        report = train_site(whole_log(log), names, start, output, settings, progress=bar.show)
    show_report(report)
