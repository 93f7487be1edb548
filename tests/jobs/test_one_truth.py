"""The law of inputs: the same job is the same job, whichever way it comes in.

Jobs are written in the form of every way in and read as the product reads them. What comes out is
compared with the job itself, as far as the form can carry it, and with why it must be refused.
"""

import asyncio
import json
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from io import BytesIO
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rt_predictor.agent.protocol import parse
from rt_predictor.api.arrow import Question, decode_table
from rt_predictor.api.codec import decode_jobs, decode_many
from rt_predictor.api.events import Origin, OutcomeReader
from rt_predictor.api.v1 import rt_predictor_pb2 as pb
from rt_predictor.cli.options import InputFormat
from rt_predictor.cli.scoring.tables import read_lines, read_table
from rt_predictor.client import codec
from rt_predictor.follow.spool import SpoolFeed
from rt_predictor.jobs.asked import ASKED_SCHEMA
from rt_predictor.jobs.normal import normal_partition
from rt_predictor.jobs.outcomes import Skip, reasons_of
from rt_predictor.jobs.schema import JOB_SCHEMA, REQUEST_SCHEMA, Row
from rt_predictor.jobs.states import normal_state
from rt_predictor.traces import ReadOptions, Trace, read_sacct_requests, read_squeue, read_trace

EPOCH_S = 1_600_000_000
FUTURE_S = 4_000_000_000
DAY_S = 86_400
Job = dict[str, object]
Read = tuple[list[Job], Mapping[str, int]]
"""The plausible jobs, and why the others are refused."""


class Trouble(StrEnum):
    """What can be wrong with a record."""

    NONE = ""
    NEVER_STARTED = Skip.NEVER_STARTED.value
    START_BEFORE_SUBMIT = Skip.START_BEFORE_SUBMIT.value
    END_BEFORE_SUBMIT = Skip.END_BEFORE_SUBMIT.value
    RUNTIME_TOO_LONG = Skip.RUNTIME_TOO_LONG.value
    LONGER_THAN_RUN = Skip.LONGER_THAN_RUN.value
    STILL_RUNNING = Skip.STILL_RUNNING.value
    FUTURE = Skip.FUTURE.value


@dataclass(frozen=True)
class Record:
    """A job as its site knows it: identities are numbers, since some forms carry nothing else."""

    job_id: int
    submit: int
    wait: int
    run: int
    cores: int
    limit_min: int
    user: int
    account: int
    name: int
    partitions: tuple[int, ...]
    state: str
    trouble: Trouble

    def times(self) -> tuple[int, int, int]:
        """Start, end and runtime, with what is wrong with them."""
        start = self.submit + self.wait
        match self.trouble:
            case Trouble.NEVER_STARTED:
                return 0, start, 0
            case Trouble.START_BEFORE_SUBMIT:
                start = self.submit - 2 * DAY_S
                return start, start + 3 * DAY_S, self.run
            case Trouble.END_BEFORE_SUBMIT:
                return self.submit, self.submit - 10, 0
            case Trouble.RUNTIME_TOO_LONG | Trouble.LONGER_THAN_RUN:
                start += 100
                more = self.wait + 1000 if self.trouble is Trouble.RUNTIME_TOO_LONG else 0
                return start, start + self.run, self.run + 100 + more
            case Trouble.FUTURE:
                return start, FUTURE_S, self.run
        return start, start + self.run, self.run

    def said(self) -> str:
        """The state in which it is said to be."""
        return "RUNNING" if self.trouble is Trouble.STILL_RUNNING else self.state

    def job(self) -> Job:
        """What is known of it: the columns of a job."""
        start, end, run = self.times()
        return {
            **dict.fromkeys(JOB_SCHEMA),
            "job_id": str(self.job_id),
            "submit_time": float(self.submit),
            "start_time": float(start),
            "end_time": float(end),
            "runtime": float(run),
            "processors_req": float(self.cores),
            "nodes_req": 1.0,
            "mem_req": 1000.0 * self.cores,
            "gpus_req": 0.0,
            "time_req": 60.0 * self.limit_min,
            "user": str(self.user),
            "account": str(self.account),
            "job_name": str(self.name),
            "partition": ",".join(map(str, self.partitions)),
            "qos": "normal",
            "cluster": "alpha",
            "array_job_id": str(self.job_id - 1),
            "array_task_id": "0",
            "gpu_type": "a100",
            "state": self.said(),
        }


