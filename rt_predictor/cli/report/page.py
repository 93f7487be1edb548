"""The report from top to bottom."""

import math
from collections.abc import Iterator, Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from xml.etree.ElementTree import Element

from rt_predictor import __version__
from rt_predictor.cli.report.drawing import Series
from rt_predictor.cli.report.markup import document, node
from rt_predictor.cli.report.plots import (
    coverage_over_time,
    density_plot,
    error_over_time,
    reliability_plot,
    times_by_kind,
)
from rt_predictor.cli.report.tables import (
    buckets_table,
    intervals_table,
    points_table,
    regular_table,
    share,
    table,
    usefulness_table,
    whole,
)
from rt_predictor.cli.words import duration, moment, percent
from rt_predictor.model.documents import BASE
from rt_predictor.training.baselines import BASELINES, USER_RATIO5
from rt_predictor.training.buckets import BucketMetrics
from rt_predictor.training.evaluate import ENSEMBLE, REQUEST_ONLY, Evaluation
from rt_predictor.training.reliability import TimeoutMetrics
from rt_predictor.training.replayed import Replayed
from rt_predictor.training.usefulness import Usefulness

NAME = "report.html"

_DAY_S = 86400
_FIRST_DATE_S = 10 * 365 * _DAY_S
"""Logs whose times begin at 0 have days and no dates."""

_DRAWN_LEVELS = frozenset({0.5, 0.9, 0.95})
"""There are three colours."""

_KINDS = {
    "runtime": "runtime",
    "size": "processors asked for",
    "history": "finished jobs of the user that were known",
    "partition": "partition",
}

_TERMS = {
    "MAE": "Mean absolute error.",
    "MAE by user": "The mean absolute error of each user's jobs, averaged over users: a heavy user "
    "counts as much as any other.",
    "accuracy": "Mean of min(p, r) / max(p, r) of prediction and runtime.",
    "ran longer": "Share of jobs that ran longer than predicted.",
    "coverage": "Share of jobs whose runtime lay inside the interval.",
    "Winkler": "Interval score: the width, and 2 / (1 - level) times the miss where the runtime "
    "lay outside. Lower is better. “Constant width” is the score of intervals of one width in log "
    "runtime around the same predictions.",
    "request": "The time limit that was asked for.",
    "last2": "Mean of the user's last two finished jobs, else the limit.",
    "user_median5": "Median of the user's last five finished jobs, else the limit.",
    "backoff_median5": "Median of the last five finished jobs with the same user, size and limit; "
    "else of the same user and limit; else of the user; else of the partition and limit; else the "
    "limit.",
    "user_ratio5": "Median share of their limit that the user's last five finished jobs used, "
    "times the limit; else the limit.",
    "request_only": "What is answered when neither the user nor any finished job is known.",
    "CRPS": "Continuous ranked probability score of the whole distribution: what the absolute "
    "error is to a point. Lower is better.",
    "regular jobs": "The last ten finished jobs of the user with this size and limit lie within "
    "20 % of each other, and the limit is at least three times their median. “Empirical” are "
    "intervals that only know how such series went on until then, on this log.",
    "freed": "Core-hours that would not have been reserved had jobs asked for the recommended "
    "limit where it is below theirs, as a share of those that were. “Unused” is the most there is "
    "to free.",
    "jobs cut": "Share of jobs that ran for longer than that limit, and had asked for more.",
}


def write_report(folder: Path, evaluation: Evaluation, replayed: Replayed) -> Path:
    """Write `report.html` into a folder, which is made if need be, and return its path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / NAME
    path.write_text(report(evaluation, replayed), encoding="utf-8")
    return path


def report(evaluation: Evaluation, replayed: Replayed) -> str:
    """The report as the text of an HTML document. No user's name is in it."""
    style = files("rt_predictor.cli.report").joinpath("style.css").read_text(encoding="utf-8")
    title = f"Runtime predictions: {evaluation.trace}"
    head = node(
        "head",
        node("meta", charset="utf-8"),
        node("meta", name="viewport", content="width=device-width, initial-scale=1"),
        node(
            "meta",
            http_equiv="Content-Security-Policy",
            content="default-src 'none'; style-src 'unsafe-inline'",
        ),
        node("title", title),
        node("style", style),
    )
    main = node(
        "main",
        *_header(evaluation),
        *_points(evaluation, replayed),
        *_kinds(evaluation),
        *_intervals(evaluation),
        *_regular(evaluation),
        *_timeouts(evaluation.timeouts),
        *_usefulness(evaluation.usefulness),
        *_users(evaluation),
        *_footer(),
    )
    return document(node("html", head, node("body", main), lang="en"))


