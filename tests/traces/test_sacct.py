"""Text of sacct -P."""

from collections.abc import Callable
from pathlib import Path

import pytest

from rt_predictor.errors import TraceError
from rt_predictor.jobs.outcomes import Skip
from rt_predictor.jobs.schema import JOB_SCHEMA
from rt_predictor.traces import SACCT_FORMAT, ReadOptions, Trace, TraceFormat, read_trace

Log = Callable[[str, str | bytes], Path]

FIELDS = {
    "JobID": "123",
    "User": "alice",
    "Account": "physics",
    "Partition": "long,short",
    "QOS": "normal",
    "Submit": "2024-01-02T00:00:00",
    "Start": "2024-01-02T00:10:00",
    "End": "2024-01-02T01:10:05",
    "ElapsedRaw": "3605",
    "TimelimitRaw": "120",
    "ReqCPUS": "8",
    "ReqNodes": "2",
    "ReqMem": "4.50Gn",
    "ReqTRES": "billing=8,cpu=8,gres/gpu=4,mem=9G,node=2",
    "State": "COMPLETED",
    "JobName": "relax",
}
SUBMIT_S = 1_704_153_600.0
LENIENT = ReadOptions(max_malformed_share=1.0)


def record(**fields: str) -> str:
    return "|".join({**FIELDS, **fields}.values()) + "\n"


def text(*records: dict[str, str], **replaced: str | None) -> str:
    """A log of these records; `replaced` renames a field of the header, or (None) leaves it out."""
    kept = [name for name in FIELDS if replaced.get(name, "") is not None]
    header = "|".join(replaced.get(name) or name for name in kept)
    rows = ["|".join({**FIELDS, **fields}[name] for name in kept) for fields in records or ({},)]
    return "\n".join([header, *rows]) + "\n"


def read(log: Log, content: str, options: ReadOptions = LENIENT) -> Trace:
    return read_trace(log("log.sacct", content), options=options)


