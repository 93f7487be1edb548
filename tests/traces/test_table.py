"""CSV and Parquet job logs."""

import gzip
from collections.abc import Callable
from datetime import date, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from rt_predictor.errors import TraceError
from rt_predictor.jobs.outcomes import Skip
from rt_predictor.jobs.schema import JOB_SCHEMA
from rt_predictor.traces import (
    ColumnMap,
    ReadOptions,
    TraceFormat,
    read_trace,
    source,
    table,
)

Log = Callable[[str, str | bytes], Path]

SUBMIT_S = 1_704_153_600.0
JOB = {
    **dict.fromkeys(JOB_SCHEMA),
    "submit_time": SUBMIT_S,
    "processors_req": 8.0,
    "nodes_req": 2.0,
    "mem_req": 9216.0,
    "gpus_req": 1.0,
    "time_req": 7200.0,
    "partition": "long",
    "qos": "normal",
    "user": "alice",
    "account": "physics",
    "job_name": "relax",
    "job_id": "123",
    "start_time": SUBMIT_S + 600,
    "end_time": SUBMIT_S + 4205,
    "runtime": 3605.0,
    "state": "COMPLETED",
}
NREL_EAGLE = (
    "job_id,user,account,partition,qos,wallclock_req,nodes_req,processors_req,gpus_req,mem_req,"
    "submit_time,start_time,end_time,run_time,state,name,work_dir,submit_line\n"
    "123,alice,physics,long,normal,7200.0,2,8,1,9216.0,2024-01-02 00:00:00,2024-01-02 00:10:00,"
    "2024-01-02 01:10:05,3605.0,COMPLETED,relax,/home,sbatch\n"
)
SHORT = "submit_time,start_time,end_time,user\n"
LENIENT = ReadOptions(max_malformed_share=1.0)


def columns(**entries: object) -> ReadOptions:
    return ReadOptions(columns=ColumnMap.from_mapping(entries), max_malformed_share=1.0)


def test_our_own_column_names_are_read_as_they_are(log: Log) -> None:
    path = log("jobs.csv", pl.DataFrame([JOB]).write_csv())
    trace = read_trace(path)
    assert trace.format is TraceFormat.CSV
    assert dict(trace.jobs.schema) == dict(JOB_SCHEMA)
    assert trace.jobs.row(0, named=True) == JOB


def test_a_job_frame_survives_the_way_through_parquet(tmp_path: Path) -> None:
    path = tmp_path / "jobs.parquet"
    jobs = pl.DataFrame([JOB], schema=dict(JOB_SCHEMA))
    jobs.write_parquet(path)
    trace = read_trace(path)
    assert trace.format is TraceFormat.PARQUET
    assert trace.jobs.equals(jobs)


def test_the_nrel_eagle_data_are_read_without_a_map(log: Log) -> None:
    path = log("eagle.csv.gz", gzip.compress(NREL_EAGLE.encode()))
    assert read_trace(path).jobs.row(0, named=True) == JOB


def test_zero_memory_is_not_requested(log: Log) -> None:
    path = log("eagle.csv", NREL_EAGLE.replace("9216.0", "0.0"))
    assert read_trace(path).jobs["mem_req"].to_list() == [None]


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_the_separator_is_that_of_the_header(log: Log, separator: str) -> None:
    content = (SHORT + "1000,1010,1030,alice\n").replace(",", separator)
    assert read_trace(log("jobs.csv", content)).jobs["user"].to_list() == ["alice"]


def test_a_map_names_columns_and_units(log: Log) -> None:
    content = (
        "queued,began,hours,limit,ram,who,user\n"
        "1000000,1060000,1.5,90,2,alice,7\n"
        "2000000,2060000,0.5,1-00:00:00,500M,bob,8\n"
    )
    options = columns(
        submit_time={"column": "queued", "unit": "ms"},
        start_time={"column": "began", "unit": "ms"},
        runtime={"column": "hours", "unit": "h"},
        time_req={"column": "limit", "unit": "min"},
        mem_req={"column": "ram", "unit": "GB"},
        user="who",
    )
    jobs = read_trace(log("jobs.csv", content), options=options).jobs
    assert jobs["submit_time"].to_list() == [1000.0, 2000.0]
    assert jobs["end_time"].to_list() == [1060.0 + 5400, 2060.0 + 1800]
    assert jobs["time_req"].to_list() == [5400.0, 86400.0]
    assert jobs["mem_req"].to_list() == [2048.0, 500.0]
    assert jobs["user"].to_list() == ["alice", "bob"]


def test_a_column_that_the_map_takes_is_not_taken_twice(log: Log) -> None:
    content = "submit_time,start_time,end_time,user\n1000,1010,1030,physics\n"
    job = read_trace(log("jobs.csv", content), options=columns(account="user")).jobs.row(
        0, named=True
    )
    assert (job["account"], job["user"]) == ("physics", None)


