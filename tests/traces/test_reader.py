"""Reading logs: what holds for every format."""

import gzip
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rt_predictor import traces
from rt_predictor.errors import TraceError, UsageError
from rt_predictor.jobs.outcomes import Skip
from rt_predictor.jobs.schema import REQUEST_SCHEMA
from rt_predictor.traces import (
    ReadOptions,
    TraceFormat,
    read_trace,
    read_traces,
    request_columns,
)

Log = Callable[[str, str | bytes], Path]

GOOD = "1 0 5 10 4 -1 -1 4 60 -1 1 3 4 -1 -1 -1 -1 -1\n"
BAD = "1 2 3\n"


def good(submit: int) -> str:
    return GOOD.replace("1 0 ", f"{submit} {submit} ", 1)


def test_the_public_names() -> None:
    assert set(traces.__all__) == {
        "SACCT_FORMAT",
        "ColumnMap",
        "FileColumn",
        "MalformedLine",
        "ReadOptions",
        "RequestLog",
        "Trace",
        "TraceFormat",
        "read_sacct_requests",
        "read_squeue",
        "read_trace",
        "read_traces",
        "request_columns",
    }
    assert all(hasattr(traces, name) for name in traces.__all__)


def test_five_malformed_lines_of_a_hundred_are_tolerated_and_shown(log: Log) -> None:
    trace = read_trace(log("log.swf", GOOD * 95 + BAD * 5))
    assert trace.jobs.height == 95
    assert (trace.lines, trace.malformed_count) == (100, 5)
    assert str(trace.malformed[0]) == "line 96: fewer than 18 fields: '1 2 3'"


def test_one_more_and_the_log_is_refused_with_count_share_and_lines(log: Log) -> None:
    with pytest.raises(
        TraceError,
        match=r"log\.swf: 6 of 100 records \(6\.0%\) are malformed as swf, more than the 5\.0% "
        r"allowed: line 95: fewer than 18 fields: '1 2 3'; line 96",
    ) as refused:
        read_trace(log("log.swf", GOOD * 94 + BAD * 6))
    assert "\n" not in str(refused.value)


def test_only_the_first_few_malformed_lines_are_kept(log: Log) -> None:
    options = ReadOptions(max_malformed_share=1.0)
    trace = read_trace(log("log.swf", GOOD + BAD * 50), options=options)
    assert trace.malformed_count == 50
    assert [line.line for line in trace.malformed] == [2, 3, 4, 5, 6]


def test_malformed_text_is_cut_and_fit_to_print(log: Log) -> None:
    content = GOOD * 50 + "x\x1b[31m" + "y" * 200 + "\n"
    shown = read_trace(log("log.swf", content)).malformed[0].text
    assert shown == "x\ufffd[31m" + "y" * 74 + "…"


def test_a_log_without_finished_jobs_says_what_it_has_instead(log: Log) -> None:
    content = "Submit|Start|End|State|JobID\n" + "2024-01-01T00:00:00|Unknown|Unknown|PENDING|1\n"
    with pytest.raises(
        TraceError, match=r"none of the 2 records is a finished job \(never started: 2\)"
    ):
        read_trace(log("log.sacct", content + content.splitlines()[1]))


def test_a_log_of_malformed_lines_alone_shows_one(log: Log) -> None:
    with pytest.raises(TraceError, match=r"finished job \(malformed: 2, line 1: fewer than 18"):
        read_trace(log("log.swf", BAD * 2), options=ReadOptions(max_malformed_share=1.0))


def test_the_format_can_be_given(log: Log) -> None:
    trace = read_trace(log("log.csv", GOOD), format=TraceFormat.SWF)
    assert trace.format is TraceFormat.SWF


def test_columns_are_dropped_on_demand(log: Log) -> None:
    options = ReadOptions(drop=frozenset({"user", "time_req"}))
    trace = read_trace(log("log.swf", GOOD), options=options)
    assert trace.jobs["user"].to_list() == [None]
    assert trace.jobs["time_req"].to_list() == [None]
    assert trace.jobs["account"].to_list() == ["4"]