def test_a_job_as_sacct_prints_it(log: Log) -> None:
    trace = read(log, text())
    assert trace.format is TraceFormat.SACCT
    assert dict(trace.jobs.schema) == dict(JOB_SCHEMA)
    assert trace.jobs.row(0, named=True) == {
        **dict.fromkeys(JOB_SCHEMA),
        "submit_time": SUBMIT_S,
        "processors_req": 8.0,
        "nodes_req": 2.0,
        "mem_req": 4.5 * 1024 * 2,
        "gpus_req": 4.0,
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


def test_the_recommended_format_is_read_whole(log: Log) -> None:
    values = {**FIELDS, "JobIDRaw": "124"}
    names = SACCT_FORMAT.split(",")
    row = "|".join(values[name] for name in names)
    trace = read(log, "|".join(names) + "\n" + row + "\n")
    assert trace.jobs["job_id"].to_list() == ["124"]
    not_asked_for = {
        "cluster",
        "array_job_id",
        "array_task_id",
        "het_job_id",
        "gpu_type",
        "attempt",
    }
    assert {name for name, share in trace.missing().items() if share} == not_asked_for


@pytest.mark.parametrize(
    ("job_id", "parts"),
    [
        ("123", (None, None, None)),
        ("123_0", ("123", "0", None)),
        ("123_17", ("123", "17", None)),
        ("123_[1-9%2]", (None, None, None)),
        ("123+1", (None, None, "123")),
    ],
)
def test_parts_of_arrays_and_heterogeneous_jobs_name_the_whole(
    log: Log, job_id: str, parts: tuple[str | None, ...]
) -> None:
    job = read(log, text({"JobID": job_id})).jobs.row(0, named=True)
    assert (job["array_job_id"], job["array_task_id"], job["het_job_id"]) == parts


def test_cluster_requeues_and_kind_of_gpu_are_read(log: Log) -> None:
    fields = {"ReqTRES": "cpu=8,gres/gpu:a100=2,gres/gpu=2", "ReqMem": "beta", "QOS": "2"}
    job = read(log, text(fields, ReqMem="Cluster", QOS="Restarts")).jobs.row(0, named=True)
    assert (job["cluster"], job["attempt"], job["gpu_type"]) == ("beta", 2.0, "a100")


def test_fields_come_in_any_order_and_case(log: Log) -> None:
    content = "STATE|end|Submit|starT|Comment|Comment\nFAILED|{}|{}|{}|a|b\n".format(
        FIELDS["End"], FIELDS["Submit"], FIELDS["Start"]
    )
    job = read(log, content).jobs.row(0, named=True)
    assert (job["runtime"], job["state"], job["user"]) == (3605.0, "FAILED", None)


def test_text_forms_of_elapsed_and_limit_are_read(log: Log) -> None:
    content = text(
        {"ElapsedRaw": "1-00:00:01", "TimelimitRaw": "2-00:00:00", "End": "2024-01-03T01:00:00"},
        {"ElapsedRaw": "00:30", "TimelimitRaw": "90"},
        ElapsedRaw="Elapsed",
        TimelimitRaw="Timelimit%20",
    )
    jobs = read(log, content).jobs
    assert jobs["runtime"].to_list() == [86401.0, 30.0]
    assert jobs["time_req"].to_list() == [172_800.0, 5400.0]


@pytest.mark.parametrize("limit", ["UNLIMITED", "Partition_Limit", "INVALID", "", "0"])
@pytest.mark.parametrize("field", ["TimelimitRaw", "Timelimit"])
def test_no_limit_is_null_and_not_malformed(log: Log, field: str, limit: str) -> None:
    trace = read(log, text({"TimelimitRaw": limit}, TimelimitRaw=field))
    assert trace.jobs["time_req"].to_list() == [None]
    assert trace.malformed_count == 0


def test_times_are_local_to_the_zone_of_the_options(log: Log) -> None:
    trace = read(log, text(), ReadOptions(timezone="Europe/Paris"))
    assert trace.jobs["submit_time"].to_list() == [SUBMIT_S - 3600]


def test_times_may_be_epoch_numbers(log: Log) -> None:
    times = {"Submit": "1704153600", "Start": "1704154200", "End": "1704157805"}
    job = read(log, text(times)).jobs.row(0, named=True)
    assert (job["submit_time"], job["end_time"]) == (SUBMIT_S, SUBMIT_S + 4205)


def test_without_elapsed_the_runtime_is_end_minus_start(log: Log) -> None:
    assert read(log, text(ElapsedRaw=None)).jobs["runtime"].to_list() == [3605.0]


@pytest.mark.parametrize("left_out", ["Start", "End"])
def test_elapsed_fills_in_a_start_or_end_that_was_not_printed(log: Log, left_out: str) -> None:
    job = read(log, text(**{left_out: None})).jobs.row(0, named=True)
    assert (job["start_time"], job["end_time"]) == (SUBMIT_S + 600, SUBMIT_S + 4205)


def test_a_suspended_jobs_runtime_is_its_elapsed_time(log: Log) -> None:
    job = read(log, text({"ElapsedRaw": "60"})).jobs.row(0, named=True)
    assert (job["runtime"], job["end_time"]) == (60.0, SUBMIT_S + 4205)


@pytest.mark.parametrize("job_id", ["123.batch", "123.extern", "123.0", "123_4.0", "123+1.batch"])
def test_job_steps_are_skipped(log: Log, job_id: str) -> None:
    trace = read(log, text({}, {"JobID": job_id, "User": "", "TimelimitRaw": ""}))
    assert trace.jobs["job_id"].to_list() == ["123"]
    assert trace.skipped == {Skip.JOB_STEP: 1}


@pytest.mark.parametrize("job_id", ["123_4", "123+0", "123_[5-9]"])
def test_array_tasks_and_parts_of_mixed_jobs_are_jobs(log: Log, job_id: str) -> None:
    assert read(log, text({"JobID": job_id})).jobs["job_id"].to_list() == [job_id]


def test_the_raw_job_id_is_preferred_and_steps_are_still_seen(log: Log) -> None:
    names = "JobID|JobIDRaw|Submit|Start|End\n"
    times = "|".join(FIELDS[name] for name in ("Submit", "Start", "End"))
    trace = read(log, names + f"9_1|10|{times}\n9_1.batch|10.batch|{times}\n")
    assert trace.jobs["job_id"].to_list() == ["10"]
    assert trace.skipped == {Skip.JOB_STEP: 1}


PENDING = {"State": "PENDING", "Start": "Unknown", "End": "Unknown", "ElapsedRaw": "0"}
CANCELLED = {"State": "CANCELLED by 7", "Start": "None", "ElapsedRaw": "0"}
RUNNING = {"State": "RUNNING", "End": "Unknown"}


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        (PENDING, Skip.NEVER_STARTED),
        ({**PENDING, "JobID": "123_[5-9]"}, Skip.NEVER_STARTED),
        (CANCELLED, Skip.NEVER_STARTED),
        ({**CANCELLED, "State": "CANCELLED", "ElapsedRaw": ""}, Skip.NEVER_STARTED),
        (RUNNING, Skip.STILL_RUNNING),
        ({**RUNNING, "End": FIELDS["End"]}, Skip.STILL_RUNNING),
        ({**RUNNING, "State": "SUSPENDED"}, Skip.STILL_RUNNING),
        ({"State": "", "End": "Unknown"}, Skip.STILL_RUNNING),
        ({"ElapsedRaw": "INVALID", "End": "2024-01-01T00:00:00"}, Skip.NO_RUNTIME),
    ],
)
def test_records_of_unfinished_jobs_are_skipped(
    log: Log, fields: dict[str, str], reason: Skip
) -> None:
    trace = read(log, text({}, fields))
    assert trace.jobs.height == 1
    assert trace.skipped == {reason: 1}
    assert trace.malformed_count == 0


