"""`rt-predictor train`."""

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


def train(
    *,
    traces: Traces,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="DIR", help="Where the model bundle goes.")
    ],
    base: BaseFolder = None,
    from_scratch: FromScratch = False,
    format_: Format = None,
    fields: Fields = "",
    columns: Columns = None,
    timezone: Timezone = "UTC",
    config: Config = None,
) -> None:
    """Tunes the base model on the finished jobs of job logs of one site.

    The base model knows many sites, and none by name. It goes on learning from all but the jobs
    that ended last (training.window_share); on these the tuned model, the base and what lies
    between them are compared, and the best is written, never one worse than the base. Says how good
    it was on them. A log too small to learn from gives the base with its recalibration. Needs the
    libraries of the extra `train`: `pip install 'rt-predictor[train]'`.

    Example:

        rt-predictor train jobs-2024.swf.gz jobs-2025.swf.gz -o models/ours
        rt-predictor serve --bundle models/ours
    """
    check_training_libraries()
    from rt_predictor.cli.progress_bar import ProgressBar
    from rt_predictor.cli.train_log import log_names, show_log
    from rt_predictor.cli.train_screen import show_report
    from rt_predictor.settings import load_settings
    from rt_predictor.training.prepare import whole_log
    from rt_predictor.training.site import start_of, train_site

    settings = load_settings(config)
    enforced = settings.prediction.limits_enforced
    options = read_options(fields, columns, timezone, limits_enforced=enforced)
    with ProgressBar() as bar:
        start = start_of(base, settings, output, from_scratch=from_scratch)
        log = bar.read(traces, format_, options)
        show_log(log)
        names = log_names(log)
        report = train_site(whole_log(log), names, start, output, settings, progress=bar.show)
    show_report(report)