def test_missing_is_the_share_of_nulls(log: Log) -> None:
    missing = read_trace(log("log.swf", GOOD + GOOD.replace(" 60 ", " -1 "))).missing()
    assert (missing["time_req"], missing["user"], missing["qos"]) == (0.5, 0.0, 1.0)


def test_request_columns_hold_no_outcome(log: Log) -> None:
    jobs = read_trace(log("log.swf", GOOD)).jobs
    assert dict(request_columns(jobs).schema) == dict(REQUEST_SCHEMA)


def test_a_trace_can_cross_processes(log: Log) -> None:
    trace = read_trace(log("log.swf", GOOD * 50 + BAD))
    again = pickle.loads(pickle.dumps(trace))
    assert again.jobs.equals(trace.jobs)
    assert again.malformed == trace.malformed


def test_several_logs_are_read_as_one_in_order_of_submit(log: Log) -> None:
    first = log("first.swf", good(30) + good(10) + GOOD.replace(" 10 ", " -1 ", 1) + GOOD * 50)
    second = log("second.swf.gz", gzip.compress((good(20) * 50 + BAD).encode()))
    both = read_traces([first, second])
    submits = both.jobs["submit_time"].to_list()
    assert submits == sorted(submits)
    assert (both.path, both.more_paths, both.format) == (first, (second,), TraceFormat.SWF)
    assert (both.lines, both.malformed_count) == (53 + 51, 1)
    assert both.malformed[0].path == second
    assert both.skipped == {Skip.NO_RUNTIME: 1}
    assert all(note.startswith((str(first), str(second))) for note in both.notes)


def test_one_of_several_is_that_one(log: Log) -> None:
    path = log("log.swf", GOOD)
    assert read_traces([path]).jobs.equals(read_trace(path).jobs)
    assert read_traces([path]).more_paths == ()


def test_no_logs_are_refused() -> None:
    with pytest.raises(UsageError, match="no job log given"):
        read_traces([])


def test_progress_over_several_logs_rises_to_one(log: Log) -> None:
    shares: list[float] = []
    read_traces([log("a.swf", GOOD), log("b.swf", GOOD)], progress=shares.append)
    assert shares == [0.5, 1.0]


WORDS = ("1", "-1", "2024-01-01T00:00:00", "1e999", "nan", "\u00e9", "PAR1", "\0", "\x01")
NAMES = ("Submit", "Start", "End", "submit_time", "end_time", "runtime")
MARKS = ("|", ",", ";", '"', "'", " ", "\t", "\n", "\r")


@settings(deadline=None, max_examples=150)
@given(
    st.sampled_from([None, *TraceFormat]),
    st.lists(st.sampled_from(WORDS + NAMES + MARKS), max_size=60).map("".join),
)
def test_whatever_is_in_a_file_it_is_read_or_refused_in_one_line(
    tmp_path_factory: pytest.TempPathFactory, format: TraceFormat | None, content: str
) -> None:
    path = tmp_path_factory.mktemp("log") / "log"
    path.write_text(content, encoding="utf-8", newline="")
    assert "\n" not in message_of_reading(path, format)


def message_of_reading(path: Path, format: TraceFormat | None) -> str:
    try:
        return f"{read_trace(path, format=format).jobs.height} jobs"
    except TraceError as refused:
        return str(refused)


@pytest.mark.parametrize("zone", ["Mars/Olympus", ""])
def test_an_unknown_time_zone_is_refused(zone: str) -> None:
    with pytest.raises(UsageError, match="unknown time zone"):
        ReadOptions(timezone=zone)


@pytest.mark.parametrize("column", ["submit_time", "runtime", "colour"])
def test_only_request_columns_can_be_dropped(column: str) -> None:
    with pytest.raises(UsageError, match=f"cannot drop column '{column}': choose from account"):
        ReadOptions(drop=frozenset({column}))


@pytest.mark.parametrize("share", [-0.1, 1.5])
def test_a_share_is_from_0_to_1(share: float) -> None:
    with pytest.raises(UsageError, match="max_malformed_share"):
        ReadOptions(max_malformed_share=share)
