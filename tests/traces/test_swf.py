"""The Standard Workload Format."""

from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rt_predictor.errors import TraceError
from rt_predictor.jobs.outcomes import Skip
from rt_predictor.jobs.schema import JOB_SCHEMA
from rt_predictor.traces import ReadOptions, Trace, TraceFormat, read_trace

Log = Callable[[str, str | bytes], Path]

FIELDS = {
    "job": 1,
    "submit": 100,
    "wait": 20,
    "run": 300,
    "allocated": 8,
    "cpu": -1,
    "used_memory": 999_999,
    "requested": 16,
    "limit": 600,
    "memory": 2048,
    "status": 1,
    "user": 12,
    "group": 3,
    "executable": 7,
    "queue": -1,
    "partition": 2,
    "preceding": -1,
    "think": -1,
}
ALL_LINES_MAY_FAIL = ReadOptions(max_malformed_share=1.0)


def line(**fields: float | str) -> str:
    return " ".join(str(value) for value in {**FIELDS, **fields}.values()) + "\n"


def read(log: Log, content: str, options: ReadOptions = ALL_LINES_MAY_FAIL) -> Trace:
    return read_trace(log("log.swf", content), options=options)


def test_a_job_of_the_standard_workload_format(log: Log) -> None:
    trace = read(log, "; UnixStartTime: 1000000\n" + line())
    assert trace.format is TraceFormat.SWF
    assert dict(trace.jobs.schema) == dict(JOB_SCHEMA)
    assert trace.jobs.row(0, named=True) == {
        **dict.fromkeys(JOB_SCHEMA),
        "submit_time": 1_000_100.0,
        "processors_req": 16.0,
        "nodes_req": None,
        "mem_req": 2048 * 16 / 1024,
        "gpus_req": None,
        "time_req": 600.0,
        "partition": "2",
        "qos": None,
        "user": "12",
        "account": "3",
        "job_name": "7",
        "job_id": "1",
        "start_time": 1_000_120.0,
        "end_time": 1_000_420.0,
        "runtime": 300.0,
        "state": "COMPLETED",
    }


def test_minus_one_is_missing(log: Log) -> None:
    missing = line(
        allocated=-1, requested=-1, limit=-1, memory=-1, status=-1, user=-1, group=-1,
        executable=-1, partition=-1,
    )  # fmt: skip
    job = read(log, missing).jobs.row(0, named=True)
    known = {"submit_time", "job_id", "start_time", "end_time", "runtime"}
    assert {name for name, value in job.items() if value is not None} == known


def test_allocated_processors_stand_in_for_requested_ones(log: Log) -> None:
    jobs = read(log, line(requested=-1) + line(requested=0)).jobs
    assert jobs["processors_req"].to_list() == [8.0, 8.0]


def test_used_memory_is_no_request(log: Log) -> None:
    assert read(log, line(memory=-1, used_memory=4096)).jobs["mem_req"].to_list() == [None]


def test_a_limit_of_decades_is_no_limit(log: Log) -> None:
    assert read(log, line(limit=2_147_483_640)).jobs["time_req"].to_list() == [None]


@pytest.mark.parametrize(
    ("status", "state"), [(0, "FAILED"), (1, "COMPLETED"), (5, "CANCELLED"), (-1, None), (9, None)]
)
def test_status_becomes_state(log: Log, status: int, state: str | None) -> None:
    assert read(log, line(status=status)).jobs["state"].to_list() == [state]


@pytest.mark.parametrize("status", [2, 3, 4])
def test_lines_of_parts_of_a_job_are_skipped(log: Log, status: int) -> None:
    trace = read(log, line() + line(status=status))
    assert trace.jobs.height == 1
    assert trace.skipped == {Skip.PARTIAL: 1}


def test_jobs_without_runtime_are_skipped_and_counted(log: Log) -> None:
    trace = read(log, line() + line(job=2, run=-1) + line(job=3, run=0))
    assert trace.jobs["job_id"].to_list() == ["1", "3"]
    assert trace.skipped == {Skip.NO_RUNTIME: 1}
    assert trace.lines == 3


def test_a_missing_wait_skips_the_job_where_others_have_one(log: Log) -> None:
    trace = read(log, line() + line(job=2, wait=-1))
    assert trace.jobs["job_id"].to_list() == ["1"]
    assert trace.skipped == {Skip.NO_START: 1}


def test_a_log_without_any_wait_starts_its_jobs_at_once(log: Log) -> None:
    trace = read(log, "; UnixStartTime: 1000\n" + line(wait=-1) + line(wait=-1, submit=200))
    assert trace.jobs["start_time"].to_list() == [1100.0, 1200.0]
    assert trace.jobs["end_time"].to_list() == [1400.0, 1500.0]
    assert any("no wait times" in note for note in trace.notes)


