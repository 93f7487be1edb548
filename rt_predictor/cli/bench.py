"""`rt-predictor bench`."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rt_predictor.cli.access_options import takes_access
from rt_predictor.cli.options import BundleFolder, Config, Target
from rt_predictor.errors import UsageError

if TYPE_CHECKING:
    from rt_predictor.client import Access


@takes_access
def bench(
    *,
    target: Target = None,
    bundle: BundleFolder = None,
    config: Config = None,
    trace: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Job log to draw jobs from.", show_default="made-up jobs"
        ),
    ] = None,
    rounds: Annotated[
        int, typer.Option(min=1, metavar="N", help="Number of times that each figure is taken.")
    ] = 5,
    scale: Annotated[
        float,
        typer.Option(
            min=0.001, max=1.0, metavar="SHARE", help="Share of the usual calls, for a quick look."
        ),
    ] = 1.0,
    mlserver: Annotated[
        Path | None,
        typer.Option(
            metavar="PYTHON",
            help="Compare with the MLServer of this Python (mlserver, mlserver-lightgbm).",
            show_default="none",
            exists=True,
            dir_okay=False,
        ),
    ] = None,
    json_file: Annotated[
        str, typer.Option("--json", metavar="FILE", help="Write a JSON document; - is stdout.")
    ] = "",
    access: "Access",
) -> None:
    """Measure how fast this machine predicts, beside what it could do at best.

    Starts a service and a bare gRPC echo in processes of their own, and calls both in turns with
    jobs of which no two are alike; measures the model alone and, where they are installed, the
    native libraries; and holds the figures against what is promised. Figures are medians over
    rounds, with the range. Takes some minutes; nothing else should run meanwhile.

    With --target the service at that address is measured instead.

    Example:

        rt-predictor bench --json bench.json
    """
    if target is not None and bundle is not None:
        raise UsageError("give --target or --bundle, not both: one of them is measured")
    from rich.console import Console

    from rt_predictor.bench.jobs import JobSource
    from rt_predictor.bench.plan import BenchPlan
    from rt_predictor.bench.run import run
    from rt_predictor.cli.bench_screen import document, show
    from rt_predictor.settings import load_settings

    source = JobSource.generated() if trace is None else JobSource.from_log(trace)
    folder = bundle or load_settings(config).model.path
    plan = BenchPlan(folder, source, rounds, scale, target, access, mlserver)
    errors = Console(stderr=True, highlight=False)
    figures = run(plan, lambda what: errors.print(f"measuring {what} …"))
    if json_file == "-":
        typer.echo(json.dumps(document(plan, figures), indent=2))
        return
    if json_file:
        Path(json_file).write_text(json.dumps(document(plan, figures), indent=2) + "\n")
    show(figures)
