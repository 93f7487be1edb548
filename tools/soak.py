"""Ten minutes of everything at once against a real service: `make soak`.

    python tools/soak.py [--minutes 10] [--workers 2] [--bundle DIR]

Right calls of every kind, outcomes, bad input, noise, calls broken off and slow readers, all the
time. In the first two fifths workers are also killed and replaced (kill -9, SIGHUP); for the rest
the same processes are watched: memory and open files must not grow. Every answer is compared with
what the service said before all this. Exits with 1 where anything did not hold.
"""

import argparse
import asyncio
import os
import signal
import sys
import tempfile
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

PROJECT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(PROJECT))  # the means of the tests, which are in no package

from rt_predictor.client import Client  # noqa: E402
from rt_predictor.eventlog.files import open_log  # noqa: E402
from rt_predictor.jobs.events import ended_events  # noqa: E402
from tests.e2e.conftest import PATIENCE_S, Service, running  # noqa: E402
from tests.e2e.ledger import Ledger, Site, load, reference_of  # noqa: E402
from tests.e2e.nuisances import Nuisances  # noqa: E402
from tests.e2e.observed import (  # noqa: E402
    at,
    descriptors,
    kept_ids,
    metric,
    resident_mb,
    told,
    until,
    workers_of,
)

CALLERS = 4
KINDS = (
    ("one",) * 8
    + ("several",) * 4
    + (
        "stream",
        "stream",
        "table",
        "table",
        "record",
        "events",
    )
)
"""What a caller does, as often as it stands here."""
DISTURBED_SHARE = 0.4
"""Share of the time in which workers are killed and replaced."""
DISTURBANCE_PAUSE_S = 5.0
NUISANCE_PAUSE_S = 0.25
SAMPLE_S = 1.0
GROWTH_MB = 24.0
"""What the memory of a process may grow by while it is watched, beside what history says that it
grew by: caches and arenas fill, one outcome or one connection at a time."""
GROWTH_FILES = 8
HISTORY_BYTES = "rt_predictor_history_memory_bytes"


@dataclass
class Watched:
    """A process over time: memory in MB, and how many files it had open."""

    name: str
    memory_mb: list[float] = field(default_factory=list)
    files: list[int] = field(default_factory=list)

    def look(self, pid: int) -> None:
        """Takes a sample."""
        self.memory_mb.append(resident_mb(pid))
        self.files.append(descriptors(pid))

    @property
    def growth_mb(self) -> float:
        """From the first third of the samples to the last."""
        return grown(self.memory_mb)

    @property
    def growth_files(self) -> float:
        """Likewise."""
        return grown(self.files)