def test_memory_per_node_or_core_is_for_the_whole_job(log: Log) -> None:
    content = (
        "submit_time,start_time,end_time,mem_req,nodes_req,processors_req\n"
        "1000,1010,1030,4Gn,2,16\n1000,1010,1030,100Mc,2,16\n"
    )
    assert read_trace(log("jobs.csv", content)).jobs["mem_req"].to_list() == [8192.0, 1600.0]


def test_quotes_hold_separators_and_line_ends(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "BLOCK_BYTES", 16)
    content = SHORT + '1000,1010,1030,"a,b"\n1001,1010,1030,"two\nlines"\n1002,1010,1030,c\n'
    jobs = read_trace(log("jobs.csv", content)).jobs
    assert jobs["user"].to_list() == ["a,b", "two\nlines", "c"]


def test_blank_lines_around_the_records_are_none(log: Log) -> None:
    trace = read_trace(log("jobs.csv", "\r\n" + SHORT + "\n1000,1010,1030,alice\r\n\n"))
    assert (trace.lines, trace.jobs["user"].to_list()) == (1, ["alice"])


def test_a_column_may_be_named_line(log: Log) -> None:
    path = log("jobs.csv", "submit_time,start_time,end_time,line\n1000,1010,1030,7\n")
    assert read_trace(path, options=columns(user="line")).jobs["user"].to_list() == ["7"]


def test_a_short_row_misses_its_last_columns(log: Log) -> None:
    trace = read_trace(log("jobs.csv", SHORT + "1000,1010,1030\n1000,1010,1030,bob\n"))
    assert trace.jobs["user"].to_list() == [None, "bob"]


@pytest.mark.parametrize("word", ["", "NaN", "None", "null", "NaT", " "])
def test_words_for_missing_are_missing(log: Log, word: str) -> None:
    content = f"submit_time,start_time,end_time,time_req\n1000,1010,1030,{word}\n"
    trace = read_trace(log("jobs.csv", content))
    assert trace.jobs["time_req"].to_list() == [None]
    assert trace.malformed_count == 0


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("soon,1010,1030,alice,1", "submit_time is not a time"),
        (",1010,1030,alice,1", "no valid submit time"),
        ("1000,1010,1030,alice,many", "processors_req is not a number"),
        ("1000,1010,1030,alice,1,2", "more than 5 fields"),
    ],
)
def test_a_row_that_cannot_be_read_is_malformed(log: Log, row: str, reason: str) -> None:
    header = "submit_time,start_time,end_time,user,processors_req\n"
    path = log("jobs.csv", f"{header}1000,1010,1030,alice,1\n{row}\n")
    trace = read_trace(path, options=LENIENT)
    assert trace.jobs.height == 1
    assert [(bad.line, bad.reason) for bad in trace.malformed] == [(3, reason)]
    assert trace.malformed[0].text.startswith(row.split(",", maxsplit=1)[0])


def test_unfinished_jobs_are_skipped(log: Log) -> None:
    content = (
        "submit_time,start_time,end_time,state\n"
        "1000,1010,1030,COMPLETED\n1000,,,PENDING\n1000,1010,,RUNNING\n1000,,,CANCELLED\n"
    )
    trace = read_trace(log("jobs.csv", content))
    assert trace.skipped == {Skip.NEVER_STARTED: 2, Skip.STILL_RUNNING: 1}


def test_an_ended_job_without_an_end_time_ends_after_its_runtime(log: Log) -> None:
    content = "submit_time,start_time,end_time,runtime,state\n1000,1010,,20,FAILED\n"
    assert read_trace(log("jobs.csv", content)).jobs["end_time"].to_list() == [1030.0]


def test_a_mapped_column_that_is_missing_is_named_with_those_that_are_there(log: Log) -> None:
    with pytest.raises(
        TraceError, match=r"'wall' \(mapped to time_req\) is there 0 times; the col"
    ):
        read_trace(log("jobs.csv", SHORT), options=columns(time_req="wall"))


def test_a_mapped_column_that_is_there_twice_is_refused(log: Log) -> None:
    content = SHORT.replace("user", "user,user") + "1000,1010,1030,a,b\n"
    with pytest.raises(TraceError, match=r"'user' \(mapped to user\) is there 2 times"):
        read_trace(log("jobs.csv", content))


def test_other_columns_may_be_there_twice(log: Log) -> None:
    content = SHORT.replace("user", "user,note,note,") + "1000,1010,1030,alice,b,c,\n"
    assert read_trace(log("jobs.csv", content)).jobs["user"].to_list() == ["alice"]


@pytest.mark.parametrize("header", ["submit_time,runtime\n", "start_time,end_time\n", "a,b\n"])
def test_too_few_columns_for_a_job_ask_for_a_map(log: Log, header: str) -> None:
    with pytest.raises(
        TraceError, match=r"needs the columns submit_time, and two of .* column map"
    ):
        read_trace(log("jobs.csv", header + "1,2\n"))


def test_a_header_alone_has_no_records(log: Log) -> None:
    with pytest.raises(TraceError, match="has no records"):
        read_trace(log("jobs.csv", SHORT))