def _header(evaluation: Evaluation) -> Iterator[Element]:
    blocks, ensemble = evaluation.blocks, evaluation.models[ENSEMBLE]
    best = _best_baseline(evaluation)
    ratio = ensemble.mae / evaluation.baselines[best].mae - 1
    yield node("h1", f"Runtime predictions: {evaluation.trace}")
    yield node(
        "p",
        f"{evaluation.jobs_test:,} jobs submitted from {_when(blocks[0].first_submit)} to "
        f"{_when(blocks[-1].last_submit)}, each predicted from what had ended before it was "
        f"submitted. {_who_answered(evaluation)}",
        class_="muted",
    )
    timeouts = evaluation.timeouts
    yield node(
        "div",
        _tile("mean absolute error", duration(ensemble.mae), f"{ratio:+.0%} against {best}"),
        _tile("median absolute error", duration(ensemble.median_ae), "half of all jobs are closer"),
        _tile("accuracy", f"{ensemble.accuracy:.3f}", "1 is perfect"),
        _tile("CRPS", duration(evaluation.distribution.crps_s), "of the whole distribution"),
        _tile(
            f"{percent(evaluation.interval.level)} intervals hold",
            share(evaluation.interval.coverage),
            f"median width {duration(evaluation.interval.median_width_s)}",
        ),
        *(
            [_tile("timeout calibration error", f"{timeouts.ece:.3f}", "0 is perfect")]
            if timeouts
            else []
        ),
        class_="tiles",
    )


def _points(evaluation: Evaluation, replayed: Replayed) -> Iterator[Element]:
    yield node("h2", "How far off")
    yield points_table(evaluation)
    others = (name for name in (REQUEST_ONLY, USER_RATIO5) if name in evaluation.baselines)
    compared = (ENSEMBLE, _best_baseline(evaluation), next(others))
    series = [
        Series(name, [block.mae[name] for block in evaluation.blocks], style)
        for style, name in enumerate(compared, start=1)
    ]
    plots = [
        _figure(
            "Predicted and actual",
            "On the dashed line a prediction is right; above it the job took less.",
            density_plot(
                "Predicted and actual", replayed.predicted_s, replayed.jobs["runtime"].to_numpy()
            ),
        ),
        _figure(
            "Error over time",
            "Mean absolute error in ten consecutive parts of the replay.",
            error_over_time("Error over time", series),
        ),
    ]
    yield node("div", *plots, class_="plots")
    yield _figures(_blocks_table(evaluation))


def _blocks_table(evaluation: Evaluation) -> Element:
    names = list(evaluation.blocks[0].mae)
    columns = ("from", "jobs", *(f"MAE, s: {name}" for name in names))
    rows = (
        (
            _when(block.first_submit),
            [f"{block.jobs:,}", *(whole(block.mae[name]) for name in names)],
        )
        for block in evaluation.blocks
    )
    return table("Error over time: figures", columns, rows)


def _kinds(evaluation: Evaluation) -> Iterator[Element]:
    yield node("h2", "For which jobs")
    compared = tuple(dict.fromkeys((ENSEMBLE, _best_baseline(evaluation), BASELINES[0])))
    for kind, words in _KINDS.items():
        buckets = evaluation.buckets[kind]
        if len(buckets) > 1:
            yield node("div", *_kind_plots(words, buckets, compared), class_="plots")
            yield _figures(buckets_table(f"By {words}: figures", buckets, compared))


def _kind_plots(
    words: str, buckets: tuple[BucketMetrics, ...], compared: Sequence[str]
) -> Iterator[Element]:
    labels = [bucket.label for bucket in buckets]
    errors = [
        Series(name, [bucket.mae[name] for bucket in buckets], style)
        for style, name in enumerate(compared, start=1)
    ]
    widths = [Series("mean width", [bucket.mean_width for bucket in buckets], 1)]
    title = f"Error by {words}"
    yield _figure(title, "", times_by_kind(title, labels, errors, "mean absolute error"))
    title = f"Interval width by {words}"
    yield _figure(title, "", times_by_kind(title, labels, widths, "mean width of the interval"))


