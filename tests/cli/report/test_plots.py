"""Plots show what they are given."""

import math
from xml.etree.ElementTree import Element

import numpy as np

from rt_predictor.cli.report.drawing import Series
from rt_predictor.cli.report.plots import (
    coverage_over_time,
    density_plot,
    error_over_time,
    reliability_plot,
    times_by_kind,
)
from rt_predictor.training.reliability import timeout_metrics


def titles(plot: Element) -> list[str]:
    """What the points of a plot say when they are pointed at."""
    return [title.text or "" for mark in plot for title in mark.findall("title")]


def told(plot: Element) -> str:
    return plot.findtext("desc") or ""


def texts(plot: Element) -> list[str]:
    return [text.text or "" for text in plot.iter("text")]


def test_every_pair_of_prediction_and_runtime_is_in_a_cell() -> None:
    runtime = np.array([10.0, 100.0, 1000.0, 1e5])
    plot = density_plot("t", runtime * [1, 1, 2, 4], runtime)
    cells = "".join(path.attrib["d"] for path in plot.iter("path"))
    assert cells.count("z") == 4
    assert told(plot) == "75 % of 4 predictions are within 2 times the runtime."


def test_more_jobs_in_a_cell_make_it_darker() -> None:
    runtime = np.array([10.0] * 50 + [1e5])
    shades = {
        float(path.attrib["fill-opacity"])
        for path in density_plot("t", runtime, runtime).iter("path")
        if path.attrib["d"]
    }
    assert len(shades) == 2
    assert max(shades) == 1


def test_points_over_time_say_their_value() -> None:
    series = [Series("ensemble", [60.0, 120.0], 1), Series("last2", [600.0, 7200.0], 2)]
    plot = error_over_time("t", series)
    assert titles(plot) == [
        "ensemble: 1 min", "ensemble: 2 min", "last2: 10 min", "last2: 2 h"
    ]  # fmt: skip
    assert told(plot) == "ensemble: 1 min to 2 min; last2: 10 min to 2 h."
    assert {"ensemble", "last2"} <= set(texts(plot))


def test_the_promised_level_is_drawn() -> None:
    plot = coverage_over_time("t", [Series("90 %", [0.85, 0.95], 2, target=0.9)])
    (target,) = [line for line in plot.iter("line") if "target" in line.attrib["class"]]
    first, second = (polygon for polygon in plot.iter("polygon") if len(polygon))
    heights = [float(mark.attrib["points"].split()[0].split(",")[1]) for mark in (first, second)]
    assert heights[1] < float(target.attrib["y1"]) < heights[0]


def test_kinds_have_a_row_each_and_points_for_what_is_known() -> None:
    series = [Series("ensemble", [60.0, 600.0], 1), Series("request", [math.nan, 3600.0], 2)]
    plot = times_by_kind("t", ["<b>a</b>", "a very long name of a partition"], series, "error")
    assert sorted(titles(plot)) == [
        "<b>a</b>, ensemble: 1 min",
        "a very long name of a partition, ensemble: 10 min",
        "a very long name of a partition, request: 1 h",
    ]
    assert "a very long n…" in [text[:13] + "…" for text in texts(plot)]
    assert "<b>a</b>" in texts(plot)


def test_reliability_has_a_point_a_bin() -> None:
    said = np.array([0.1] * 10 + [0.5] * 10)
    reached = np.array([1] + [0] * 9 + [1] * 8 + [0] * 2, bool)
    timeouts = timeout_metrics(said, 0.3, np.full(20, 10.0), np.where(reached, 10.0, 9.0))
    assert timeouts is not None
    plot = reliability_plot("t", timeouts)
    assert titles(plot) == ["10 jobs: said 10 %, came 10 %", "10 jobs: said 50 %, came 80 %"]


def test_a_log_without_timeouts_can_be_drawn() -> None:
    timeouts = timeout_metrics(np.zeros(5), 0.0, np.full(5, 10.0), np.ones(5))
    assert timeouts is not None
    assert titles(reliability_plot("t", timeouts)) == ["5 jobs: said 0 %, came 0 %"]