def test_jobs_are_sorted_by_submit_and_keep_their_order_within_a_second(log: Log) -> None:
    content = line(job=3, submit=50) + line(job=1, submit=10) + line(job=2, submit=10)
    assert read(log, content).jobs["job_id"].to_list() == ["1", "2", "3"]


def test_blanks_comments_and_fractions_are_fine(log: Log) -> None:
    padded = "   " + line(cpu=552.21).replace(" ", " \t  ").strip() + "  \r\n"
    trace = read(log, ";\n; Note: x\n\n" + padded + "  ; late comment\n" + line(job=2))
    assert trace.jobs["job_id"].to_list() == ["1", "2"]
    assert trace.lines == 2
    assert trace.malformed == ()


def test_a_queue_is_the_partition_of_a_log_that_has_queues(log: Log) -> None:
    jobs = read(log, line(queue=5, partition=2) + line(queue=-1, partition=2)).jobs
    assert jobs["partition"].to_list() == ["5", None]


SIMULATED = "; Computer: Pyss Simulator (4ec6e99)\n"
NOTED = "; Note: the Partition Number column can represents it have been backfilled\n"


@pytest.mark.parametrize("header", [SIMULATED, NOTED, ""])
def test_a_partition_column_that_marks_backfilled_jobs_is_left_out(log: Log, header: str) -> None:
    trace = read(log, header + line(partition=1) + line(partition=-1))
    assert trace.jobs["partition"].to_list() == [None, None]
    assert any("partition column is left out" in note for note in trace.notes)


def test_a_simulators_partition_is_left_out_even_where_all_jobs_have_one(log: Log) -> None:
    assert read(log, SIMULATED + line(partition=1)).jobs["partition"].to_list() == [None]


@pytest.mark.parametrize("partitions", [(1, 1), (1, 2), (1, 2, -1)])
def test_a_partition_column_that_names_partitions_is_kept(
    log: Log, partitions: tuple[int, ...]
) -> None:
    jobs = read(log, "".join(line(partition=number) for number in partitions)).jobs
    expected = [None if number < 0 else str(number) for number in partitions]
    assert jobs["partition"].to_list() == expected


@pytest.mark.parametrize("header", ["", "; UnixStartTime: -1\n", "; UnixStartTime: unknown\n"])
def test_without_a_start_time_the_log_counts_from_zero_and_says_so(log: Log, header: str) -> None:
    trace = read(log, header + line())
    assert trace.jobs["submit_time"].to_list() == [100.0]
    assert any("no UnixStartTime" in note for note in trace.notes)


def test_the_time_zone_of_the_header_is_not_applied(log: Log) -> None:
    header = "; UnixStartTime: 1000\n; TimeZone: 3600\n; TimeZoneString: Europe/Stockholm\n"
    trace = read(log, header + line())
    assert trace.jobs["submit_time"].to_list() == [1100.0]
    assert trace.notes == ()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("1 2 3\n", "fewer than 18 fields"),
        (line().strip() + " 7\n", "more than 18 fields"),
        (line(run="12x"), "the run time is not a number"),
        (line(think="nan"), "the think time is not a number"),
        (line(user="alice"), "the user is not a number"),
        (line(submit=-1), "no valid submit time"),
    ],
)
def test_a_line_that_is_no_job_is_malformed(log: Log, content: str, reason: str) -> None:
    trace = read(log, "; comment\n" + line() + content)
    assert trace.jobs.height == 1
    assert trace.malformed_count == 1
    assert (trace.malformed[0].line, trace.malformed[0].reason) == (3, reason)
    assert trace.malformed[0].text.startswith(content[:10].strip())


def test_a_header_alone_is_no_log(log: Log) -> None:
    with pytest.raises(TraceError, match="has no records"):
        read(log, "; Version: 2.2\n;\n")


numbers = st.integers(-1, 10**6)


@settings(deadline=None, max_examples=50)
@given(
    st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 10**6), numbers), min_size=1),
    st.sampled_from([" ", "\t", "   "]),
)
def test_every_number_of_a_log_comes_through(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[int, int, int]], blank: str
) -> None:
    path = tmp_path_factory.mktemp("log") / "log.swf"
    lines = [line(submit=submit, run=run, limit=limit) for submit, run, limit in rows]
    path.write_text("".join(lines).replace(" ", blank), encoding="utf-8")
    jobs = read_trace(path).jobs
    expected = sorted(rows, key=lambda row: row[0])
    limits = [float(limit) if limit >= 1 else None for _, _, limit in expected]
    assert jobs["runtime"].to_list() == [run for _, run, _ in expected]
    assert jobs["time_req"].to_list() == limits
    assert jobs.select((pl.col("end_time") - pl.col("start_time")).alias("span"))[
        "span"
    ].to_list() == [run for _, run, _ in expected]
