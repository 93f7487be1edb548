"""The tables of the report."""

import math
from collections.abc import Iterable, Mapping, Sequence
from xml.etree.ElementTree import Element

from rt_predictor.cli.report.markup import node
from rt_predictor.cli.words import percent
from rt_predictor.training.buckets import BucketMetrics
from rt_predictor.training.evaluate import Evaluation
from rt_predictor.training.metrics import PointMetrics
from rt_predictor.training.regular_jobs import RegularScores
from rt_predictor.training.scores import IntervalScores
from rt_predictor.training.usefulness import Usefulness

Row = tuple[str, Sequence[str]]
"""Name and cells."""

NOTHING = "–"
"""Stands where there is no figure."""


def table(caption: str, columns: Sequence[str], rows: Iterable[Row], best: str = "") -> Element:
    """A table with names on the left; the row called `best` stands out."""
    heads = (node("th", name, scope="col") for name in columns)
    body = (
        node(
            "tr",
            node("th", name, scope="row"),
            *(node("td", cell) for cell in cells),
            class_="best" if name == best else "row",
        )
        for name, cells in rows
    )
    made = node(
        "table",
        node("caption", caption),
        node("thead", node("tr", *heads)),
        node("tbody", *body),
    )
    return node("div", made, class_="scroll", tabindex="0", role="region", aria_label=caption)


def points_table(evaluation: Evaluation) -> Element:
    """The ensemble, its members and the baselines, with the error by user beside."""
    ensemble = evaluation.models["ensemble"].mae
    columns = (
        *("", "MAE, s", "ensemble / this", "MAE by user, s", "median error, s", "accuracy"),
        *("ran longer", "RMSE, s", "R²"),
    )
    everyone = {**evaluation.models, **evaluation.baselines}
    rows = (
        (name, _point_cells(metrics, ensemble, evaluation.user_mae[name]))
        for name, metrics in everyone.items()
    )
    return table("The ensemble, its members, and baselines", columns, rows, best="ensemble")


def _point_cells(metrics: PointMetrics, ensemble_mae: float, user_mae: float) -> list[str]:
    return [
        whole(metrics.mae),
        _ratio(ensemble_mae, metrics.mae),
        whole(user_mae),
        whole(metrics.median_ae),
        f"{metrics.accuracy:.3f}",
        percent(metrics.underestimated),
        whole(metrics.rmse),
        f"{metrics.r2:.3f}",
    ]


def intervals_table(intervals: Sequence[IntervalScores]) -> Element:
    """Figures of the intervals, a row a level."""
    histories = list(intervals[0].history_coverage)
    columns = (
        *("level", "coverage", "least tenth", "greatest tenth"),
        *(f"history: {amount}" for amount in histories),
        *("mean width, s", "median width, s", "Winkler, s", "constant width, s", "ratio"),
    )
    rows = (
        (
            percent(figures.level),
            [
                share(figures.coverage),
                share(min(figures.block_coverage)),
                share(max(figures.block_coverage)),
                *map(share, figures.history_coverage.values()),
                whole(figures.mean_width_s),
                whole(figures.median_width_s),
                whole(figures.winkler_s),
                whole(figures.constant_width_winkler_s),
                _ratio(figures.winkler_s, figures.constant_width_winkler_s),
            ],
        )
        for figures in intervals
    )
    return table("Intervals by level", columns, rows)


def regular_table(regular: Sequence[RegularScores]) -> Element:
    """Figures of the intervals of regular jobs, a row a level."""
    columns = (
        *("level", "jobs", "coverage", "empirical coverage", "Winkler / empirical"),
        *("the same of means", "width / median run"),
    )
    rows = (
        (
            percent(figures.level),
            [
                f"{figures.jobs:,}",
                share(figures.coverage),
                share(figures.empirical_coverage),
                decimals(figures.winkler_over_empirical),
                decimals(figures.mean_winkler_over_empirical),
                decimals(figures.width_over_median),
            ],
        )
        for figures in regular
    )
    return table("Intervals of regular jobs by level", columns, rows)


def usefulness_table(usefulness: Mapping[str, Usefulness]) -> Element:
    """Return the effect of following the recommended limits, a row for each confidence."""
    columns = ("confidence", "freed", "unused", "jobs cut", "core-hours cut")
    rows = (
        (
            percent(float(confidence)),
            [*map(share, (found.freed, found.unused, found.cut, found.cut_core_hours))],
        )
        for confidence, found in usefulness.items()
    )
    return table("Following the recommended limits", columns, rows)


def buckets_table(caption: str, buckets: Sequence[BucketMetrics], shown: Sequence[str]) -> Element:
    """Figures of kinds of jobs, and the mean absolute errors of those that are `shown`."""
    columns = ("", "jobs", *shown, "median error, s", "accuracy", "coverage", "mean width, s")
    rows = (
        (
            bucket.label,
            [
                f"{bucket.jobs:,}",
                *(whole(bucket.mae[name]) for name in shown),
                whole(bucket.median_ae),
                f"{bucket.accuracy:.3f}",
                share(bucket.coverage),
                whole(bucket.mean_width),
            ],
        )
        for bucket in buckets
    )
    names = ", ".join(shown)
    return table(f"{caption}. Under {names}: mean absolute error, s", columns, rows)


def whole(value: float) -> str:
    """A number without decimals, or nothing."""
    return f"{value:,.0f}" if math.isfinite(value) else NOTHING


def decimals(value: float) -> str:
    """A number with three decimals, or nothing."""
    return f"{value:.3f}" if math.isfinite(value) else NOTHING


def share(value: float) -> str:
    """A share in percent with one decimal, or nothing."""
    return f"{value:.1%}".replace("%", " %") if math.isfinite(value) else NOTHING


def _ratio(value: float, other: float) -> str:
    return f"{value / other:.3f}" if other else NOTHING