records = st.lists(
    st.builds(
        Record,
        job_id=st.integers(1, 10**6),
        submit=st.integers(EPOCH_S, EPOCH_S + 10**8),
        wait=st.integers(0, 10**5),
        run=st.integers(1, 10**5) | st.just(0),
        cores=st.integers(1, 512),
        limit_min=st.integers(1, 10_000),
        user=st.integers(1, 50),
        account=st.integers(1, 9),
        name=st.integers(1, 99),
        partitions=st.lists(st.integers(1, 9), min_size=1, max_size=3).map(tuple),
        state=st.sampled_from(
            ["COMPLETED", "FAILED", "CANCELLED", "CANCELLED by 7", "TIMEOUT", "FOO"]
        ),
        trouble=st.sampled_from([*Trouble, Trouble.NONE, Trouble.NONE]),
    ).filter(lambda r: r.wait + r.run > 0),
    unique_by=lambda record: record.job_id,
    max_size=6,
)
PLAIN = Record(10**7, EPOCH_S, 60, 600, 4, 60, 1, 1, 1, (1,), "COMPLETED", Trouble.NONE)
"""A log without any job is an error of its own."""


def expected(logged: Sequence[Record], carried: Sequence[str]) -> Read:
    """What must come out, in the order of submit, of a form that carries these columns."""
    jobs = []
    for record in logged:
        if record.trouble is Trouble.NONE:
            job = record.job()
            job["partition"] = normal_partition(str(job["partition"]))
            job["state"] = normal_state(str(job["state"]))
            jobs.append({name: job[name] for name in carried})
    return _sorted(jobs), Counter(r.trouble.value for r in logged if r.trouble is not Trouble.NONE)


def _sorted(jobs: Sequence[Job]) -> list[Job]:
    return sorted(jobs, key=lambda job: (job["submit_time"], job["job_id"]))


def _of_trace(trace: Trace, carried: Sequence[str]) -> Read:
    assert trace.malformed_count == 0
    return _sorted(trace.jobs.select(*carried).to_dicts()), trace.skipped


OUTCOME = ("submit_time", "start_time", "end_time", "runtime", "job_id", "state")
NAMES = ("user", "account", "job_name", "partition")
SACCT_REQUEST = (*NAMES, "qos", "processors_req", "nodes_req", "mem_req", "gpus_req", "time_req")
SACCT = (*OUTCOME, *SACCT_REQUEST)
SPOOL = (*OUTCOME, *NAMES, "qos", "processors_req", "nodes_req", "time_req")
SWF = (*OUTCOME, *NAMES, "processors_req", "mem_req", "time_req")


