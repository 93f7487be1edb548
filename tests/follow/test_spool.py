"""Following a spool: files go when their jobs are recorded, and bad ones harm no others."""

import errno
import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from rt_predictor.errors import ServiceError, StartupError
from rt_predictor.follow import spool
from rt_predictor.follow.run import Pace, follow
from rt_predictor.follow.spool import SpoolFeed
from rt_predictor.jobs.schema import JOB_SCHEMA
from tests.waiting import PATIENCE_S

from .jobs import HEADER, Recorder, line

END_S = 1_700_000_000.0
QUEUE = json.dumps(
    {
        "jobs": [
            {
                "job_id": 7,
                "job_state": ["CONFIGURING"],
                "submit_time": {"set": True, "infinite": False, "number": 1_700_000_000},
                "start_time": {"set": True, "infinite": False, "number": 1_700_000_060},
                "user_name": "al",
                "cluster": "alpha",
            }
        ]
    }
)
ONCE = Pace(interval_s=0.01, once=True)
SCRIPT = Path(__file__).resolve().parents[2] / "tools" / "slurm" / "rt_predictor_jobcomp.sh"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "spool"
    made.mkdir()
    return made


def put(folder: Path, *numbers: int) -> None:
    for number in numbers:
        (folder / f"{number}.job").write_text(HEADER + line(number, END_S + number))


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


async def record(folder: Path, recorder: Recorder) -> None:
    await follow(SpoolFeed(folder), recorder.made, ONCE)


async def test_files_go_when_their_jobs_are_recorded(folder: Path) -> None:
    put(folder, 1, 2, 3)
    (folder / "4.new").write_text(HEADER)
    recorder = Recorder()
    await record(folder, recorder)
    assert (recorder.ids, recorder.calls) == ([1, 2, 3], 1)
    assert names(folder) == ["4.new"], "what is being written is left alone"
    await record(folder, recorder)
    assert recorder.calls == 1


async def test_what_was_not_recorded_stays(folder: Path) -> None:
    put(folder, 1, 2)
    recorder = Recorder(failures=1)
    with pytest.raises(ServiceError):
        await record(folder, recorder)
    assert names(folder) == ["1.job", "2.job"]
    await record(folder, recorder)
    assert (recorder.ids, names(folder)) == ([1, 2], [])


async def test_many_files_are_taken_some_at_a_time(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spool, "MAX_FILES", 4)
    put(folder, *range(10))
    recorder = Recorder()
    await record(folder, recorder)
    assert (recorder.ids, recorder.calls, names(folder)) == (list(range(10)), 3, [])


@pytest.mark.parametrize(
    "text", [b"", b"\xff\x00\x01", b"hello\n", b"a|b\n1|2\n", HEADER.encode() + b"1|al|never\n"]
)
async def test_a_file_that_cannot_be_read_is_set_aside(folder: Path, text: bytes) -> None:
    put(folder, 1, 3)
    (folder / "2.job").write_bytes(text)
    recorder = Recorder()
    await record(folder, recorder)
    assert recorder.ids == [1, 3]
    assert names(folder) == ["rejected"]
    assert names(folder / "rejected") == ["2.job"]


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda path: path.mkdir(), "it is no plain file"),
        (os.mkfifo, "it is no plain file"),
        (lambda path: path.symlink_to("/dev/zero"), "it is no plain file"),
        (lambda path: path.symlink_to("nowhere"), "it is no plain file"),
        (lambda path: path.write_text(HEADER + line(2, END_S) * 2000), "larger than 64 kB"),
    ],
    ids=["folder", "pipe", "link to a device", "link to nothing", "more than a job"],
)
async def test_what_is_no_file_of_a_job_is_set_aside_unread(
    folder: Path, make: Callable[[Path], object], reason: str
) -> None:
    put(folder, 1, 3)
    make(folder / "2.job")
    batch = await SpoolFeed(folder).read()
    assert batch.jobs["job_id"].to_list() == ["1", "3"]
    assert (batch.unread[0], reason in batch.unread[1]) == (1, True)
    assert names(folder / "rejected") == ["2.job"]


