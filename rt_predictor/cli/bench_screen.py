"""Output of `rt-predictor bench`."""

import os
import platform
from collections.abc import Iterator
from importlib.metadata import version
from typing import Any

from rich.console import Console
from rich.table import Table

from rt_predictor import __version__
from rt_predictor.bench.figures import Figure, Figures, Skipped
from rt_predictor.bench.plan import BenchPlan
from rt_predictor.bench.promises import PromiseResult, promise_results

_TITLES = {
    "calls": "One job a call, beside a bare echo",
    "bulk": "Many jobs a message",
    "history": "With a history",
    "inside": "In this process",
    "native": "Boosters of as many trees in their own libraries, one after the other",
    "mlserver": "MLServer, one LightGBM of as many trees on ready features",
    "growth": "How cost grows",
    "service": "What a service costs",
}
_LIBRARIES = ("grpcio", "onnxruntime", "polars", "protobuf", "numpy")
_WORDS = {True: "holds", False: "missed", None: "-"}


def show(figures: Figures) -> None:
    """Print all figures, then what was promised."""
    console = Console(highlight=False)
    for group, title in _TITLES.items():
        table = Table("", "median", "range", "", title=title, title_justify="left")
        for name, figure in _of_group(figures, group):
            table.add_row(name, *_cells(figure))
        if table.row_count:
            console.print(table)
    table = Table("promise", "measured", "range", "", title="Promises", title_justify="left")
    for verdict in promise_results(figures):
        amount, spread, unit = _cells(verdict.measured)
        table.add_row(verdict.promise.text, f"{amount} {unit}", spread, _WORDS[verdict.holds])
    console.print(table)


def document(plan: BenchPlan, figures: Figures) -> dict[str, Any]:
    """The same as one JSON document, with where it was measured."""
    return {
        "rounds": plan.rounds,
        "scale": plan.scale,
        "machine": {
            "cores": os.cpu_count(),
            "processor": platform.machine(),
            "system": platform.system(),
            "python": platform.python_version(),
            "rt_predictor": __version__,
            **{name: version(name) for name in _LIBRARIES},
        },
        "figures": {name: figure.document() for name, figure in figures.items()},
        "promises": [_promise(verdict) for verdict in promise_results(figures)],
    }


def _promise(verdict: PromiseResult) -> dict[str, Any]:
    return {
        "promise": verdict.promise.text,
        "limit": verdict.promise.limit,
        "measured": verdict.measured.document(),
        "holds": verdict.holds,
    }


def _of_group(figures: Figures, group: str) -> Iterator[tuple[str, Figure | Skipped]]:
    for name, figure in figures.items():
        if name.startswith(f"{group}."):
            yield name.removeprefix(f"{group}."), figure


def _cells(figure: Figure | Skipped) -> tuple[str, str, str]:
    """Median, range and unit."""
    if isinstance(figure, Skipped):
        return "-", figure.reason, ""
    spread = f"{_amount(min(figure.values))} to {_amount(max(figure.values))}"
    return _amount(figure.median), spread, figure.unit


def _amount(value: float) -> str:
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"
