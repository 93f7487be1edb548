"""Figures of an evaluation, and of a model that was trained, on a terminal."""

import math
from collections.abc import Mapping, Sequence

from rich import box
from rich.console import Console
from rich.table import Table

from rt_predictor.cli.words import duration, percent
from rt_predictor.online.groups import HISTORY_LABELS
from rt_predictor.training.baselines import BASELINES
from rt_predictor.training.beside import Beside
from rt_predictor.training.buckets import BucketMetrics
from rt_predictor.training.evaluate import ENSEMBLE, AskedAgainMetrics, Evaluation
from rt_predictor.training.metrics import PointMetrics
from rt_predictor.training.regular_jobs import RegularScores
from rt_predictor.training.reliability import TimeoutMetrics
from rt_predictor.training.scores import IntervalScores
from rt_predictor.training.site import SiteReport
from rt_predictor.training.usefulness import Usefulness

NOTHING = "–"

_KINDS = ("runtime", "size", "partition", "history")


def show_points(evaluation: Evaluation, console: Console) -> None:
    """The points, and in one line the intervals."""
    interval = evaluation.interval
    console.print(
        f"{evaluation.jobs_test:,} later jobs, each predicted from what had ended by its submit:",
        markup=False,
    )
    console.print(_points_table(evaluation))
    console.print(
        f"{percent(interval.level)} intervals hold {percent(interval.coverage)} of them "
        f"({_range(interval.block_coverage)} in tenths), median width "
        f"{duration(interval.median_width_s)}; CRPS {evaluation.distribution.crps_s:,.0f} s"
    )


def show_evaluation(evaluation: Evaluation) -> None:
    """All tables."""
    console = Console(highlight=False, soft_wrap=True)
    show_points(evaluation, console)
    console.print(_intervals_table(evaluation.intervals))
    if any(figures.jobs for figures in evaluation.regular):
        console.print(_regular_table(evaluation.regular))
    if evaluation.timeouts is not None:
        console.print(_timeouts_line(evaluation.timeouts))
    if evaluation.usefulness:
        console.print(_usefulness_table(evaluation.usefulness))
    if evaluation.asked_again is not None:
        console.print(_asked_again_line(evaluation.asked_again))
    if evaluation.beside is not None:
        console.print(_beside_line(evaluation.beside))
    for kind in _KINDS:
        if len(evaluation.buckets[kind]) > 1:
            console.print(_buckets_table(kind, evaluation.buckets[kind]))


def show_report(report: SiteReport) -> None:
    """Show how good the model is, what it came to, and where it went."""
    console = Console(highlight=False, soft_wrap=True)
    show_points(report.evaluation, console)
    for note in report.notes:
        console.print(note, markup=False)
    console.print(f"wrote model {report.model_version} to {report.folder}", markup=False)


def _points_table(evaluation: Evaluation) -> Table:
    table = _table("", "MAE, s", "by user", "median", "accuracy", "too short", "RMSE", "R²")
    for name, metrics in evaluation.models.items():
        table.add_row(name, *_points(metrics, evaluation.user_mae[name]))
    table.add_section()
    table.add_row("baselines")
    for name, metrics in evaluation.baselines.items():
        table.add_row(f"  {name}", *_points(metrics, evaluation.user_mae[name]))
    return table


def _points(metrics: PointMetrics, user_mae: float) -> tuple[str, ...]:
    return (
        f"{metrics.mae:,.0f}",
        f"{user_mae:,.0f}" if math.isfinite(user_mae) else NOTHING,
        f"{metrics.median_ae:,.0f}",
        f"{metrics.accuracy:.3f}",
        percent(metrics.underestimated),
        f"{metrics.rmse:,.0f}",
        f"{metrics.r2:.2f}" if metrics.r2 > -100 else f"{metrics.r2:,.0f}",
    )


