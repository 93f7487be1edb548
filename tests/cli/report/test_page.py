"""The report as a reader opens it."""

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from rt_predictor.cli.report import write_report
from rt_predictor.cli.report.page import report
from rt_predictor.training.evaluate import Evaluation, evaluate
from rt_predictor.training.prepare import prepare_log
from rt_predictor.training.replayed import Replayed
from tests.training.replays import a_frame, a_replay

VOID = {"meta", "br", "hr", "img", "input", "link"}


class Outline(HTMLParser):
    """Tags, attributes and ids of a page; checks that elements are closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        self.ids += [value or "" for name, value in attrs if name == "id"]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.fixture(scope="module")
def text(evaluation: Evaluation, replayed: Replayed) -> str:
    return report(evaluation, replayed)


def test_the_page_is_well_formed_and_names_are_unique(text: str) -> None:
    outline = Outline(text)
    assert len(set(outline.ids)) == len(outline.ids)


def test_nothing_is_loaded_or_run(text: str) -> None:
    outline = Outline(text)
    assert not {"script", "link", "img", "iframe", "object", "use", "image"} & set(outline.tags)
    for tag, name, value in outline.attributes:
        assert name not in ("src", "href", "srcset", "style"), (tag, value)
        assert not name.startswith("on"), (tag, name)
    assert not re.search(r"url\(|@import|https?:", text)


def test_every_picture_can_be_read_without_seeing_it(text: str) -> None:
    outline = Outline(text)
    pictures = outline.tags.count("svg")
    assert pictures == 2 + 2 * 4 + 1 + 1
    labels = [value for tag, name, value in outline.attributes if name == "aria-labelledby"]
    assert len(labels) == pictures
    assert {part for label in labels for part in label.split()} <= set(outline.ids)


def test_no_name_of_a_user_is_told() -> None:
    log = prepare_log(a_frame().with_columns(user=pl.concat_str(pl.lit("secret-"), "user")), "x")
    told = a_replay(log)
    text = report(evaluate(log, told, 0.9), told)
    assert "secret" not in text
    assert "user 1" in text


def test_figures_are_those_of_the_evaluation(text: str, evaluation: Evaluation) -> None:
    for name, metrics in {**evaluation.models, **evaluation.baselines}.items():
        row = re.search(rf'<th scope="row">{name}</th><td>([^<]*)</td>', text)
        assert row is not None, name
        assert row[1] == f"{metrics.mae:,.0f}"
    assert f"{evaluation.interval.coverage:.1%}".replace("%", " %") in text


def test_names_in_the_log_stay_text() -> None:
    evil = "<script>alert(1)</script>"
    every_second = pl.when(pl.int_range(pl.len()) % 2 == 0).then(pl.lit(evil))
    log = prepare_log(a_frame().with_columns(partition=every_second), evil)
    told = a_replay(log)
    text = report(evaluate(log, told, 0.9), told)
    assert "script" not in Outline(text).tags


def test_a_log_without_users_limits_and_partitions_has_a_report() -> None:
    nothing = pl.lit(None, pl.String)
    bare = a_frame().with_columns(
        user=nothing, partition=nothing, time_req=pl.lit(None, pl.Float64)
    )
    log = prepare_log(bare, "bare")
    told = replace(a_replay(log), request_only_s=None)
    text = report(evaluate(log, told, 0.9), told)
    assert "No job of this log has a time limit." in text
    for gone in ("Users with most jobs", "by partition", "Recommended limits", "nan"):
        assert gone not in text, gone


def test_without_a_base_rate_there_is_no_comparison_to_it(
    evaluation: Evaluation, replayed: Replayed
) -> None:
    assert evaluation.timeouts is not None
    unknown = replace(evaluation.timeouts, base_rate=np.nan, brier_base_rate=np.nan)
    text = report(replace(evaluation, timeouts=unknown), replayed)
    assert "of the training span of every job" not in text
    assert "of the training span of every job" in report(evaluation, replayed)


def test_who_answered_is_told(evaluation: Evaluation, replayed: Replayed) -> None:
    text = report(replace(evaluation, retrain_every_days=7.0), replayed)
    assert "was tuned anew every 7 days" in text
    text = report(replace(evaluation, kind="base"), replayed)
    assert "A base model answered, which was not tuned on this log" in text


def test_regular_jobs_have_a_table_where_there_are_any(
    evaluation: Evaluation, replayed: Replayed
) -> None:
    assert "Intervals of regular jobs" not in report(replace(evaluation, regular=()), replayed)
    some = tuple(replace(figures, jobs=7) for figures in evaluation.regular)
    assert "Intervals of regular jobs" in report(replace(evaluation, regular=some), replayed)


def test_days_stand_for_dates_that_a_log_does_not_have() -> None:
    jobs = a_frame()
    first_s: float = jobs["submit_time"].min()  # type: ignore[assignment]
    log = prepare_log(jobs.with_columns(pl.col("submit_time", "end_time") - first_s), "x")
    told = a_replay(log)
    text = report(evaluate(log, told, 0.9), told)
    assert re.search(r"from day \d+ to day \d+,", text)


def test_the_report_is_one_file_in_a_folder_that_is_made(
    evaluation: Evaluation, replayed: Replayed, text: str, tmp_path: Path
) -> None:
    path = write_report(tmp_path / "a" / "b", evaluation, replayed)
    assert path == tmp_path / "a" / "b" / "report.html"
    assert path.read_text(encoding="utf-8") == text
    assert [found.name for found in path.parent.iterdir()] == ["report.html"]
