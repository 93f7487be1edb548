"""What `rt-predictor train` shows: progress on stderr, the result on stdout."""

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn
from rich.table import Table

from rt_predictor.cli.words import duration, percent
from rt_predictor.traces import Trace
from rt_predictor.training.evaluate import Evaluation
from rt_predictor.training.metrics import PointMetrics
from rt_predictor.training.pipeline import TrainingReport


class Steps:
    """A progress bar for each step, on a terminal; nothing in a pipe."""

    def __init__(self) -> None:
        console = Console(stderr=True)
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            console=console,
            disable=not console.is_terminal,
        )
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._progress.stop()

    def show(self, step: str, share: float) -> None:
        """Tells that a share (0 to 1) of a step is done."""
        if step not in self._tasks:
            self._tasks[step] = self._progress.add_task(step, total=1.0)
        self._progress.update(self._tasks[step], completed=share)


def show_trace(log: Trace) -> None:
    """What was read, and what was left out."""
    console = Console(stderr=True, soft_wrap=True, highlight=False, markup=False)
    console.print(f"read {len(log.jobs):,} finished jobs from {log.lines:,} records")
    for reason, count in log.skipped.items():
        console.print(f"  left out: {reason}: {count:,}")
    if log.malformed_count:
        console.print(f"  left out: malformed: {log.malformed_count:,}, e.g. {log.malformed[0]}")
    for note in log.notes:
        console.print(f"  note: {note}")


def show_report(report: TrainingReport) -> None:
    """How good the model is, and where it went."""
    evaluation, interval = report.evaluation, report.evaluation.interval
    console = Console(highlight=False, soft_wrap=True)
    console.print(
        f"{evaluation.jobs_test:,} later jobs predicted from {evaluation.jobs_train:,} jobs:"
    )
    console.print(_table(evaluation))
    console.print(
        f"{percent(interval.level)} intervals hold {percent(interval.coverage)} of them "
        f"({percent(min(interval.block_coverage))} to {percent(max(interval.block_coverage))} in "
        f"tenths), mean width {duration(interval.mean_width)}"
    )
    console.print(f"wrote model {report.model_version} to {report.folder}", markup=False)


def _table(evaluation: Evaluation) -> Table:
    table = Table("", "MAE", "median error", "accuracy", "too short", "RMSE", "R²")
    for column in table.columns[1:]:
        column.justify = "right"
    for name, metrics in evaluation.models.items():
        table.add_row(*_row(name, metrics))
    table.add_section()
    for name, metrics in evaluation.baselines.items():
        table.add_row(*_row(f"baseline: {name}", metrics))
    return table


def _row(name: str, metrics: PointMetrics) -> tuple[str, ...]:
    return (
        name,
        duration(metrics.mae),
        duration(metrics.median_ae),
        f"{metrics.accuracy:.3f}",
        percent(metrics.underestimated),
        duration(metrics.rmse),
        f"{metrics.r2:.3f}",
    )
