"""Kinds of records that administrators reported other programs to misread: each read rightly."""

from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from rt_predictor.jobs.outcomes import Skip
from rt_predictor.traces import ColumnMap, ReadOptions, read_trace, read_traces

Log = Callable[[str, str], Path]

SACCT = (
    "JobIDRaw|User|Account|Partition|QOS|Submit|Start|End|ElapsedRaw|Timelimit|ReqCPUS|State|"
    "JobName"
)


def sacct(*rows: str, header: str = SACCT) -> str:
    return "\n".join([header, *rows]) + "\n"


def a_job(number: int, *, run_s: int = 3600, state: str = "COMPLETED") -> str:
    submit = 1_714_557_600 + number
    start = submit + 300
    return f"{number}|ann|acc|gpu|normal|{submit}|{start}|{start + run_s}|{run_s}|120|4|{state}|sim"


HEADER = "job_id,user,partition,submit_time,start_time,end_time,time_req,processors_req,state\n"


@pytest.mark.parametrize("never", ["0", "-1", "", "None", "1970-01-01T01:00:00", "4294967294"])
@pytest.mark.parametrize("state", ["CANCELLED", "FAILED", ""])
def test_a_job_that_never_started_has_no_runtime(log: Log, never: str, state: str) -> None:
    content = (
        HEADER
        + "1,ann,p,1714557600,1714557900,1714561500,3600,4,COMPLETED\n"
        + f"2,ann,p,1714557600,{never},1714561500,3600,4,{state}\n"
    )
    trace = read_trace(log("log.csv", content))
    assert trace.jobs["job_id"].to_list() == ["1"]
    assert trace.jobs["runtime"].to_list() == [3600.0]
    assert trace.skipped == {Skip.NEVER_STARTED: 1}
    assert trace.cancelled["job_id"].to_list() == ["2"]


def test_a_dump_that_counts_runtimes_from_the_start_of_1970_is_not_believed(log: Log) -> None:
    header = HEADER.replace(",state", ",runtime")
    content = (
        header
        + "1,ann,p,1714557600,1714557900,1714561500,3600,4,3600\n"
        + "2,ann,p,1714557600,0,1714561500,3600,4,1714561500\n"
    )
    trace = read_trace(log("log.csv", content))
    assert trace.jobs["runtime"].to_list() == [3600.0]
    assert trace.skipped == {Skip.NEVER_STARTED: 1}


def test_jobs_of_slurms_database_that_run_or_wait_are_open(log: Log) -> None:
    content = (
        HEADER
        + "1,ann,p,1714557600,1714557900,1714561500,3600,4,COMPLETED\n"
        + "2,ann,p,1714557600,1714557900,0,3600,4,RUNNING\n"
        + "3,ann,p,1714557600,0,0,3600,4,PENDING\n"
    )
    trace = read_trace(log("log.csv", content))
    assert trace.skipped == {Skip.STILL_RUNNING: 1, Skip.NEVER_STARTED: 1}
    assert trace.open.select("job_id", "start_time").rows() == [("2", 1_714_557_900), ("3", None)]
    assert trace.cancelled.is_empty()


def test_ends_in_the_future_are_a_wrong_unit_or_zone(log: Log) -> None:
    late = "2,ann,p,1714557600,1714557900,4000000000,3600,4,COMPLETED\n"
    content = HEADER + "1,ann,p,1714557600,1714557900,1714561500,3600,4,COMPLETED\n" + late
    trace = read_trace(log("log.csv", content))
    assert trace.jobs["job_id"].to_list() == ["1"]
    assert sum(trace.skipped.values()) == 1


@pytest.mark.parametrize("name", ["gpu,long", "gpu", " gpu , long", ",gpu"])
def test_of_several_partitions_the_first_is_preferred(log: Log, name: str) -> None:
    row = a_job(1).replace("|gpu|", f"|{name}|")
    assert read_trace(log("log.sacct", sacct(row))).jobs["partition"].item().strip() == "gpu"
    content = HEADER + f'1,ann,"{name}",1714557600,1714557900,1714561500,3600,4,COMPLETED\n'
    assert read_trace(log("log.csv", content)).jobs["partition"].item() == "gpu"


STEPS = [
    "123|ann|gpu|{0}|{0}|2024-05-01T11:00:00|3600|120|4|COMPLETED|sim",
    "123.batch|||{0}|{0}|2024-05-01T11:00:00|3600||4|COMPLETED|batch",
    "123.extern|||{0}|{0}|2024-05-01T11:00:00|3600||4|COMPLETED|extern",
    "123.0|||{0}|{0}|2024-05-01T10:00:10|10||4|COMPLETED|hostname",
]
STEP_FIELDS = "JobID|User|Partition|Submit|Start|End|ElapsedRaw|TimelimitRaw|ReqCPUS|State|JobName"


def _steps(without: int = 0) -> str:
    rows = [row.format("2024-05-01T10:00:00") for row in STEPS]
    return "\n".join("|".join(row.split("|")[without:]) for row in (STEP_FIELDS, *rows)) + "\n"


def test_steps_are_no_jobs_of_their_own(log: Log) -> None:
    trace = read_trace(log("log.sacct", _steps()))
    assert trace.jobs["job_name"].to_list() == ["sim"]
    assert trace.skipped == {Skip.JOB_STEP: 3}


