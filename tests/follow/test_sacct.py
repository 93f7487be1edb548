"""Following sacct: every job once, whenever it comes and whatever stops in between."""

import asyncio
import sys
from pathlib import Path

import pytest

from rt_predictor.errors import FeedError, ServiceError, StartupError, TraceError
from rt_predictor.follow import command
from rt_predictor.follow.run import Pace, follow
from rt_predictor.follow.sacct import SacctFeed
from tests.waiting import PATIENCE_S

from .jobs import HEADER, Recorder, line, moment

NOW_S = 1_700_000_000.0
HOUR_S = 3600.0
ONCE = Pace(interval_s=0.01, once=True)

# Prints the jobs of a file whose end lies in the window, as sacct does; logs how it was asked.
FAKE = """
import os, sys
folder = os.path.dirname(os.path.abspath(sys.argv[0]))
asked = sys.argv[1:]
begin, end = (asked[asked.index(option) + 1] for option in ("-S", "-E"))
with open(folder + "/asked", "a") as log:
    print(begin, end, os.environ["TZ"], *asked, file=log)
lines = open(folder + "/jobs").read().splitlines()
print(lines[0])
for line in lines[1:]:
    if line.count("|") < 4 or begin <= line.split("|")[4] <= end:
        print(line)
"""


class Cluster:
    """An accounting database and a clock."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.now_s = NOW_S
        (folder / "sacct").write_text(FAKE)
        (folder / "jobs").write_text(HEADER)
        self.recorder = Recorder()

    def add(self, *lines: str) -> None:
        with (self.folder / "jobs").open("a") as file:
            file.writelines(lines)

    def feed(self, since_s: float = NOW_S - HOUR_S, overlap_s: float = 600.0) -> SacctFeed:
        command = (sys.executable, str(self.folder / "sacct"), "-M", "alpha")
        state = self.folder / "var" / "state.json"
        return SacctFeed(command, state, since_s, overlap_s, clock=lambda: self.now_s)

    async def record(self, feed: SacctFeed) -> None:
        await follow(feed, self.recorder.made, ONCE)

    @property
    def asked(self) -> list[list[str]]:
        return [line.split() for line in (self.folder / "asked").read_text().splitlines()]


@pytest.fixture
def cluster(tmp_path: Path) -> Cluster:
    return Cluster(tmp_path)


async def test_sacct_is_asked_for_what_ended_in_a_window_in_utc(cluster: Cluster) -> None:
    await cluster.record(cluster.feed())
    (asked,) = cluster.asked
    begin_s, end_s = NOW_S - HOUR_S - 600, NOW_S + 1
    assert asked[:3] == [moment(begin_s), moment(end_s), "UTC"]
    assert {"-M", "alpha", "-a", "-X", "-P", "--state=CD,F,TO,OOM,CA,NF,PR,BF,DL"} <= set(asked)


async def test_each_job_is_recorded_once_as_time_goes_on(cluster: Cluster) -> None:
    feed = cluster.feed()
    cluster.add(line(1, NOW_S - 60), line(2, NOW_S - 30))
    await cluster.record(feed)
    cluster.now_s += 60
    cluster.add(line(3, NOW_S + 20))
    await cluster.record(feed)
    cluster.now_s += 60
    await cluster.record(feed)
    assert cluster.recorder.ids == [1, 2, 3]
    assert set(cluster.recorder.jobs.values()) == {1}, "none was sent twice"
    assert cluster.recorder.calls == 2, "nothing new is no call"


async def test_a_job_that_reaches_the_database_late_is_found(cluster: Cluster) -> None:
    feed = cluster.feed(overlap_s=600)
    await cluster.record(feed)
    cluster.now_s += 60
    cluster.add(line(1, NOW_S - 500))
    await cluster.record(feed)
    assert cluster.recorder.ids == [1]


async def test_a_restart_goes_on_where_it_was(cluster: Cluster) -> None:
    cluster.add(line(1, NOW_S - 60))
    await cluster.record(cluster.feed())
    cluster.now_s += 5 * HOUR_S
    cluster.add(line(2, NOW_S + HOUR_S))
    await cluster.record(cluster.feed(since_s=0.0))
    assert cluster.recorder.ids == [1, 2]
    assert [asked[0] for asked in cluster.asked][1] == moment(NOW_S - 600)


async def test_what_was_not_recorded_is_read_again_after_a_restart(cluster: Cluster) -> None:
    cluster.add(line(1, NOW_S - 60))
    cluster.recorder.failures = 1
    with pytest.raises(ServiceError):
        await cluster.record(cluster.feed())
    cluster.now_s += HOUR_S
    await cluster.record(cluster.feed(since_s=NOW_S - HOUR_S))
    assert cluster.recorder.ids == [1]


async def test_a_long_absence_is_caught_up_a_day_at_a_time(cluster: Cluster) -> None:
    days = 5
    cluster.add(*(line(n, NOW_S - n * 86_400 + 10) for n in range(1, days + 1)))
    await cluster.record(cluster.feed(since_s=NOW_S - days * 86_400))
    assert cluster.recorder.ids == list(range(1, days + 1))
    assert len(cluster.asked) == days


async def test_records_that_are_no_jobs_are_left_out(cluster: Cluster) -> None:
    cluster.add(
        "nonsense|\n", line(1, NOW_S - 60, name="a|b"), line(2, NOW_S - 60, state="RUNNING")
    )
    await cluster.record(cluster.feed())
    assert cluster.recorder.ids == [1]


async def test_nothing_but_broken_records_is_no_reason_to_stop(cluster: Cluster) -> None:
    cluster.add("nonsense|\n")
    batch = await cluster.feed().read()
    assert len(batch.jobs) == 0
    assert batch.unread[0] == 1


@pytest.mark.parametrize(
    ("program", "says"),
    [
        ("import sys; sys.exit('accounting storage\\nis disabled')", "failed with 1: accounting"),
        ("import sys; sys.exit(2)", "failed with 2: without a word"),
        ("import time; time.sleep(600)", "did not end within"),
    ],
)
async def test_a_sacct_that_fails_is_told_in_one_line(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch, program: str, says: str
) -> None:
    monkeypatch.setattr(command, "TIMEOUT_S", 0.3 if "sleep" in program else 60.0)
    (cluster.folder / "sacct").write_text(program)
    with pytest.raises(FeedError, match=says) as caught:
        await cluster.feed().read()
    assert "\n" not in str(caught.value)


async def test_a_script_around_a_sacct_that_hangs_is_ended_with_it(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    pid = cluster.folder / "pid"
    script = cluster.folder / "wrapped"
    script.write_text(f"#!/bin/sh\nsleep 600 &\necho $! > {pid}.new; mv {pid}.new {pid}; wait\n")
    script.chmod(0o755)
    feed = SacctFeed((str(script),), cluster.folder / "state.json", NOW_S)
    for timeout_s in (0.3, 3.0, 30.0):  # the script must have come to its sleep by then
        monkeypatch.setattr(command, "TIMEOUT_S", timeout_s)
        with pytest.raises(FeedError, match="did not end within"):
            await feed.read()
        if pid.exists():
            break
    async with asyncio.timeout(PATIENCE_S):
        while is_running(int(pid.read_text())):
            await asyncio.sleep(0.01)


def is_running(pid: int) -> bool:
    """Whether a process is there, and is more than a name that nobody has asked after."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


async def test_output_that_is_not_of_sacct_is_told(cluster: Cluster) -> None:
    (cluster.folder / "sacct").write_text("print('hello')")
    with pytest.raises(TraceError, match="the output of sacct has no header line"):
        await cluster.feed().read()


def test_a_sacct_that_is_not_there_cannot_be_followed(tmp_path: Path) -> None:
    with pytest.raises(StartupError, match="there is no program no-such-sacct"):
        SacctFeed(("no-such-sacct",), tmp_path / "state", 0.0)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": 9}', '{"format": 1}'])
def test_a_state_that_cannot_be_read_says_how_to_go_on(cluster: Cluster, text: str) -> None:
    (cluster.folder / "var").mkdir()
    (cluster.folder / "var" / "state.json").write_text(text)
    with pytest.raises(StartupError, match="delete it and say with --since"):
        cluster.feed()


async def test_a_state_that_cannot_be_written_is_told(cluster: Cluster) -> None:
    feed = cluster.feed()
    (cluster.folder / "var").write_text("in the way")
    with pytest.raises(FeedError, match="cannot write"):
        await cluster.record(feed)