@pytest.mark.parametrize(
    ("printed", "state"),
    [("CANCELLED by 423120", "CANCELLED"), ("CANCELLED+", "CANCELLED"), ("timeout", "TIMEOUT")],
)
def test_states_are_one_upper_case_word(log: Log, printed: str, state: str) -> None:
    assert read(log, text({"State": printed})).jobs["state"].to_list() == [state]


def test_the_group_stands_in_for_a_missing_account(log: Log) -> None:
    content = text({"Account": "", "QOS": "staff"}, {"QOS": "staff"}, QOS="Group")
    assert read(log, content).jobs["account"].to_list() == ["staff", "physics"]


def test_an_unknown_qos_is_missing(log: Log) -> None:
    assert read(log, text({"QOS": "Unknown"})).jobs["qos"].to_list() == [None]


@pytest.mark.parametrize("name", ["NCPUS", "AllocCPUS"])
def test_other_cpu_fields_stand_in_for_requested_cpus(log: Log, name: str) -> None:
    jobs = read(log, text({"ReqCPUS": "24"}, ReqCPUS=name)).jobs
    assert jobs["processors_req"].to_list() == [24.0]


def test_node_counts_may_have_a_unit(log: Log) -> None:
    jobs = read(log, text({"ReqNodes": "1.50K"}, ReqNodes="NNodes")).jobs
    assert jobs["nodes_req"].to_list() == [1536.0]


@pytest.mark.parametrize("tres", ["ReqTRES", "AllocTRES"])
def test_tres_stands_in_for_what_was_not_printed(log: Log, tres: str) -> None:
    content = text(ReqCPUS=None, ReqNodes=None, ReqMem=None, ReqTRES=tres)
    job = read(log, content).jobs.row(0, named=True)
    assert (job["processors_req"], job["nodes_req"], job["mem_req"]) == (8.0, 2.0, 9216.0)
    assert job["gpus_req"] == 4.0


@pytest.mark.parametrize("memory", ["0", "0n", "", "?"])
def test_memory_that_was_not_requested_is_that_of_tres(log: Log, memory: str) -> None:
    assert read(log, text({"ReqMem": memory})).jobs["mem_req"].to_list() == [9216.0]


def test_requested_tres_comes_before_allocated(log: Log) -> None:
    content = text(
        {"ReqTRES": "cpu=1", "QOS": "gres/gpu=2"},
        {"ReqTRES": "", "QOS": "gres/gpu=2"},
        QOS="AllocTRES",
    )
    assert read(log, content).jobs["gpus_req"].to_list() == [0.0, 2.0]


