"""Figures, and what they are held against."""

import pytest

from rt_predictor.bench.figures import Figure, Figures, Skipped, quantile_ms
from rt_predictor.bench.promises import PROMISES, promise_results


def test_a_ratio_is_taken_round_by_round() -> None:
    ratio = Figure((2.0, 9.0, 4.0), "1/s").over(Figure((1.0, 3.0, 4.0), "1/s"))
    assert ratio.values == (2.0, 3.0, 1.0)
    assert ratio.median == 2.0
    assert ratio.document() == {"median": 2.0, "min": 1.0, "max": 3.0, "unit": "x"}


def test_quantiles_are_in_ms() -> None:
    assert quantile_ms([0.001, 0.002, 0.003], 0.5) == pytest.approx(2.0)


def _figures(factor: float) -> Figures:
    """Figures that keep each promise by that factor, as far as one amount can keep several."""
    figures: Figures = {}
    for promise in PROMISES:
        kept = promise.limit / factor if promise.most else promise.limit * factor
        amount = figures.setdefault(promise.figure, Figure((kept,), ""))
        if promise.over is not None and promise.over not in figures:
            figures[promise.over] = Figure((amount.median / kept,), "")
    return figures


@pytest.mark.parametrize(("factor", "holds"), [(1.01, True), (0.99, False)])
def test_a_promise_holds_on_its_own_side_of_the_limit(factor: float, holds: bool) -> None:
    assert [verdict.holds for verdict in promise_results(_figures(factor))] == [holds] * len(
        PROMISES
    )


def test_what_was_not_measured_neither_holds_nor_fails() -> None:
    assert {verdict.holds for verdict in promise_results({})} == {None}
    figures = _figures(1.01) | {"native.one_us": Skipped("not installed")}
    found = {verdict.promise.over: verdict for verdict in promise_results(figures)}["native.one_us"]
    assert found.holds is None
    assert found.measured == Skipped("not installed")