def _intervals(evaluation: Evaluation) -> Iterator[Element]:
    yield node("h2", "Intervals")
    yield intervals_table(evaluation.intervals)
    levels = [figures.level for figures in evaluation.intervals]
    series = [
        Series(
            percent(figures.level),
            [block.coverage[index] for block in evaluation.blocks],
            style=len(_DRAWN_LEVELS.intersection(levels[:index])) + 1,
            target=figures.level,
        )
        for index, figures in enumerate(evaluation.intervals)
        if figures.level in _DRAWN_LEVELS
    ]
    rows = (
        (_when(block.first_submit), [f"{block.jobs:,}", *map(share, block.coverage)])
        for block in evaluation.blocks
    )
    columns = ("from", "jobs", *(percent(figures.level) for figures in evaluation.intervals))
    yield node(
        "div",
        _figure(
            "Coverage over time",
            "Share of jobs inside their interval; dashed is the level that was promised.",
            coverage_over_time("Coverage over time", series),
        ),
        class_="plots",
    )
    yield _figures(table("Coverage over time: figures", columns, rows))


def _regular(evaluation: Evaluation) -> Iterator[Element]:
    """Nothing where the log has too few regular jobs to compare with."""
    if any(figures.jobs for figures in evaluation.regular):
        yield node("h2", "Regular jobs")
        yield regular_table(evaluation.regular)


def _timeouts(timeouts: TimeoutMetrics | None) -> Iterator[Element]:
    yield node("h2", "Time limits")
    if timeouts is None:
        yield node("p", "No job of this log has a time limit.")
        return
    yield node(
        "p",
        f"{timeouts.timeouts:,} of {timeouts.jobs:,} jobs with a limit reached it. Expected "
        f"calibration error {timeouts.ece:.3f}, over ten groups of equally many jobs; Brier score "
        f"{timeouts.brier:.4f}{_against_base_rate(timeouts)}.",
    )
    title = "Reliability of the timeout probability"
    yield node(
        "div",
        _figure(
            title,
            "Groups of jobs by what was said of them; on the dashed line it came true as often.",
            reliability_plot(title, timeouts),
        ),
        class_="plots",
    )
    rows = (
        (share(group.probability), [share(group.share), f"{group.jobs:,}"])
        for group in timeouts.bins
    )
    yield _figures(table(f"{title}: figures", ("said", "came", "jobs"), rows))


def _usefulness(usefulness: Mapping[str, Usefulness]) -> Iterator[Element]:
    if usefulness:
        yield node("h2", "Recommended limits")
        yield usefulness_table(usefulness)


def _against_base_rate(timeouts: TimeoutMetrics) -> str:
    """Nothing where no training job had a limit."""
    if math.isnan(timeouts.base_rate):
        return ""
    return (
        f", against {timeouts.brier_base_rate:.4f} for saying the {share(timeouts.base_rate)} of "
        "the training span of every job"
    )


def _users(evaluation: Evaluation) -> Iterator[Element]:
    if evaluation.users:
        yield node("h2", "Users")
        yield node("p", f"{evaluation.users:,} users; those with most jobs, by number.")
        shown = (ENSEMBLE, *evaluation.baselines)
        yield buckets_table("Users with most jobs", evaluation.buckets["user"], shown)


def _footer() -> Iterator[Element]:
    terms = [part for term, text in _TERMS.items() for part in (node("dt", term), node("dd", text))]
    yield node("h2", "What the words mean")
    yield node("dl", *terms)
    yield node("p", f"Made by RT Predictor {__version__}.", class_="muted")


def _who_answered(evaluation: Evaluation) -> str:
    learned = f"the {evaluation.jobs_train:,} jobs of the log that had ended by then"
    if evaluation.kind == BASE:
        return (
            "A base model answered, which was not tuned on this log; its history began with "
            f"{learned}."
        )
    anew = evaluation.retrain_every_days
    often = f", and was tuned anew every {anew:g} days" if anew else ""
    return f"The model learned from {learned}{often}."


def _best_baseline(evaluation: Evaluation) -> str:
    """The baseline without a model that has the least error."""
    return min(BASELINES, key=lambda name: evaluation.baselines[name].mae)


def _figure(title: str, caption: str, plot: Element) -> Element:
    notes = (node("figcaption", caption),) if caption else ()
    return node("figure", node("h3", title), *notes, plot)


def _figures(element: Element) -> Element:
    """A table that is folded up until it is asked for."""
    return node("details", node("summary", "Figures"), element)


def _tile(name: str, value: str, note: str) -> Element:
    return node(
        "div", node("span", name), node("b", value), node("span", note, class_="muted"),
        class_="tile",
    )  # fmt: skip


def _when(time_s: float) -> str:
    return moment(time_s)[:10] if time_s >= _FIRST_DATE_S else f"day {time_s / _DAY_S:.0f}"
