"""Which format a log is in."""

import gzip
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from rt_predictor.errors import TraceError
from rt_predictor.traces import TraceFormat
from rt_predictor.traces.detect import csv_names, detect_format

Log = Callable[[str, str | bytes], Path]

SWF_LINE = "1 0 5 10 4 -1 -1 4 60 -1 1 3 4 -1 -1 -1 -1 -1\n"
SACCT_HEADER = "JobID|User|Submit|Start|End|State\n"
NREL_LIKE = "job_id,user,wallclock_req,submit_time,start_time,end_time,run_time\n"


@pytest.mark.parametrize(
    ("name", "content", "format"),
    [
        ("a.swf", "anything", TraceFormat.SWF),
        ("a.SWF", "anything", TraceFormat.SWF),
        ("a.sacct", "anything", TraceFormat.SACCT),
        ("a.csv", "x,y\n", TraceFormat.CSV),
        ("a.tsv", "x\ty\n", TraceFormat.CSV),
        ("a.parquet", "anything", TraceFormat.PARQUET),
        ("a.txt", "; Version: 2.2\n", TraceFormat.SWF),
        ("a.txt", "\n" + SWF_LINE, TraceFormat.SWF),
        ("a.txt", SACCT_HEADER, TraceFormat.SACCT),
        ("a.csv", SACCT_HEADER, TraceFormat.SACCT),
        ("a.txt", NREL_LIKE, TraceFormat.CSV),
        ("a.log", "submit_time;runtime;start_time\n", TraceFormat.CSV),
    ],
)
def test_name_and_first_line_tell_the_format(
    log: Log, name: str, content: str, format: TraceFormat
) -> None:
    assert detect_format(log(name, content)) is format


def test_compressed_logs_are_told_by_what_is_inside(log: Log) -> None:
    assert detect_format(log("a.gz", gzip.compress(SWF_LINE.encode()))) is TraceFormat.SWF
    assert detect_format(log("a.csv.gz", gzip.compress(b"x,y\n"))) is TraceFormat.CSV


def test_parquet_is_told_by_its_first_bytes(log: Log, tmp_path: Path) -> None:
    path = tmp_path / "a.dat"
    pl.DataFrame({"x": [1]}).write_parquet(path)
    assert detect_format(path) is TraceFormat.PARQUET


@pytest.mark.parametrize(
    "content", ["hello world\n", "1 2 3\n", "a,b\n", "\xa0\n", "a\rb,c\n", "word " * 18 + "\n"]
)
def test_an_unknown_log_gets_the_choices(log: Log, content: str) -> None:
    with pytest.raises(TraceError, match="which of swf, sacct, csv, parquet it is with --format"):
        detect_format(log("a.txt", content))


def test_the_first_line_of_an_unknown_log_is_shown(log: Log) -> None:
    with pytest.raises(TraceError, match=r"first line 'hello world'"):
        detect_format(log("a.txt", "hello world\nsecond\n"))


def test_csv_names_may_be_quoted() -> None:
    assert csv_names('"submit, local"; user;x') == ["submit, local", "user", "x"]
