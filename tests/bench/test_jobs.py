"""Jobs to measure with."""

from pathlib import Path

import polars as pl
import pytest

from rt_predictor.bench.jobs import JobSource
from rt_predictor.jobs.rules import invalid_jobs
from rt_predictor.jobs.schema import REQUEST_SCHEMA

LOG = "JobIDRaw|User|Submit|Start|End|ElapsedRaw|TimelimitRaw|ReqCPUS|ReqNodes\n"


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "log.sacct"
    times = "2024-01-01T00:00:00|2024-01-01T00:00:01|2024-01-01T00:10:01"
    path.write_text(LOG + f"1|alice|{times}|600|20|4|1\n2|bob|{times}|600|30|8|2\n")
    return path


@pytest.mark.parametrize("kind", ["generated", "log"])
def test_no_two_jobs_are_alike_and_all_are_valid(kind: str, log: Path) -> None:
    source = JobSource.generated() if kind == "generated" else JobSource.from_log(log)
    jobs = pl.concat([source.take(2_000), *source.tables(2, 1_000)])
    assert jobs.columns == list(REQUEST_SCHEMA)
    assert jobs.n_unique() == len(jobs) == 4_000
    assert jobs.select("time_req").n_unique() > 3_900
    assert invalid_jobs(jobs, partial=True) == {}


def test_messages_and_values_say_the_same(log: Path) -> None:
    (message,) = JobSource.from_log(log).messages(1)
    (job,) = JobSource.from_log(log).client_jobs(1)
    assert message.processors_req == job.processors_req
    assert message.time_req == job.time_req
    assert message.user == job.user != ""
    assert not message.HasField("gpus_req")
    assert job.gpus_req is None
