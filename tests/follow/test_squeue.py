"""Following squeue: what is new in the queue and what has started, each once."""

import json
import sys
from pathlib import Path

import pytest

from rt_predictor.errors import FeedError, StartupError, TraceError
from rt_predictor.follow.run import Pace, follow
from rt_predictor.follow.squeue import SqueueFeed

from .jobs import Recorder

SUBMIT_S = 1_700_000_000
ONCE = Pace(interval_s=0.01, once=True)
FAKE = """
import os, sys
folder = os.path.dirname(os.path.abspath(sys.argv[0]))
assert sys.argv[1:] == ["-M", "alpha", "--json"], sys.argv
sys.stdout.write(open(folder + "/queue").read())
"""


def job(number: int, state: str = "PENDING", start_s: int = 0, **more: object) -> dict[str, object]:
    times = {"submit_time": SUBMIT_S + number, "start_time": start_s}
    return {"job_id": number, "job_state": [state], **times, "cluster": "alpha", **more}


class Cluster:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "squeue").write_text(FAKE)
        self.recorder = Recorder()

    def feed(self) -> SqueueFeed:
        return SqueueFeed((sys.executable, str(self.folder / "squeue"), "-M", "alpha"))

    async def look(self, feed: SqueueFeed, *jobs: dict[str, object]) -> list[str]:
        """Kinds of the events that are recorded when the queue is so."""
        (self.folder / "queue").write_text(json.dumps({"jobs": jobs}))
        before = len(self.recorder.kinds)
        await follow(feed, self.recorder.made, ONCE)
        return self.recorder.kinds[before:]


@pytest.fixture
def cluster(tmp_path: Path) -> Cluster:
    return Cluster(tmp_path)


async def test_each_event_is_given_once_as_the_queue_changes(cluster: Cluster) -> None:
    feed, start_s = cluster.feed(), SUBMIT_S + 60
    assert await cluster.look(feed, job(1), job(2)) == ["submitted", "submitted"]
    assert await cluster.look(feed, job(1), job(2)) == []
    running = job(1, "RUNNING", start_s)
    assert await cluster.look(feed, running, job(2), job(3)) == ["submitted", "started"]
    assert await cluster.look(feed, running) == []
    assert await cluster.look(feed) == []


async def test_a_job_that_is_found_running_says_when_it_started(cluster: Cluster) -> None:
    feed = cluster.feed()
    kinds = await cluster.look(feed, job(1, "RUNNING", SUBMIT_S + 60))
    assert kinds == ["started"]


async def test_when_a_waiting_job_may_start_is_no_start(cluster: Cluster) -> None:
    assert await cluster.look(cluster.feed(), job(1, start_s=SUBMIT_S + 10**6)) == ["submitted"]


async def test_what_is_over_or_cannot_be_read_is_left_out(cluster: Cluster) -> None:
    over, odd = job(1, "COMPLETED", SUBMIT_S + 60), job(2, time_limit="long")
    assert await cluster.look(cluster.feed(), over, odd, job(3)) == ["submitted"]
    assert cluster.recorder.ids == [3]


async def test_what_was_not_recorded_is_given_again(cluster: Cluster) -> None:
    (cluster.folder / "queue").write_text(json.dumps({"jobs": [job(1)]}))
    feed = cluster.feed()
    for _ in range(2):
        assert (await feed.read()).open["job_id"].to_list() == ["1"]
    feed.recorded(await feed.read())
    assert (await feed.read()).open.is_empty()


async def test_no_cluster_is_named_since_sacct_names_none(cluster: Cluster) -> None:
    (cluster.folder / "queue").write_text(json.dumps({"jobs": [job(1, restart_cnt=2)]}))
    found = (await cluster.feed().read()).open
    assert found.select("cluster", "attempt").row(0) == (None, None)


@pytest.mark.parametrize(("text", "error"), [("{", TraceError), ("{}", TraceError)])
async def test_output_that_is_not_of_squeue_is_told(
    cluster: Cluster, text: str, error: type[Exception]
) -> None:
    (cluster.folder / "queue").write_text(text)
    with pytest.raises(error, match="the output of squeue"):
        await cluster.feed().read()


async def test_a_squeue_that_fails_is_told(cluster: Cluster) -> None:
    with pytest.raises(FeedError, match="squeue failed with 1"):
        await cluster.feed().read()


def test_a_squeue_that_is_not_there_cannot_be_followed() -> None:
    with pytest.raises(StartupError, match="there is no program no-such-squeue"):
        SqueueFeed(("no-such-squeue",))
