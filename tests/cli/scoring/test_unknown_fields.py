"""Fields that a job does not have: an error in their row, or a note where they are columns."""

import json
from pathlib import Path

from rt_predictor.cli.options import InputFormat
from rt_predictor.cli.scoring.tables import read_lines, read_table
from rt_predictor.traces import ColumnMap, ReadOptions

KNOWN = {"job_id": "9", "processors_req": 4, "time_req": 3600, "user": "ann"}
MISSPELT = {"job_id": "8", "processors_req": 4, "time_limit": 3600, "user": "ann"}


def lines(*objects: dict[str, object]) -> list[bytes]:
    return [json.dumps(found).encode() for found in objects]


def test_an_unknown_field_is_an_error_of_its_row_that_names_the_nearest() -> None:
    jobs, errors = read_lines(lines(MISSPELT, KNOWN), ReadOptions())
    assert errors == {0: "time_limit = 3600: no such field; did you mean time_req?"}
    assert jobs["time_req"].to_list() == [None, 3600.0]


def test_many_lines_are_judged_as_one_is() -> None:
    _, errors = read_lines(lines(*[KNOWN] * 300, MISSPELT), ReadOptions())
    assert list(errors) == [300]


def test_what_a_finished_job_has_and_what_is_mapped_is_known() -> None:
    mapped = ReadOptions(columns=ColumnMap.from_mapping({"time_req": "limit"}))
    odd = {"limit": 60, "state": "FAILED", "runtime": 5, "partial": True, "request_id": "x"}
    jobs, errors = read_lines(lines(odd), mapped)
    assert errors == {}
    assert jobs["time_req"].to_list() == [60.0]


def test_a_file_of_objects_is_read_as_its_lines(tmp_path: Path) -> None:
    path = tmp_path / "jobs.jsonl"
    path.write_bytes(b"\n".join(lines(MISSPELT, KNOWN)))
    _, errors, notes = read_table(path, InputFormat.JSONL, ReadOptions())
    assert list(errors) == [0]
    assert notes == ()


def test_unknown_columns_of_a_table_are_noted(tmp_path: Path) -> None:
    path = tmp_path / "jobs.csv"
    path.write_text("job_id,time_req,cpus,comment\n1,60,4,x\n")
    _, errors, notes = read_table(path, InputFormat.CSV, ReadOptions())
    assert errors == {}
    assert notes == ("columns that are not read: cpus (as processors_req?), comment",)
