"""A real Slurm with the hooks, an agent and a service: jobs are told apart, and none is held up.

One cluster serves all tests; the last ones take away what it stands on, piece by piece.
"""

import importlib.util
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests import waiting
from tests.waiting import PATIENCE_S

from .agents import agent, ask
from .conftest import PROJECT, Program, Service, running, started


def _load(path: Path) -> Any:
    """A program of tools/, which is no package."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


slurm = _load(PROJECT / "tools" / "slurm" / "cluster.py")
pytestmark = pytest.mark.skipif(bool(slurm.missing()), reason=slurm.missing())

TWO_DAYS_S = 2 * 86_400
LONG_MS = 20_000
"""A time-out that is not met: how quick it is, is not what is tested."""
HOOKS = {
    "timeout_ms": LONG_MS,
    "failures": 1_000_000,
    "confidence_level": 0.5,
    "lower_limit": ["opted"],
    "least_limit_min": 1,
    "default_partition": "normal",
    "tell_factor": 1,
    "tell_least_min": 0,
}


@dataclass
class Site:
    """A cluster and what predicts for it."""

    cluster: Any
    service: Service
    agent: Service
    follower: Service

    def submit(self, *options: object, script: str = "true") -> Any:
        return self.cluster.submit(*options, script=script)

    def annotation(self, number: int) -> dict[str, str]:
        """What the hook wrote into a job; empty if nothing."""
        words = self.cluster.job(number).get("AdminComment", "").split()
        return dict(word.split("=", 1) for word in words if "=" in word)

    def said(self, reason: str) -> int:
        """How often the hook had no prediction for this reason."""
        log = (self.cluster.folder / "slurmctld.log").read_text(errors="replace")
        return log.count(f"rt_predictor: {reason}")

    def learns(self) -> None:
        """Lets three jobs of a second run to their end."""
        numbers = [
            self.submit("-t", "2-0", "-J", "quick", script="sleep 1").number for _ in range(3)
        ]
        until(lambda: all(self.cluster.job(n)["JobState"] == "COMPLETED" for n in numbers))
        until(lambda: not list(self.cluster.spool.glob("*")))


def clock(seconds: int) -> str:
    """A limit as scontrol shows it."""
    days, rest = divmod(seconds, 86_400)
    shown = f"{rest // 3600:02}:{rest // 60 % 60:02}:{rest % 60:02}"
    return f"{days}-{shown}" if days else shown


def until(is_so: Callable[[], bool]) -> None:
    waiting.until(is_so, within_s=PATIENCE_S, pause_s=0.1)


@pytest.fixture(scope="module")
def site(bundle: Path) -> Iterator[Site]:
    quick = {
        "RT_PREDICTOR_AGENT__CACHE_TTL_S": "0.001",
        "RT_PREDICTOR_AGENT__HEARTBEAT_S": "0.2",
        "RT_PREDICTOR_AGENT__BACKOFF_MAX_S": "0.2",
    }
    with ExitStack() as stack:
        cluster = stack.enter_context(slurm.cluster(level="debug", **HOOKS))
        service = stack.enter_context(running(bundle))
        asked = stack.enter_context(agent(cluster.socket, service.target, **quick))
        follow = ("history", "follow", "--spool", cluster.spool, "--interval", 0.1)
        follower = stack.enter_context(started(*follow, "--target", service.target))
        yield Site(cluster, service, asked, follower)


def test_a_job_carries_its_prediction(site: Site) -> None:
    number = site.submit("-t", "2-0", "-n", "2", "-J", "annotated", "--hold").number
    found = site.annotation(number)
    ends = float(found["lower_s"]), float(found["upper_s"])
    assert 0 < ends[0] <= float(found["predicted_s"]) <= ends[1]
    assert found["level"] == "0.5"
    assert found["model"]
    assert 0 <= float(found["timeout"]) <= 1
    assert site.cluster.job(number)["TimeLimit"] == "2-00:00:00"


@pytest.mark.parametrize(
    "options",
    [
        ("-J", "we|ird \"na'me\\"),
        ("-J", "two\nlines {"),
        ("-J", "ünï✓" * 30),
        ("--array=1-3%2",),
        ("-p", "opted,normal"),
        ("-n", "4", "--mem-per-cpu=1M"),
        ("--nodes=1", "--exclusive", "--no-requeue"),
    ],
    ids=["quotes", "lines", "long", "array", "partitions", "memory", "whole node"],
)
def test_a_job_of_any_shape_carries_its_prediction(site: Site, options: tuple[str, ...]) -> None:
    assert site.annotation(site.submit("--hold", *options).number)["model"]


def test_each_part_of_a_heterogeneous_job_carries_its_prediction(site: Site) -> None:
    part = ("-t", "10", "-n", "1")
    done = site.cluster.run(
        "sbatch", "--parsable", "--hold", *part, "--wrap", "true", ":", "-J", "second", *part
    )
    assert done.returncode == 0, done.stderr
    shown = site.cluster.run("scontrol", "show", "job", int(done.stdout)).stdout
    assert shown.count("AdminComment=rt_predictor ") == 2


def test_what_has_finished_changes_the_next_prediction(site: Site) -> None:
    before = site.annotation(site.submit("-t", "2-0", "-J", "quick", "--hold").number)
    site.learns()

    def is_learnt() -> bool:
        after = site.annotation(site.submit("-t", "2-0", "-J", "quick", "--hold").number)
        return float(after["predicted_s"]) < float(before["predicted_s"]) / 10

    until(is_learnt)
    told = [line for line in site.follower.log if line["message"] == "jobs recorded"]
    assert sum(int(str(line["recorded"])) for line in told) == 3
    assert not any(line["skipped"] or line["unread"] or line["duplicates"] for line in told)

    lowered = site.submit("-t", "2-0", "-J", "quick", "-p", "opted", "--hold")
    recommended_s = int(site.annotation(lowered.number)["recommended_s"])
    assert recommended_s < TWO_DAYS_S
    assert site.cluster.job(lowered.number)["TimeLimit"] == clock(recommended_s)
    assert "time limit lowered from 2 d to " in lowered.said


def test_the_user_is_told_of_a_limit_that_is_far_off(site: Site) -> None:
    said = site.submit("-t", "10-0", "--hold").said
    assert said.startswith("sbatch: jobs like this run for about ")
    assert "the limit is 10 d: --time=" in said
    assert len(said.splitlines()) == 1


def test_a_file_switches_it_off(site: Site) -> None:
    site.cluster.off_file.touch()
    try:
        submitted = site.submit("-t", "2-0", "--hold")
        assert (site.annotation(submitted.number), submitted.said) == ({}, "")
    finally:
        site.cluster.off_file.unlink()
    assert site.annotation(site.submit("-t", "2-0", "--hold").number)


def test_a_job_that_ends_without_a_follower_is_recorded_by_the_next_one(
    site: Site, program: Program
) -> None:
    site.follower.process.kill()
    site.follower.process.wait()
    number = site.submit("-t", "5", script="sleep 1").number
    until(lambda: bool(list(site.cluster.spool.glob(f"{number}-*.job"))))
    follow = ("history", "follow", "--once", "--target", site.service.target)
    done = program(*follow, "--spool", site.cluster.spool)
    assert done.returncode == 0
    assert "recorded=1 duplicates=0 conflicts=0 skipped=0 unread=0" in done.stderr
    assert not list(site.cluster.spool.glob("*"))


def test_every_submission_succeeds_whatever_is_missing(site: Site) -> None:
    # The service is gone.
    site.service.process.kill()
    site.service.process.wait()
    until(lambda: ask(site.cluster.socket, {"v": 1, "op": "stats"})["stats"]["circuit"] == "open")
    assert site.annotation(site.submit("-t", "2-0", "-n", "3").number) == {}
    assert site.said("no prediction (away)") == 1

    # The agent hangs. From here on waiting has to end by itself.
    site.cluster.configure_hooks(timeout_ms=20, failures=1_000_000)
    site.agent.process.send_signal(signal.SIGSTOP)
    try:
        for _ in range(3):
            assert site.annotation(site.submit("-t", "2-0").number) == {}
    finally:
        site.agent.process.send_signal(signal.SIGCONT)
    assert site.said("timeout") == 3

    # It is killed, and leaves its socket behind.
    site.agent.process.kill()
    site.agent.process.wait()
    assert site.cluster.socket.is_socket()
    assert site.annotation(site.submit("-t", "2-0").number) == {}
    assert site.said("connection refused") == 1

    # Somebody listens who never answers, and whose queue is full.
    site.cluster.socket.unlink()
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(site.cluster.socket))
        silent.listen(1)
        for _ in range(4):
            assert site.annotation(site.submit("-t", "2-0").number) == {}

    # What the hooks need is not there, or nonsense.
    (site.cluster.folder / "etc" / "rt_predictor_jobs.lua").write_text("this is no Lua")
    site.cluster.configure_hooks(no_such_setting=1)
    assert site.annotation(site.submit("-t", "2-0").number) == {}
    assert site.cluster.controller.poll() is None