async def test_the_reason_is_of_the_file_and_not_of_its_copy(folder: Path) -> None:
    (folder / "1.job").write_text("hello")
    assert (await SpoolFeed(folder).read()).unread[1].startswith("it has no header line")


async def test_names_may_be_any_bytes(folder: Path) -> None:
    put(folder, 1)
    for name, text in (b"a\nb.job", HEADER + line(2, END_S)), (b"\xff\n.job", "hello"):
        (folder / os.fsdecode(name)).write_text(text)
    recorder = Recorder()
    await record(folder, recorder)
    assert recorder.ids == [1, 2]
    assert names(folder) == ["rejected"]


async def test_a_bad_file_that_cannot_be_moved_stays_and_stops_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spool, "MAX_FILES", 2)
    (folder / "rejected").write_text("in the way")
    for name in "012":
        (folder / f"{name}.job").write_text("hello")
    put(folder, 7, 8)
    recorder = Recorder()
    await record(folder, recorder)
    assert recorder.ids == [7, 8]
    assert names(folder) == ["0.job", "1.job", "2.job", "rejected"]


async def test_a_file_that_this_user_may_not_read_stays_where_it_is(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def text(path: Path, read: Callable[[Path], bytes] = spool._text) -> bytes:
        if path.name == "1.job":  # root may read anything, so no mode of the file would do
            raise PermissionError(errno.EACCES, "Permission denied")
        return read(path)

    monkeypatch.setattr(spool, "_text", text)
    put(folder, 1, 2)
    batch = await SpoolFeed(folder).read()
    assert batch.jobs["job_id"].to_list() == ["2"]
    assert "Permission denied" in batch.unread[1]
    assert "1.job" in names(folder)


async def test_a_job_that_tells_nothing_is_no_reason_to_keep_its_file(folder: Path) -> None:
    (folder / "1.job").write_text(HEADER + line(1, END_S, state="RUNNING"))
    recorder = Recorder()
    await record(folder, recorder)
    assert (recorder.calls, names(folder)) == (0, [])


async def test_files_of_other_columns_are_read_as_such(folder: Path) -> None:
    put(folder, 1)
    other = "User|JobIDRaw|Submit|Start|End|ElapsedRaw|State|JobName\n"
    (folder / "2.job").write_text(other + line(7, END_S).replace("7|al|", "al|7|"))
    recorder = Recorder()
    await record(folder, recorder)
    assert recorder.ids == [1, 7]


def test_a_spool_that_is_not_there_cannot_be_followed(tmp_path: Path) -> None:
    with pytest.raises(StartupError, match="there is no folder"):
        SpoolFeed(tmp_path / "none")


# the script that fills it

JOB = {
    "JOBID": "7", "USERNAME": "al", "ACCOUNT": "lab", "PARTITION": "normal", "QOS": "high",
    "SUBMIT": "1700000000", "START": "1700000010", "END": "1700000070", "LIMIT": "1-00:00:00",
    "PROCS": "8", "NODECNT": "2", "JOBSTATE": "COMPLETED", "JOBNAME": "sim",
}  # fmt: skip


def complete(folder: Path, script: Path, **fields: str) -> None:
    environment = {"PATH": "/usr/bin:/bin", **JOB, **fields}
    done = subprocess.run(
        [script], env=environment, capture_output=True, timeout=PATIENCE_S, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


@pytest.fixture
def script(tmp_path: Path, folder: Path) -> Path:
    copy = tmp_path / "rt_predictor_jobcomp.sh"
    copy.write_bytes(SCRIPT.read_bytes())
    copy.chmod(0o755)
    (tmp_path / "rt_predictor_jobcomp.conf").write_text(f"SPOOL={folder}\n")
    return copy


async def test_a_completed_job_arrives_as_slurm_knows_it(folder: Path, script: Path) -> None:
    complete(folder, script)
    assert names(folder) == ["7-1700000000.job"]
    batch = await SpoolFeed(folder).read()
    assert batch.jobs.drop_nulls("job_id").row(0, named=True) == {
        **dict.fromkeys(JOB_SCHEMA),
        "processors_req": 8.0, "nodes_req": 2.0, "mem_req": None, "time_req": 86400.0,
        "partition": "normal", "qos": "high", "user": "al", "account": "lab", "job_name": "sim",
        "gpus_req": None, "submit_time": 1.7e9, "job_id": "7", "start_time": 1.7e9 + 10,
        "end_time": 1.7e9 + 70, "runtime": 60.0, "state": "COMPLETED",
    }  # fmt: skip


@pytest.mark.parametrize("name", ["a|b", "a b'\"$(touch x)`touch y`", "a\nb\tc", "", "%s%n", "ä"])
async def test_a_name_may_hold_anything(folder: Path, script: Path, name: str) -> None:
    complete(folder, script, JOBNAME=name)
    (job,) = (await SpoolFeed(folder).read()).jobs.rows(named=True)
    assert job["job_name"] == (name.replace("\n", " ").replace("\t", " ") or None)


@pytest.mark.parametrize(
    "fields",
    [
        {"START": "0"},
        {"START": "0", "JOBSTATE": "CANCELLED", "END": "0"},
        {"JOBSTATE": "PENDING"},
        {"JOBSTATE": "RESIZING"},
        {"END": "1600000000"},
        {"START": ""},
    ],
)
def test_a_job_that_never_ran_leaves_nothing(
    folder: Path, script: Path, fields: dict[str, str]
) -> None:
    complete(folder, script, **fields)
    assert names(folder) == []


@pytest.mark.parametrize("start", ["0", ""])
async def test_a_job_that_was_cancelled_before_its_start_is_told(
    folder: Path, script: Path, start: str
) -> None:
    complete(folder, script, START=start, JOBSTATE="CANCELLED")
    recorder = Recorder()
    await record(folder, recorder)
    assert (recorder.kinds, names(folder)) == (["cancelled"], [])


async def test_a_job_that_has_started_is_told(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "rt_predictor_jobcomp.conf").write_text(f"SPOOL={folder}\n")
    prolog = tmp_path / "rt_predictor_prolog.sh"
    prolog.write_bytes(SCRIPT.with_name("rt_predictor_prolog.sh").read_bytes())
    prolog.chmod(0o755)
    squeue = tmp_path / "squeue"
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin", "SLURM_JOB_ID": "7"}
    for code in (1, 0):
        squeue.write_text(f"#!/bin/sh\ncat {tmp_path}/queue\nexit {code}\n")
        squeue.chmod(0o755)
        (tmp_path / "queue").write_text(QUEUE)
        subprocess.run([prolog], env=environment, check=True, timeout=PATIENCE_S)
        assert names(folder) == ([] if code else ["7.started"])
    recorder = Recorder()
    await record(folder, recorder)
    assert (recorder.kinds, recorder.ids, names(folder)) == (["started"], [7], [])


@pytest.mark.parametrize("text", ["", "{}", "{", '{"jobs": ["x"]}'])
async def test_a_start_that_cannot_be_read_is_set_aside(folder: Path, text: str) -> None:
    put(folder, 1)
    (folder / "7.started").write_text(text)
    recorder = Recorder()
    await record(folder, recorder)
    assert recorder.ids == [1]
    assert names(folder) == ["rejected"]


def test_without_a_spool_nothing_is_kept(folder: Path, script: Path) -> None:
    folder.rmdir()
    complete(folder, script)
    assert not folder.exists()


async def test_no_limit_is_not_a_number(folder: Path, script: Path) -> None:
    complete(folder, script, LIMIT="UNLIMITED")
    assert (await SpoolFeed(folder).read()).jobs["time_req"].to_list() == [None]
