"""Text of `squeue -o`: read where fields have separators, refused where they have none."""

import os
from pathlib import Path

import pytest

from rt_predictor.errors import TraceError
from rt_predictor.traces import (
    ReadOptions,
    RequestLog,
    read_sacct_requests,
    read_trace,
)
from rt_predictor.traces.detect import squeue_names
from rt_predictor.traces.squeue_text import read_squeue_text

HEADER = (
    "JOBID|PARTITION|QOS|USER|ACCOUNT|ST|SUBMIT_TIME|START_TIME|TIME|TIME_LIMIT|CPUS|NODES|"
    "MIN_MEMORY|TRES_PER_NODE|NAME"
)
TEXT = f"""{HEADER}
11|gpu,long|high|ann|acc|PD|2024-05-01T10:00:00|N/A|0:00|1-00:00:00|8|2|4000M|gres:gpu:a100:2|a|b
12_[1-9]|gpu|high|ann|acc|PD|2024-05-01T10:00:00|2024-06-01T00:00:00|0:00|10:00|4|1-3|1G|N/A|sim
13_4|gpu|high|bob|acc|R|2024-05-01T10:00:00|2024-05-01T11:00:00|1:30:00|UNLIMITED|4|1|0|N/A|sim
14|gpu|high|bob|acc|R|2024-05-01T10:00:00|N/A|0:40|2:00:00|4|1|1G|N/A|sim
15|gpu|high|bob|acc|PD|soon|N/A|0:00|2:00:00|4|1|1G|N/A|sim
"""
WRITTEN_S = 1_714_600_000.0


@pytest.fixture
def read(tmp_path: Path):
    """Reads a text, as of a file that was written at `WRITTEN_S`."""

    def read(text: str, **options: str) -> RequestLog:
        path = tmp_path / "queue.txt"
        path.write_text(text)
        os.utime(path, (WRITTEN_S, WRITTEN_S))
        return read_squeue_text(path, ReadOptions(**options))

    return read


def test_every_field_is_read_in_its_unit(read) -> None:
    log = read(TEXT)
    assert log.jobs.head(2).to_dict(as_series=False) == {
        "submit_time": [1_714_557_600.0] * 2,
        "processors_req": [8.0, 4.0],
        "nodes_req": [2.0, 1.0],
        "mem_req": [8000.0, 1024.0],
        "gpus_req": [4.0, None],
        "time_req": [86_400.0, 600.0],
        "partition": ["gpu", "gpu"],
        "qos": ["high", "high"],
        "user": ["ann", "ann"],
        "account": ["acc", "acc"],
        "job_name": ["a|b", "sim"],
        "cluster": [None, None],
        "array_job_id": [None, "12"],
        "array_task_id": [None, None],
        "het_job_id": [None, None],
        "gpu_type": ["a100", None],
        "job_id": ["11", "12_[1-9]"],
        "start_time": [None, None],
        "state": ["PENDING", "PENDING"],
        "attempt": [None, None],
        "malformed": [None, None],
    }
    assert log.jobs["array_task_id"][2] == "4"
    assert log.jobs["time_req"][2] is None
    assert log.jobs["malformed"].to_list()[2:] == [None, None, "submit_time is not a time"]


def test_what_runs_has_run_for_its_time(read) -> None:
    moments = read(TEXT).moments
    assert moments["elapsed"].to_list() == [None, None, 5400.0, 40.0, None]
    started_s = 1_714_557_600.0 + 3600
    assert moments["as_of"].to_list() == [None, None, started_s + 5400, WRITTEN_S, None]


def test_times_are_of_a_zone(read) -> None:
    log = read(TEXT, timezone="Europe/Paris")
    assert log.jobs["submit_time"][0] == 1_714_557_600.0 - 7200


def test_what_is_not_there_is_said(read) -> None:
    notes = read("JOBID|USER|PRIORITY|MIN_MEMORY\n1|ann|5|1G\n").notes
    assert notes[0].startswith("columns that are not read: PRIORITY")
    assert notes[1].startswith("no job has processors_req, nodes_req")
    assert notes[2].startswith("MIN_MEMORY is taken to be for each node")


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("1|ann|5", "fewer than 4 fields"),
        ("1|ann|5|60|7", "more than 4 fields"),
        ("1|ann|many|60", "processors_req is not a count"),
    ],
)
def test_a_line_that_cannot_be_read_is_malformed(read, line: str, says: str) -> None:
    (reason,) = read(f"JOBID|USER|CPUS|TIME_LIMIT\n{line}\n").jobs["malformed"]
    assert reason.startswith(says)


def test_text_without_separators_is_refused(read) -> None:
    default = "     JOBID PARTITION     NAME     USER ST       TIME  NODES NODELIST(REASON)\n"
    with pytest.raises(TraceError, match=r"fields between \|: take `squeue --json`"):
        read(default + "        11       gpu      sim      ann PD       0:00      1 (Priority)\n")


def test_a_field_twice_is_refused(read) -> None:
    with pytest.raises(TraceError, match="TIMELIMIT twice, or under two names"):
        read("JOBID|TIME_LIMIT|TIMELIMIT\n1|10:00|10:00\n")
    assert read("JOBID|ST|STATE\n1|PD|PENDING\n").jobs["state"].to_list() == ["PENDING"]


@pytest.mark.parametrize(
    ("line", "known"),
    [
        ("JOBID|PARTITION|NAME|USER|STATE|TIME_LIMIT", True),
        ("JOBID PARTITION NAME USER ST TIME NODES NODELIST(REASON)", True),
        ("JobID|User|Partition|State|Submit", False),
        ("JOBID|USER|STATE|SUBMIT|START|END", False),
        ("JOBID,USER,SUBMIT_TIME", False),
        ("job_id,user,time_req", False),
        ("1|2|3", False),
    ],
)
def test_squeue_is_known_by_its_headers(line: str, known: bool) -> None:
    assert (squeue_names(line) is not None) == known


def test_it_is_taken_for_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "queue.txt"
    path.write_text(TEXT)
    with pytest.raises(TraceError, match="text of squeue, which tells of no finished job"):
        read_trace(path)
    with pytest.raises(TraceError, match="text of squeue, not of sacct"):
        read_sacct_requests(path, ReadOptions(), None)