def test_a_stray_quote_costs_its_record_and_no_other(log: Log) -> None:
    good = "1000,1010,1030,alice\n" * 3
    stray = '1000,1010,1030,"x"y",\n'
    trace = read_trace(log("jobs.csv", SHORT + good + stray + "\n" + good), options=LENIENT)
    assert trace.jobs.filter(pl.col("user") == "alice").height == 6


def test_a_field_too_long_for_csv_is_refused(log: Log) -> None:
    stray = '1000,1010,1030,"x"y"\n' + "z" * 200_000
    with pytest.raises(TraceError, match="as CSV after record 1: field larger than field limit"):
        read_trace(log("jobs.csv", SHORT + stray))


def parquet(tmp_path: Path, **values: object) -> Path:
    """A log of one job with these columns; a value may be a Series to fix its type."""
    path = tmp_path / "jobs.parquet"
    base = {"submit_time": 1000, "start_time": 1010, "end_time": 1030}
    series = [
        value.alias(name) if isinstance(value, pl.Series) else pl.Series(name, [value])
        for name, value in {**base, **values}.items()
    ]
    pl.DataFrame(series).write_parquet(path)
    return path


def test_typed_times_are_read_in_their_zone(tmp_path: Path) -> None:
    path = parquet(
        tmp_path,
        submit_time=datetime(2024, 1, 2, 1),
        start_time=pl.Series([datetime(2024, 1, 2, 1)]).dt.replace_time_zone("America/New_York"),
        end_time=date(2024, 1, 3),
    )
    job = read_trace(path, options=ReadOptions(timezone="Europe/Paris")).jobs.row(0, named=True)
    assert job["submit_time"] == SUBMIT_S
    assert job["start_time"] == SUBMIT_S + 6 * 3600
    assert job["end_time"] == SUBMIT_S + 23 * 3600


def test_typed_spans_and_numbers_are_read(tmp_path: Path) -> None:
    path = parquet(
        tmp_path,
        time_req=timedelta(hours=2),
        processors_req=pl.Series([16], dtype=pl.Int16),
        mem_req=pl.Series([2.5], dtype=pl.Float32),
        gpus_req=pl.Series([float("nan")]),
        user=pl.Series(["alice"], dtype=pl.Categorical),
        account=pl.Series([None], dtype=pl.Null),
        nodes_req=pl.Series([None], dtype=pl.Null),
    )
    options = columns(mem_req={"column": "mem_req", "unit": "GB"})
    job = read_trace(path, options=options).jobs.row(0, named=True)
    assert (job["time_req"], job["processors_req"], job["mem_req"]) == (7200.0, 16.0, 2560.0)
    assert (job["gpus_req"], job["user"], job["account"]) == (None, "alice", None)


def test_texts_in_parquet_are_read_as_in_csv(tmp_path: Path) -> None:
    path = parquet(tmp_path, submit_time="1970-01-01T00:16:40", time_req="02:00:00")
    job = read_trace(path).jobs.row(0, named=True)
    assert (job["submit_time"], job["time_req"]) == (1000.0, 7200.0)


@pytest.mark.parametrize(
    ("value", "name"), [(1234.0, "1234"), (1.5, "1.5"), (float("nan"), None), (77, "77")]
)
def test_numbers_may_be_names(tmp_path: Path, value: float, name: str | None) -> None:
    assert read_trace(parquet(tmp_path, user=value)).jobs["user"].to_list() == [name]


@pytest.mark.parametrize(
    ("column", "value", "kind"),
    [
        ("user", ["a", "b"], "text"),
        ("user", b"a", "text"),
        ("time_req", True, "a time span"),
        ("processors_req", date(2024, 1, 1), "a number"),
    ],
)
def test_a_column_of_a_type_that_does_not_fit_is_named(
    tmp_path: Path, column: str, value: object, kind: str
) -> None:
    with pytest.raises(TraceError, match=rf"column '{column}' .* cannot be read as {kind}"):
        read_trace(parquet(tmp_path, **{column: value}))


def test_parquet_is_read_in_slices_that_keep_their_row_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table, "SLICE_ROWS", 2)
    path = tmp_path / "jobs.parquet"
    submit = ["1", "2", "3", "x", "5"]
    pl.DataFrame(
        {"submit_time": submit, "start_time": [9] * 5, "end_time": [10] * 5}
    ).write_parquet(path)
    shares: list[float] = []
    trace = read_trace(path, options=LENIENT, progress=shares.append)
    assert trace.jobs["submit_time"].to_list() == [1, 2, 3, 5]
    assert [bad.line for bad in trace.malformed] == [4]
    assert shares == [2 / 5, 4 / 5, 1.0]


@pytest.mark.parametrize("content", [b"PAR1 and then junk", b"junk"])
def test_a_file_that_is_no_parquet_is_refused(log: Log, content: bytes) -> None:
    with pytest.raises(TraceError, match=r"cannot read .*jobs\.parquet as Parquet"):
        read_trace(log("jobs.parquet", content))
