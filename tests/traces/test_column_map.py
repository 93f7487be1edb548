"""Where a CSV or Parquet log keeps what."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from rt_predictor.errors import UsageError
from rt_predictor.jobs.asked import MOMENT
from rt_predictor.jobs.schema import JOB_SCHEMA
from rt_predictor.traces import ColumnMap, FileColumn, read_trace
from rt_predictor.traces.column_map import KINDS, NREL_EAGLE, PM100, recognise

Log = Callable[[str, str | bytes], Path]


def test_a_toml_file_maps_job_columns_to_those_of_the_file(log: Log) -> None:
    path = log("map.toml", 'user = "uid"\ntime_req = { column = "limit", unit = "min" }\n')
    columns = ColumnMap.from_toml(path)
    assert columns == ColumnMap({"user": FileColumn("uid"), "time_req": FileColumn("limit", "min")})
    assert columns.factor("time_req") == 60.0


def test_a_table_without_unit_is_a_name(log: Log) -> None:
    assert ColumnMap.from_mapping({"user": {"column": "uid"}}).columns["user"] == FileColumn("uid")


@pytest.mark.parametrize(
    ("job_column", "unit", "factor"),
    [
        ("submit_time", "ms", 1e-3),
        ("runtime", "h", 3600.0),
        ("mem_req", "GB", 1024.0),
        ("mem_req", "B", 1 / 1024**2),
        ("mem_req", None, 1.0),
        ("processors_req", None, 1.0),
        ("user", None, 1.0),
    ],
)
def test_units_become_those_of_the_job_frame(
    job_column: str, unit: str | None, factor: float
) -> None:
    assert ColumnMap({job_column: FileColumn("x", unit)}).factor(job_column) == factor


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"walltime": "x"}, "'walltime' is no job column: choose from submit_time"),
        ({"mem_req": {"column": "x", "unit": "h"}}, "mem_req cannot be in 'h': choose from MB"),
        ({"user": "x", "account": "x"}, "'x' is mapped twice, to user and account"),
        ({"user": 7}, "user = 7: give the file's column as text"),
        ({"user": {"column": "x", "units": "s"}}, "give the file's column as text"),
        ({"user": {"unit": "s"}}, "give the file's column as text"),
        ({"user": {"column": "x", "unit": "s", "more": 1}}, "give the file's column as text"),
    ],
)
def test_a_wrong_map_says_what_is_wrong(entries: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        ColumnMap.from_mapping(entries)


def test_a_map_that_is_no_toml_is_named(log: Log) -> None:
    with pytest.raises(UsageError, match=r"map\.toml is not TOML"):
        ColumnMap.from_toml(log("map.toml", "user: uid\n"))


def test_a_map_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"cannot read the column map .*map\.toml: No such file"):
        ColumnMap.from_toml(tmp_path / "map.toml")


def test_every_job_column_has_a_kind() -> None:
    assert KINDS.keys() == {*JOB_SCHEMA, *MOMENT, "suspended"}


def test_our_own_names_are_recognised() -> None:
    assert recognise(["user", "runtime", "x"]).columns == {
        "user": FileColumn("user"),
        "runtime": FileColumn("runtime"),
    }


def test_the_nrel_eagle_header_is_recognised() -> None:
    names = [file_column.name for file_column in NREL_EAGLE.columns.values()]
    assert recognise([*names, "work_dir"]) == NREL_EAGLE


def test_columns_cut_from_the_nrel_eagle_data_are_not_asked_for() -> None:
    columns = recognise(["submit_time", "start_time", "wallclock_req", "run_time"]).columns
    assert columns.keys() == {"submit_time", "start_time", "time_req", "runtime"}


def test_a_table_of_pm100_is_read_in_its_units(tmp_path: Path) -> None:
    at = datetime(2020, 5, 1, tzinfo=UTC)
    path = tmp_path / "job_table.parquet"
    pl.DataFrame(
        {
            "job_id": [1, 2],
            "user_id": [7, 8],
            "group_id": [3, 3],
            "partition": ["1", "1"],
            "qos": ["0", "0"],
            "submit_time": [at] * 2,
            "start_time": [at + timedelta(minutes=5)] * 2,
            "end_time": [at + timedelta(minutes=65)] * 2,
            "run_time": [3600, 3600],
            "time_limit": [1440, 4_294_967_295],
            "num_cores_req": [512, 4],
            "num_nodes_req": [4, 1],
            "num_gpus_req": [16, 4],
            "mem_req": [950, 237],
            "job_state": ["COMPLETED", "TIMEOUT"],
            "power_consumption": [[1.0], [2.0]],
        }
    ).write_parquet(path)
    trace = read_trace(path)
    first, second = trace.jobs.to_dicts()
    assert first["mem_req"] == 950 * 1024.0
    assert (first["time_req"], second["time_req"]) == (86_400.0, None)
    assert (first["runtime"], first["processors_req"], first["gpus_req"]) == (3600.0, 512.0, 16.0)
    assert (first["user"], first["account"], first["state"]) == ("7", "3", "COMPLETED")
    assert trace.notes == ("columns that are not read: power_consumption", "no job has job_name")


def test_a_data_set_is_known_by_all_its_marks() -> None:
    assert recognise(["mem_req", "time_limit"]).columns == {"mem_req": FileColumn("mem_req")}
    assert recognise(column.name for column in PM100.columns.values()) == PM100