def test_steps_are_told_without_ids_by_what_only_jobs_have(log: Log) -> None:
    trace = read_trace(log("log.sacct", _steps(without=1)))
    assert trace.jobs["job_name"].to_list() == ["sim"]
    assert trace.skipped == {Skip.JOB_STEP: 3}


def test_where_nothing_tells_steps_apart_that_is_said(log: Log) -> None:
    times = "2024-05-01T10:00:00|2024-05-01T10:00:00|2024-05-01T11:00:00"
    content = f"Submit|Start|End|JobName\n{times}|a\n"
    assert any("job steps" in note for note in read_trace(log("log.sacct", content)).notes)


def test_steps_of_a_table_are_told_by_their_ids(log: Log) -> None:
    mapped = ColumnMap.from_mapping(
        {
            "job_id": "JobID", "user": "User", "partition": "Partition", "submit_time": "Submit",
            "start_time": "Start", "end_time": "End", "job_name": "JobName",
        }
    )  # fmt: skip
    content = _steps().replace("|", ",")
    trace = read_trace(log("log.csv", content), options=ReadOptions(columns=mapped))
    assert trace.jobs["job_id"].to_list() == ["123"]
    assert trace.skipped == {Skip.JOB_STEP: 3}


def test_ids_with_numbers_after_a_dot_are_jobs_where_they_have_no_parent(log: Log) -> None:
    rows = "".join(f"7.{n},ann,p,1714557600,1714557900,1714561500,3600,4,DONE\n" for n in (0, 1))
    assert read_trace(log("log.csv", HEADER + rows)).jobs["job_id"].to_list() == ["7.0", "7.1"]


def test_jobs_of_overlapping_dumps_count_once(log: Log) -> None:
    first = log("m1.sacct", sacct(*(a_job(n) for n in range(10))))
    second = log("m2.sacct", sacct(*(a_job(n) for n in range(6, 20))))
    trace = read_traces([first, second])
    assert trace.jobs["job_id"].to_list() == [str(n) for n in range(20)]
    assert any("count once: 4 left out" in note for note in trace.notes)


def test_equal_jobs_of_one_log_are_several(log: Log) -> None:
    content = HEADER + 2 * "7,ann,p,1714557600,1714557900,1714561500,3600,4,COMPLETED\n"
    again = log("b.csv", content)
    assert read_trace(log("a.csv", content)).jobs.height == 2
    assert read_traces([log("a.csv", content), again]).jobs.height == 2


@pytest.mark.parametrize(
    ("elapsed", "suspended", "runtime"),
    [
        ("10800", "01:00:00", 7200.0),  # a completion script: from start to end
        ("7200", "01:00:00", 7200.0),  # sacct: what was suspended is taken off already
        ("10800", "3600", 7200.0),
        ("10800", "00:00:00", 10800.0),
        ("10800", "", 10800.0),
        ("10800", "3-00:00:00", 10800.0),  # more than all of it: not to be believed
    ],
)
def test_time_suspended_is_no_part_of_the_runtime(
    log: Log, elapsed: str, suspended: str, runtime: float
) -> None:
    row = a_job(1, run_s=10800).replace("|10800|", f"|{elapsed}|{suspended}|")
    header = SACCT.replace("|ElapsedRaw|", "|ElapsedRaw|Suspended|")
    jobs = read_trace(log("1.job.sacct", sacct(row, header=header))).jobs
    assert jobs["runtime"].to_list() == [runtime]
    assert jobs.select(pl.col("end_time") - pl.col("start_time")).item() == 10800.0


def test_columns_that_are_not_read_are_named(log: Log) -> None:
    content = (
        "job_id,user,vc,jobname,gpu_num,cpu_num,state,submit_time,start_time,end_time\n"
        "1,u1,vc1,train,8,64,COMPLETED,1585699396,1585699400,1585706600\n"
    )
    notes = read_trace(log("log.csv", content)).notes
    assert notes == (
        "columns that are not read: vc (as partition?), jobname (as job_name?), "
        "gpu_num (as gpus_req?), cpu_num (as processors_req?)",
        "no job has processors_req, nodes_req, mem_req, gpus_req, time_req, partition, qos, "
        "account, job_name",
    )


def test_a_job_long_over_an_enforced_limit_is_set_aside(log: Log) -> None:
    path: Path = log("log.sacct", sacct(a_job(1), a_job(2, run_s=100_000)))
    assert read_trace(path).jobs.height == 2
    trace = read_trace(path, options=ReadOptions(limits_enforced=True))
    assert trace.jobs["job_id"].to_list() == ["1"]
    assert trace.quarantined["job_id"].to_list() == ["2"]
    assert trace.skipped == {"long over an enforced limit": 1}


def test_a_state_that_is_not_known_loses_no_job_and_is_named(log: Log) -> None:
    rows = (a_job(1), a_job(2, state="FOO"), a_job(3, state="FOO"), a_job(4, state="RUNNING"))
    trace = read_trace(log("log.txt", sacct(*rows)))
    assert trace.jobs["job_id"].to_list() == ["1", "2", "3"]
    assert trace.skipped == {Skip.STILL_RUNNING: 1}
    assert any("states that are not known: FOO (2)" in note for note in trace.notes)