def _intervals_table(intervals: Sequence[IntervalScores]) -> Table:
    table = _table(
        *("level", "holds", "in tenths", "new users", "width, s", "Winkler, s", "constant, s")
    )
    new = HISTORY_LABELS[0]
    for figures in intervals:
        table.add_row(
            percent(figures.level),
            percent(figures.coverage),
            _range(figures.block_coverage),
            _share(figures.history_coverage[new]),
            f"{figures.mean_width_s:,.0f}",
            f"{figures.winkler_s:,.0f}",
            f"{figures.constant_width_winkler_s:,.0f}",
        )
    return table


def _regular_table(regular: Sequence[RegularScores]) -> Table:
    table = _table("regular jobs", "jobs", "holds", "Winkler / empirical", "width / median run")
    for figures in regular:
        table.add_row(
            percent(figures.level),
            f"{figures.jobs:,}",
            _share(figures.coverage),
            f"{figures.winkler_over_empirical:.3f}",
            f"{figures.width_over_median:.2f}",
        )
    return table


def _usefulness_table(usefulness: Mapping[str, Usefulness]) -> Table:
    table = _table("recommended limits", "core-hours freed", "of unused", "jobs cut")
    for confidence, found in usefulness.items():
        shares = (found.freed, found.unused, found.cut)
        table.add_row(percent(float(confidence)), *map(percent, shares))
    return table


def _asked_again_line(again: AskedAgainMetrics) -> str:
    holds = "; ".join(
        f"at {percent(float(confidence))}, {percent(again.recommended[confidence])} of jobs get a "
        f"recommended limit, of which {percent(share)} are still called enough when asked for"
        for confidence, share in again.recommended_holds.items()
    )
    return (
        f"{again.jobs:,} jobs asked again with a limit a quarter longer: the prediction falls in "
        f"{percent(again.falling)} of steps; {holds}"
    )


def _beside_line(beside: Beside) -> str:
    parts = [f"MAE {beside.mae_ratio:.3f}", f"CRPS {beside.crps_ratio:.3f}"]
    if beside.freed_ratio is not None:
        parts.append(f"core-hours freed at equal cuts {beside.freed_ratio:.2f}")
    brier = (
        f"; Brier {beside.brier:.4f} against {beside.their_brier:.4f}"
        if beside.brier is not None and beside.their_brier is not None
        else ""
    )
    return f"over edition 1.0's on {beside.jobs:,} jobs: {', '.join(parts)}{brier}"


def _timeouts_line(timeouts: TimeoutMetrics) -> str:
    base = timeouts.brier_base_rate
    compared = f" (base rate: {base:.4f})" if math.isfinite(base) else ""
    return (
        f"{timeouts.timeouts:,} of {timeouts.jobs:,} jobs reached their limit; calibration error "
        f"{timeouts.ece:.3f}, Brier score {timeouts.brier:.4f}{compared}"
    )


def _buckets_table(kind: str, buckets: Sequence[BucketMetrics]) -> Table:
    compared = BASELINES[-1]
    table = _table(kind, "jobs", "MAE, s", compared, "median, s", "accuracy", "holds")
    for bucket in buckets:
        table.add_row(
            bucket.label,
            f"{bucket.jobs:,}",
            f"{bucket.mae[ENSEMBLE]:,.0f}",
            f"{bucket.mae[compared]:,.0f}",
            f"{bucket.median_ae:,.0f}",
            f"{bucket.accuracy:.3f}",
            percent(bucket.coverage),
        )
    return table


def _table(*columns: str) -> Table:
    table = Table(*columns, box=box.SIMPLE, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    for column in table.columns:
        column.no_wrap = True
        column.justify = "right"
    table.columns[0].justify = "left"
    return table


def _range(shares: Sequence[float]) -> str:
    return f"{percent(min(shares))} to {percent(max(shares))}"


def _share(value: float) -> str:
    return percent(value) if math.isfinite(value) else NOTHING
