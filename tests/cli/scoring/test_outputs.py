"""Answers as files."""

import polars as pl
import pytest

from rt_predictor.cli.options import AnswerFormat
from rt_predictor.cli.scoring.outputs import encoded


@pytest.mark.parametrize("begin", ["=", "+", "-", "@", "\t", "\r"])
def test_no_text_of_a_csv_is_a_formula_to_a_spreadsheet(begin: str) -> None:
    table = pl.DataFrame({"job_id": [f"{begin}1+1", "17"], "predicted_runtime": [-1.0, 2.0]})
    lines = pl.read_csv(encoded(table, AnswerFormat.CSV), infer_schema=False)
    assert lines["job_id"].to_list() == [f"'{begin}1+1", "17"]
    assert lines["predicted_runtime"].to_list() == ["-1.0", "2.0"]


def test_json_lines_are_as_they_were() -> None:
    table = pl.DataFrame({"job_id": ["=1+1"]})
    assert encoded(table, AnswerFormat.JSONL) == b'{"job_id":"=1+1"}\n'
