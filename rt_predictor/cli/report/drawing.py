"""Parts of several plots: axes, legends and the shapes of points."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from xml.etree.ElementTree import Element

from rt_predictor.cli.report.markup import node
from rt_predictor.cli.report.scales import Scale

WIDTH = 440
"""Width of every plot in its own units: about a phone's, so that its texts stay readable there."""

TOP = 34
"""Room for the legend."""

BOTTOM = 52
"""Room for the names of an axis."""

LEFT, RIGHT = 74, WIDTH - 16

_LETTER = 7.4
"""Width of a letter, about."""

_RADIUS = 4.2
_OUTLINES = {
    1: ((0, -1), (0.7, -0.7), (1, 0), (0.7, 0.7), (0, 1), (-0.7, 0.7), (-1, 0), (-0.7, -0.7)),
    2: ((-0.9, -0.9), (0.9, -0.9), (0.9, 0.9), (-0.9, 0.9)),
    3: ((0, -1.25), (1.25, 0), (0, 1.25), (-1.25, 0)),
}
"""Shapes, so that series can be told apart without their colours."""


@dataclass(frozen=True)
class Series:
    """One line or column of points."""

    name: str
    values: Sequence[float]
    style: int
    """1, 2 or 3: colour and shape."""
    target: float | None = None
    """Value that all should have."""


def marker(x: float, y: float, style: int, title: str = "") -> Element:
    """A point; its title is shown when it is pointed at."""
    outline = " ".join(
        f"{x + across * _RADIUS:.1f},{y + down * _RADIUS:.1f}" for across, down in _OUTLINES[style]
    )
    children = (node("title", title),) if title else ()
    return node("polygon", *children, points=outline, class_=f"dot s{style}")


def line(x1: float, y1: float, x2: float, y2: float, class_: str) -> Element:
    """A straight line."""
    return node("line", x1=x1, y1=y1, x2=x2, y2=y2, class_=class_)


def label(text: str, x: float, y: float, class_: str) -> Element:
    """A text; `start`, `middle` or `end` of it is at x, as the class says."""
    return node("text", text, x=x, y=y, class_=class_)


def legend(series: Iterable[Series]) -> Iterator[Element]:
    """The names of series, above the plot."""
    x = float(_RADIUS * 2)
    for one in series:
        yield marker(x, TOP / 2 - 4, one.style)
        yield label(one.name, x + 9, TOP / 2, "start")
        x += 30 + _LETTER * len(one.name)


def x_axis(scale: Scale, top: float, bottom: float, name: str) -> Iterator[Element]:
    """Upright lines at the ticks, their names, and that of the axis below."""
    for value, text in scale.ticks:
        yield line(scale(value), top, scale(value), bottom, "grid")
        yield label(text, scale(value), bottom + 18, "middle")
    yield label(name, (scale.span.start + scale.span.end) / 2, bottom + 40, "middle name")


def y_axis(scale: Scale) -> Iterator[Element]:
    """Level lines at the ticks, and their names."""
    for value, text in scale.ticks:
        yield line(LEFT, scale(value), RIGHT, scale(value), "grid")
        yield label(text, LEFT - 8, scale(value) + 4, "end")