def test_without_tres_gpus_are_unknown(log: Log) -> None:
    assert read(log, text(ReqTRES=None)).jobs["gpus_req"].to_list() == [None]


def test_a_job_name_that_is_the_last_field_may_hold_separators(log: Log) -> None:
    trace = read(log, text({"JobName": "a|b||c"}))
    assert trace.jobs["job_name"].to_list() == ["a|b||c"]
    assert trace.malformed_count == 0


def test_a_line_that_ends_with_a_separator_is_parsable_output(log: Log) -> None:
    content = text({}, {"JobName": "a|b"}).replace("\n", "|\n")
    trace = read(log, content)
    assert trace.jobs["job_name"].to_list() == ["relax", "a|b"]


def test_a_header_that_comes_again_is_no_record(log: Log) -> None:
    trace = read(log, text() + text())
    assert (trace.lines, trace.jobs.height, trace.malformed_count) == (2, 2, 0)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"Submit": "soon"}, "submit is not a time"),
        ({"Submit": "Unknown"}, "no valid submit time"),
        ({"End": "2024-13-01T00:00:00"}, "end is not a time"),
        ({"ElapsedRaw": "long"}, "elapsedraw is not a time span"),
        ({"TimelimitRaw": "01:00"}, "timelimitraw is not a number of minutes"),
        ({"ReqCPUS": "many"}, "reqcpus is not a count"),
        ({"ReqMem": "4 GB"}, "reqmem is not an amount of memory"),
    ],
)
def test_a_field_that_cannot_be_read_makes_its_line_malformed(
    log: Log, fields: dict[str, str], reason: str
) -> None:
    trace = read(log, text({}, fields))
    assert trace.jobs.height == 1
    assert [(bad.line, bad.reason) for bad in trace.malformed] == [(3, reason)]


@pytest.mark.parametrize(
    ("line", "reason"),
    [("1|2|3\n", "fewer than 3 fields"), ("1|2|3|4\n", "more than 3 fields")],
)
def test_a_wrong_number_of_fields_makes_a_line_malformed(log: Log, line: str, reason: str) -> None:
    header = "Submit|Start|End\n"
    good = "2024-01-02T00:00:00|2024-01-02T00:10:00|2024-01-02T01:10:05\n"
    bad = line if reason.startswith("more") else "1|2\n"
    trace = read(log, header + good + bad)
    assert [found.reason.partition(" (")[0] for found in trace.malformed] == [reason]


def test_fields_name_the_columns_of_a_file_without_header(log: Log) -> None:
    options = ReadOptions(fields=tuple(name.lower() for name in FIELDS))
    assert read(log, record(), options).jobs["user"].to_list() == ["alice"]


def test_a_header_in_the_file_comes_before_the_fields_option(log: Log) -> None:
    assert read(log, text(), ReadOptions(fields=("Submit", "Start", "End"))).jobs.height == 1


def test_a_file_without_header_asks_for_its_fields(log: Log) -> None:
    with pytest.raises(TraceError, match=r"no header line \(first line '123\|alice.*--fields"):
        read(log, record())


def test_output_without_separators_asks_for_them(log: Log) -> None:
    with pytest.raises(TraceError, match="without -P"):
        read(log, "JobID  JobName  Partition  State\n-----  -------  ----  ----\n")


@pytest.mark.parametrize(
    "names", [("Start", "End"), ("Submit", "Start"), ("Submit", "ElapsedRaw", "State")]
)
def test_too_few_fields_for_a_job_are_named_with_a_way_out(
    log: Log, names: tuple[str, ...]
) -> None:
    content = "|".join((*names, "User")) + "\n"
    with pytest.raises(TraceError, match=r"needs the fields Submit, .* run sacct with -P --format"):
        read(log, content)


def test_a_field_named_twice_is_refused(log: Log) -> None:
    with pytest.raises(TraceError, match="'submit' is named twice"):
        read(log, "Submit|Submit|Start|End\n")