def grown(samples: list[float] | list[int]) -> float:
    """How much greater the last third of samples is than the first, by their medians."""
    third = max(len(samples) // 3, 1)
    return median(samples[-third:]) - median(samples[:third])


@dataclass
class Soak:
    """What is known of it at its end."""

    ledger: Ledger
    minutes: float
    done: Counter[str] = field(default_factory=Counter)
    """What was done to workers -> how often"""
    watched: list[Watched] = field(default_factory=list)
    history_mb: list[float] = field(default_factory=list)
    exit_code: int | None = None
    lost: int = 0
    twice: int = 0
    internal_errors: float = 0.0

    def verdicts(self) -> Iterator[tuple[str, object, bool]]:
        """What was asked for, what was found, and whether that holds."""
        ledger = self.ledger
        yield "calls answered", f"{ledger.answered:,}", ledger.answered > 0
        yield "wrong answers", len(ledger.wrong), not ledger.wrong
        yield "failed calls", len(ledger.failed), not ledger.failed
        yield "outcomes acknowledged", f"{len(ledger.acknowledged):,}", bool(ledger.acknowledged)
        yield "of them lost", self.lost, not self.lost
        yield "recorded twice", self.twice, not self.twice
        yield "internal errors", int(self.internal_errors), not self.internal_errors
        yield "exit code", self.exit_code, self.exit_code == 0
        history_mb = grown(self.history_mb)
        for one in self.watched:
            own_mb = one.growth_mb - (history_mb if one.name != "supervisor" else 0.0)
            memory = f"{one.memory_mb[0]:.0f} to {one.memory_mb[-1]:.0f} MB, {own_mb:+.1f} MB"
            yield f"memory of {one.name}", memory, own_mb < GROWTH_MB
            files = f"{one.files[0]} to {one.files[-1]}, {one.growth_files:+.0f}"
            yield f"open files of {one.name}", files, one.growth_files < GROWTH_FILES

    def report(self) -> bool:
        """Prints it all. Returns whether everything holds."""
        done = ", ".join(f"{what} {count}" for what, count in self.done.items())
        print(f"{self.minutes:g} minutes; {done}; calls: {dict(self.ledger.calls)}")
        good = True
        for asked, found, holds in self.verdicts():
            print(f"{'ok  ' if holds else 'FAIL'}  {asked:28} {found}")
            good = good and holds
        for what in (*self.ledger.wrong[:3], *self.ledger.failed[:10]):
            print(f"      {what[:400]}")
        return good


async def all_up(service: Service, workers: int) -> None:
    """Waits until there are so many workers, no more and no fewer, and all serve."""
    await until(
        lambda: metric(service, "rt_predictor_workers_up") == workers == len(workers_of(service))
    )


async def disturb(service: Service, soak: Soak, workers: int, until_s: float) -> None:
    """Kills workers and has all replaced, in turns, up to a time; each at least once."""
    kinds: deque[Callable[[], None]]

    def kill() -> None:
        os.kill(workers_of(service)[0], signal.SIGKILL)
        soak.done["killed"] += 1

    def replace() -> None:
        service.process.send_signal(signal.SIGHUP)
        soak.done["replaced all"] += 1

    kinds = deque((kill, replace))
    while time.monotonic() < until_s or len(soak.done) < len(kinds):
        before = replacements(service)
        kinds[0]()
        await until(lambda before=before: replacements(service) > before)
        await all_up(service, workers)
        kinds.rotate()
        await asyncio.sleep(min(DISTURBANCE_PAUSE_S, max(until_s - time.monotonic(), 0.0)))


def replacements(service: Service) -> int:
    """How often a worker has ended unasked, or all have been replaced."""
    return told(service, "worker ended") + told(service, "workers replaced")


async def watch(service: Service, soak: Soak, until_s: float) -> None:
    """Looks at the same processes again and again, up to a time."""
    found = {service.process.pid: Watched("supervisor")}
    found |= {pid: Watched(f"worker {n}") for n, pid in enumerate(workers_of(service), 1)}
    soak.watched = list(found.values())
    while time.monotonic() < until_s:
        for pid, one in found.items():
            one.look(pid)
        megabytes = await asyncio.to_thread(metric, service, HISTORY_BYTES)
        soak.history_mb.append(megabytes / 2**20)
        await asyncio.sleep(SAMPLE_S)


@contextmanager
def made_up_service(bundle: Path, workers: int, folder: Path) -> Iterator[tuple[Service, Site]]:
    """A service with a made-up past."""
    site = Site.made_up()
    log = open_log(folder / "history.sqlite")
    log.append(ended_events(site.past))
    log.close()
    with running(bundle, "--workers", workers, **at(folder / "history.sqlite")) as service:
        yield service, site


async def run(bundle: Path, workers: int, minutes: float, folder: Path) -> Soak:
    """The whole of it. Raises what ends a test of this kind otherwise: TimeoutError and such."""
    with made_up_service(bundle, workers, folder) as (service, site):
        async with Client(service.target, timeout_s=PATIENCE_S) as client:
            ledger = Ledger(site, await reference_of(client, site))
        soak = Soak(ledger, minutes)
        begun_s = time.monotonic()
        nuisances = asyncio.create_task(Nuisances(service.target, ledger).go_on(NUISANCE_PAUSE_S))
        async with load(service.target, ledger, callers=CALLERS, kinds=KINDS, name="soak"):
            await disturb(service, soak, workers, begun_s + minutes * 60 * DISTURBED_SHARE)
            watched_s = minutes * 60 * (1 - DISTURBED_SHARE)
            await watch(service, soak, time.monotonic() + watched_s)
            assert not nuisances.done(), nuisances
        nuisances.cancel()
        await asyncio.gather(nuisances, return_exceptions=True)
        soak.internal_errors = metric(service, "rt_predictor_internal_errors_total")
        service.process.terminate()
        soak.exit_code = await asyncio.to_thread(service.process.wait, PATIENCE_S)
    kept = Counter(kept_ids(folder / "history.sqlite"))
    soak.lost = len(set(ledger.acknowledged) - kept.keys())
    soak.twice = sum(count > 1 for count in kept.values())
    return soak


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", maxsplit=1)[0])
    parser.add_argument("--minutes", type=float, default=10.0, help="how long it goes on")
    parser.add_argument("--workers", type=int, default=2, help="worker processes, 2 or more")
    parser.add_argument("--bundle", type=Path, default=PROJECT / "artifacts" / "production")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="rt-predictor-soak-") as folder:
        soak = asyncio.run(run(options.bundle, options.workers, options.minutes, Path(folder)))
    return 0 if soak.report() else 1


if __name__ == "__main__":
    sys.exit(main())
