"""The plots of the report, as SVG that takes its colours from the page."""

import math
from collections.abc import Callable, Iterator, Sequence
from xml.etree.ElementTree import Element

import numpy as np
from numpy.typing import NDArray

from rt_predictor.cli.report.drawing import (
    BOTTOM,
    LEFT,
    RIGHT,
    TOP,
    WIDTH,
    Series,
    label,
    legend,
    line,
    marker,
    x_axis,
    y_axis,
)
from rt_predictor.cli.report.markup import node, picture
from rt_predictor.cli.report.scales import (
    Extent,
    Scale,
    high_shares,
    log_seconds,
    numbered,
    seconds,
    shares,
)
from rt_predictor.cli.words import duration, percent
from rt_predictor.training.reliability import TimeoutMetrics

Array = NDArray[np.float64]

_HEIGHT = 250
_ROW = 25
_KIND = 112
"""Room for the names of kinds of jobs, left of their row."""
_CELLS = 44
_SHADES = 8
_NEAR = 2.0
_SQUARE = Extent(TOP + RIGHT - LEFT, TOP)
_SQUARE_SIZE = (WIDTH, _SQUARE.start + BOTTOM)


def density_plot(title: str, predicted_s: Array, runtime_s: Array) -> Element:
    """Draw the density of predictions against runtimes, on logarithmic scales."""
    both = np.concatenate([predicted_s, runtime_s]).tolist()
    x, y = log_seconds(both, Extent(LEFT, RIGHT)), log_seconds(both, _SQUARE)
    edges = np.geomspace(x.low, x.high, _CELLS + 1)
    jobs = np.histogram2d(np.maximum(runtime_s, 1), np.maximum(predicted_s, 1), (edges, edges))[0]
    shades = np.ceil(_SHADES * np.log1p(jobs) / np.log1p(jobs.max()))
    factor = np.maximum(predicted_s / runtime_s, runtime_s / predicted_s)
    near = percent(float(np.mean(factor <= _NEAR)))
    text = f"{near} of {len(runtime_s):,} predictions are within {_NEAR:g} times the runtime."
    cells = [_cells(shades == shade, shade) for shade in range(1, _SHADES + 1)]
    return picture(
        title, text, _SQUARE_SIZE, (*_square(x, y, "runtime", "prediction"), *cells, _diagonal())
    )


def _cells(where: NDArray[np.bool_], shade: int) -> Element:
    """The cells of one shade as one path: a report of many cells stays small."""
    side = (RIGHT - LEFT) / _CELLS
    path = "".join(
        f"M{LEFT + column * side:.1f} {_SQUARE.start - (row + 1) * side:.1f}"
        f"h{side:.2f}v{side:.2f}h{-side:.2f}z"
        for column, row in np.argwhere(where)
    )
    return node("path", d=path, class_="cell", fill_opacity=f"{shade / _SHADES:.3g}")


def error_over_time(title: str, series: Sequence[Series]) -> Element:
    """Mean absolute errors in consecutive parts of the replay."""
    span = Extent(TOP + _HEIGHT, TOP)
    scale = seconds((value for one in series for value in one.values), span)
    return _over_time(title, series, scale, duration)


def coverage_over_time(title: str, series: Sequence[Series]) -> Element:
    """Shares of jobs that intervals hold in consecutive parts of the replay."""
    values = (value for one in series for value in one.values)
    return _over_time(title, series, high_shares(values, Extent(TOP + _HEIGHT, TOP)), percent)


def _over_time(
    title: str, series: Sequence[Series], y: Scale, words: Callable[[float], str]
) -> Element:
    x = numbered(len(series[0].values), Extent(LEFT, RIGHT))
    marks = [*x_axis(x, TOP, y.span.start, "tenth of the replay"), *y_axis(y), *legend(series)]
    for one in series:
        if one.target is not None:
            marks.append(line(LEFT, y(one.target), RIGHT, y(one.target), f"target s{one.style}"))
        points = [(x(number), y(value)) for number, value in enumerate(one.values, start=1)]
        path = " ".join(f"{across:.1f},{up:.1f}" for across, up in points)
        marks.append(node("polyline", points=path, class_=f"line s{one.style}"))
        marks.extend(
            marker(*point, one.style, f"{one.name}: {words(value)}")
            for point, value in zip(points, one.values, strict=True)
        )
    text = "; ".join(
        f"{one.name}: {words(min(one.values))} to {words(max(one.values))}" for one in series
    )
    return picture(title, f"{text}.", (WIDTH, y.span.start + BOTTOM), marks)


def times_by_kind(title: str, kinds: Sequence[str], series: Sequence[Series], name: str) -> Element:
    """A row a kind of job and a point a series, on a logarithmic scale of time."""
    bottom = TOP + _ROW * len(kinds)
    x = log_seconds((value for one in series for value in one.values), Extent(LEFT + 50, RIGHT))
    marks = [*x_axis(x, TOP, bottom, name), *legend(series)]
    for row, kind in enumerate(kinds):
        y = TOP + _ROW * (row + 0.5)
        values = [(one, one.values[row]) for one in series if math.isfinite(one.values[row])]
        ends = [x(value) for _, value in values]
        marks.append(label(_short(kind, _KIND), LEFT + 40, y + 4, "end"))
        marks.append(line(min(ends), y, max(ends), y, "between"))
        marks.extend(
            marker(x(value), y, one.style, f"{kind}, {one.name}: {duration(value)}")
            for one, value in reversed(values)
        )
    first = series[0]
    text = "; ".join(
        f"{kind}: {duration(value)}" for kind, value in zip(kinds, first.values, strict=True)
    )
    return picture(title, f"{first.name}: {text}.", (WIDTH, bottom + BOTTOM), marks)


def reliability_plot(title: str, timeouts: TimeoutMetrics) -> Element:
    """Draw the probability given to groups of jobs against the share that reached the limit."""
    most = max(max(group.probability, group.share) for group in timeouts.bins)
    x, y = shares(most, Extent(LEFT, RIGHT)), shares(most, _SQUARE)
    points = [
        marker(
            x(group.probability),
            y(group.share),
            1,
            f"{group.jobs:,} jobs: said {percent(group.probability)}, came {percent(group.share)}",
        )
        for group in timeouts.bins
    ]
    text = "; ".join(
        f"said {percent(group.probability)}, came {percent(group.share)}" for group in timeouts.bins
    )
    frame = _square(x, y, "probability that was given", "share that reached the limit")
    return picture(title, f"{text}.", _SQUARE_SIZE, (*frame, _diagonal(), *points))


def _square(x: Scale, y: Scale, x_name: str, y_name: str) -> Iterator[Element]:
    """Two axes of the same values."""
    yield from x_axis(x, TOP, _SQUARE.start, x_name)
    yield from y_axis(y)
    yield label(y_name, 8, TOP / 2, "start name")


def _diagonal() -> Element:
    """Draw the line on which both values are equal."""
    return line(LEFT, _SQUARE.start, RIGHT, _SQUARE.end, "target")


def _short(text: str, width: float) -> str:
    """A text that fits, about; the whole of it is in the title of its mark."""
    letters = int(width / 7.4)
    return text if len(text) <= letters else f"{text[: letters - 1]}…"