def _iso(unix_s: int) -> str:
    return datetime.fromtimestamp(unix_s, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def from_sacct(logged: Sequence[Record], folder: Path) -> Read:
    header = (
        "JobIDRaw|User|Account|Partition|QOS|Submit|Start|End|ElapsedRaw|TimelimitRaw|ReqCPUS|"
        "ReqNodes|ReqMem|ReqTRES|State|JobName"
    )
    lines = [header]
    for r in logged:
        start, end, run = r.times()
        shown = "Unknown" if r.trouble is Trouble.NEVER_STARTED else _iso(start)
        lines.append(
            f"{r.job_id}|{r.user}|{r.account}|{r.job()['partition']}|normal|{_iso(r.submit)}|{shown}|"
            f"{_iso(end)}|{run}|{r.limit_min}|{r.cores}|1|{1000 * r.cores}M|"
            f"cpu={r.cores},mem={1000 * r.cores}M,node=1|{r.said()}|{r.name}"
        )
    path = folder / "log.sacct"
    path.write_text("\n".join(lines) + "\n")
    return _of_trace(read_trace(path), SACCT)


def from_csv(logged: Sequence[Record], folder: Path) -> Read:
    path = folder / "log.csv"
    pl.DataFrame([r.job() for r in logged], schema=dict(JOB_SCHEMA)).write_csv(path)
    return _of_trace(read_trace(path), tuple(JOB_SCHEMA))


def from_parquet(logged: Sequence[Record], folder: Path) -> Read:
    path = folder / "log.parquet"
    pl.DataFrame([r.job() for r in logged], schema=dict(JOB_SCHEMA)).write_parquet(path)
    return _of_trace(read_trace(path), tuple(JOB_SCHEMA))


def from_spool(logged: Sequence[Record], folder: Path) -> Read:
    header = (
        "JobIDRaw|User|Account|Partition|QOS|Submit|Start|End|ElapsedRaw|Timelimit|ReqCPUS|ReqNodes|"
        "State|JobName"
    )
    for r in logged:
        start, end, run = r.times()
        row = (
            f"{r.job_id}|{r.user}|{r.account}|{r.job()['partition']}|normal|{r.submit}|{start}|{end}|"
            f"{run}|{r.limit_min}|{r.cores}|1|{r.said()}|{r.name}"
        )
        (folder / f"{r.job_id}-{r.submit}.job").write_text(f"{header}\n{row}\n")
    batch = asyncio.run(SpoolFeed(folder).read())
    assert batch.unread == (0, "")
    return _sorted(batch.jobs.select(*SPOOL).to_dicts()), batch.skipped


def from_calls(logged: Sequence[Record], folder: Path) -> Read:
    del folder
    frame = pl.DataFrame([r.job() for r in logged], schema=dict(JOB_SCHEMA))
    reader = OutcomeReader(100)
    for message in codec.outcome_messages(frame, 3):
        reader.add(message)
    outcomes = reader.events(Origin("", EPOCH_S + 10**9))
    carried = tuple(JOB_SCHEMA)
    reasons = reasons_of(list(outcomes.errors.values()))
    return _sorted(outcomes.valid.select(*carried).to_dicts()), reasons


WAYS: Mapping[str, tuple[Callable[[Sequence[Record], Path], Read], tuple[str, ...]]] = {
    "sacct": (from_sacct, SACCT),
    "csv": (from_csv, tuple(JOB_SCHEMA)),
    "parquet": (from_parquet, tuple(JOB_SCHEMA)),
    "spool": (from_spool, SPOOL),
    "gRPC": (from_calls, tuple(JOB_SCHEMA)),
}


@pytest.mark.parametrize("way", WAYS)
@settings(max_examples=25, deadline=None)
@given(records)
def test_a_finished_job_is_the_same_whichever_way_it_comes(way: str, logged: list[Record]) -> None:
    read, carried = WAYS[way]
    with tempfile.TemporaryDirectory() as folder:
        assert read([PLAIN, *logged], Path(folder)) == expected([PLAIN, *logged], carried)


def _swf_line(r: Record) -> str:
    status = {"COMPLETED": 1, "FAILED": 0, "CANCELLED": 5}[r.state]
    per_core_kb = 1000 * 1024
    return (
        f"{r.job_id} {r.submit - EPOCH_S} {r.wait} {r.run} {r.cores} -1 -1 {r.cores} "
        f"{60 * r.limit_min} {per_core_kb} {status} {r.user} {r.account} {r.name} "
        f"{r.partitions[0]} -1 -1 -1"
    )


@settings(max_examples=25, deadline=None)
@given(records)
def test_a_job_of_the_standard_workload_format_is_the_same_job(logged: list[Record]) -> None:
    plain = [r for r in (PLAIN, *logged) if r.trouble is Trouble.NONE]
    known = [r for r in plain if r.state in ("COMPLETED", "FAILED", "CANCELLED")]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "log.swf"
        path.write_text("\n".join([f"; UnixStartTime: {EPOCH_S}", *map(_swf_line, known)]) + "\n")
        assert _of_trace(read_trace(path), SWF) == expected(known, SWF)


def _request(record: Record) -> Job:
    job = record.job()
    return {name: job[name] for name in REQUEST_SCHEMA}


def _wanted(logged: Sequence[Record], carried: Sequence[str]) -> list[Job]:
    wanted = []
    for request in map(_request, logged):
        request["partition"] = normal_partition(str(request["partition"]))
        wanted.append({name: request[name] for name in carried})
    return wanted


def request_from_sacct(logged: Sequence[Record], folder: Path) -> list[Job]:
    from_sacct([PLAIN, *logged], folder)
    log = read_sacct_requests(folder / "log.sacct", ReadOptions(), None)
    return log.jobs.select(*SACCT_REQUEST, "submit_time").to_dicts()[1:]


def _number(value: float) -> dict[str, object]:
    return {"set": True, "infinite": False, "number": value}


def request_from_squeue(logged: Sequence[Record], folder: Path) -> list[Job]:
    jobs = [
        {
            "job_id": r.job_id,
            "job_state": ["PENDING"],
            "partition": r.job()["partition"],
            "qos": "normal",
            "user_name": str(r.user),
            "account": str(r.account),
            "name": str(r.name),
            "submit_time": _number(r.submit),
            "time_limit": _number(r.limit_min),
            "tres_req_str": f"cpu={r.cores},mem={1000 * r.cores}M,node=1,billing={r.cores}",
        }
        for r in logged
    ]
    path = folder / "queue.json"
    path.write_text(json.dumps({"jobs": jobs}))
    return read_squeue(path).jobs.select(*SACCT_REQUEST, "submit_time").to_dicts()


def _given(record: Record) -> Job:
    """The fields of a request that says no more than it must."""
    return {name: value for name, value in _request(record).items() if value is not None}


def request_from_lines(logged: Sequence[Record], folder: Path) -> list[Job]:
    del folder
    lines = [json.dumps(_given(r)).encode() for r in logged]
    jobs, errors = read_lines(lines, ReadOptions())
    assert errors == {}
    return jobs.select(*REQUEST_SCHEMA).to_dicts()


def _request_frame(logged: Sequence[Record]) -> pl.DataFrame:
    return pl.DataFrame([_request(r) for r in logged], schema=dict(REQUEST_SCHEMA))


def _from_table(path: Path, format: InputFormat) -> list[Job]:
    jobs, errors = read_table(path, format, ReadOptions())[:2]
    assert errors == {}
    return jobs.select(*REQUEST_SCHEMA).to_dicts()


def request_from_csv(logged: Sequence[Record], folder: Path) -> list[Job]:
    _request_frame(logged).write_csv(folder / "jobs.csv")
    return _from_table(folder / "jobs.csv", InputFormat.CSV)


def request_from_parquet(logged: Sequence[Record], folder: Path) -> list[Job]:
    _request_frame(logged).write_parquet(folder / "jobs.parquet")
    return _from_table(folder / "jobs.parquet", InputFormat.PARQUET)


def _messages(logged: Sequence[Record]) -> list[pb.PredictRequest]:
    return list(codec.frame_requests(_request_frame(logged)))


def _of_nothing_asked(rows: Sequence[Row]) -> list[Job]:
    """The jobs of rows in which nothing is asked beside."""
    assert all(row[name] is None for row in rows for name in ASKED_SCHEMA)
    return [{name: row[name] for name in REQUEST_SCHEMA} for row in rows]


def request_from_calls(logged: Sequence[Record], folder: Path) -> list[Job]:
    del folder
    jobs = decode_jobs(_messages(logged), lambda: 0.0)
    assert jobs.errors == {}
    return _of_nothing_asked(jobs.valid)


def request_from_batches(logged: Sequence[Record], folder: Path) -> list[Job]:
    del folder
    return decode_many(_messages(logged), lambda: 0.0).valid.to_dicts()


def request_from_arrow(logged: Sequence[Record], folder: Path) -> list[Job]:
    del folder
    stream = BytesIO()
    _request_frame(logged).write_ipc_stream(stream, compat_level=pl.CompatLevel.oldest())
    table = decode_table(
        stream.getvalue(), Question(), partial=True, max_rows=100, clock=lambda: 0.0
    )
    assert table.errors == {}
    return table.frame.to_dicts()


def request_from_agent(logged: Sequence[Record], folder: Path) -> list[Job]:
    del folder
    found = []
    for r in logged:
        line = json.dumps({"v": 1, "job": {**_given(r), "partial": True}}).encode()
        job = parse(line).job
        assert job is not None
        found.append(codec.request(job))
    return _of_nothing_asked(decode_jobs(found, lambda: 0.0).valid)


REQUEST_WAYS: Mapping[
    str, tuple[Callable[[Sequence[Record], Path], list[Job]], tuple[str, ...]]
] = {
    "sacct": (request_from_sacct, (*SACCT_REQUEST, "submit_time")),
    "squeue": (request_from_squeue, (*SACCT_REQUEST, "submit_time")),
    "JSON lines": (request_from_lines, tuple(REQUEST_SCHEMA)),
    "csv": (request_from_csv, tuple(REQUEST_SCHEMA)),
    "parquet": (request_from_parquet, tuple(REQUEST_SCHEMA)),
    "gRPC": (request_from_calls, tuple(REQUEST_SCHEMA)),
    "gRPC batch": (request_from_batches, tuple(REQUEST_SCHEMA)),
    "Arrow": (request_from_arrow, tuple(REQUEST_SCHEMA)),
    "agent": (request_from_agent, tuple(REQUEST_SCHEMA)),
}


@pytest.mark.parametrize("way", REQUEST_WAYS)
@settings(max_examples=25, deadline=None)
@given(records.filter(bool))
def test_a_request_is_the_same_whichever_way_it_comes(way: str, logged: list[Record]) -> None:
    read, carried = REQUEST_WAYS[way]
    plain = [r for r in logged if r.trouble is Trouble.NONE] or [PLAIN]
    with tempfile.TemporaryDirectory() as folder:
        assert read(plain, Path(folder)) == _wanted(plain, carried)
