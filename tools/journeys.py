"""Measure the moves of two journeys, and write them into docs/architecture.md.

    python tools/journeys.py [--rounds 9] [--bundle artifacts/production] [--files] [--write]

Starts a service with one worker, asks it for one job of a user whose history is known, and records
one outcome of that user. Counted are the package's files that a journey passes, and its *moves*:
calls from a function of one file into a function of another. Calls that an idle service makes in
the same time (it follows its log) are taken off, and the round in the middle is shown. `--files`
lists the files with the calls that came into them.
"""

import argparse
import asyncio
import json
import os
import socket
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(PROJECT))  # the means of the tests, which are in no package

from generated_tables import fill  # noqa: E402

from rt_predictor.client import Client, Job, Outcome  # noqa: E402
from tests.e2e.conftest import running  # noqa: E402
from tests.e2e.observed import server_of  # noqa: E402

HOOK = PROJECT / "tools" / "journeys_hook"
FOLDED_S = 2.0
"""Time after which a recorded outcome is in the memory of every worker."""
KNOWN_JOBS = 40
"""Finished jobs of the user before anything is counted."""

Edge = tuple[str | None, str | None, str, str]
Edges = Mapping[Edge, int]


@dataclass(frozen=True)
class Journey:
    """Calls of one journey: between which functions, and how many."""

    edges: Edges

    @property
    def files(self) -> set[str]:
        """Return the files that it passes."""
        return {name for edge in self.edges for name in (edge[0], edge[2]) if name is not None}

    @property
    def moves(self) -> int:
        """Return how many calls go from one file into another."""
        return sum(
            count
            for (caller, _, file, _), count in self.edges.items()
            if caller is not None and caller != file
        )

    @property
    def into(self) -> Counter[str]:
        """Return the moves into each file."""
        found: Counter[str] = Counter()
        for (caller, _, file, _), count in self.edges.items():
            if caller is not None and caller != file:
                found[file] += count
        return found

    def without(self, idle: Edges) -> "Journey":
        """Return it without the calls that were made anyway."""
        kept = {edge: count - idle.get(edge, 0) for edge, count in self.edges.items()}
        return Journey({edge: count for edge, count in kept.items() if count > 0})


class Counted:
    """The process that answers, and counts."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def during(self, act: Callable[[], Awaitable[object]]) -> Journey:
        """Return what it called while something was done."""
        self._say(b"start")
        await act()
        return Journey({tuple(edge): count for *edge, count in self._say(b"stop")})

    def _say(self, word: bytes) -> list[list[object]]:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(self._path))
            connection.sendall(word)
            with connection.makefile("rb") as answer:
                return json.loads(answer.read())


def asked_job(number: int, submit_time: float) -> Job:
    """Return a job that is like no other, so that no answer to it is kept."""
    return Job(
        processors_req=4, nodes_req=1, mem_req=4000, time_req=3600 + number, partition="normal",
        qos="normal", user="alice", account="chem", job_name="relax", submit_time=submit_time,
    )  # fmt: skip


def outcome(number: int) -> Outcome:
    """Return the end of a job of the same user, a second ago."""
    now = time.time()
    runtime = 600.0 + number
    asked = asked_job(number, now - runtime - 60)
    return Outcome(asked, f"{number}", end_time=now - 1, runtime=runtime, state="COMPLETED")


def median(journeys: Sequence[Journey]) -> Journey:
    """Return the journey with the median number of moves."""
    middle = statistics.median_low(found.moves for found in journeys)
    return next(found for found in journeys if found.moves == middle)


async def measured(client: Client, counted: Counted, rounds: int) -> dict[str, Journey]:
    """Return the two journeys."""
    await client.record([outcome(number) for number in range(KNOWN_JOBS)])
    await asyncio.sleep(FOLDED_S)
    idle = await counted.during(lambda: asyncio.sleep(FOLDED_S))
    numbers = iter(range(KNOWN_JOBS, sys.maxsize))

    def ask() -> Awaitable[object]:
        return client.predict(asked_job(next(numbers), time.time()))

    async def record() -> None:
        await client.record([outcome(next(numbers))])
        await asyncio.sleep(FOLDED_S)

    await ask()
    predicted = [await counted.during(ask) for _ in range(rounds)]
    recorded = [(await counted.during(record)).without(idle.edges) for _ in range(rounds)]
    return {"one `Predict`": median(predicted), "one recorded outcome": median(recorded)}


def table(journeys: Mapping[str, Journey]) -> str:
    """Return the table of docs/architecture.md."""
    rows = [f"| {name} | {len(found.files)} | {found.moves} |" for name, found in journeys.items()]
    return "\n".join(["| journey | files | moves between files |", "|---|---:|---:|", *rows])


async def journeys_of(bundle: Path, rounds: int) -> dict[str, Journey]:
    """Return the journeys through a service that is started for this."""
    with tempfile.TemporaryDirectory() as folder:
        hook = {
            "PYTHONPATH": os.pathsep.join((str(HOOK), str(PROJECT))),
            "JOURNEYS": folder,
            "JOURNEYS_PACKAGE": str(PROJECT / "rt_predictor"),
        }
        with running(bundle, **hook) as service:
            counted = Counted(Path(folder) / str(server_of(service)))
            async with Client(service.target) as client:
                return await measured(client, counted, rounds)


def main() -> int:
    """Measure, print, and write where that is asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--bundle", type=Path, default=PROJECT / "artifacts" / "production")
    parser.add_argument("--files", action="store_true", help="list files and the moves into them")
    parser.add_argument("--write", action="store_true", help="write docs/architecture.md")
    options = parser.parse_args()
    journeys = asyncio.run(journeys_of(options.bundle, options.rounds))
    print(table(journeys))
    if options.files:
        for name, found in journeys.items():
            print(f"\n{name}")
            for file in sorted(found.files, key=lambda file: (-found.into[file], file)):
                print(f"{found.into[file]:6} {file}")
    if options.write:
        page = PROJECT / "docs" / "architecture.md"
        page.write_text(fill(page.read_text(), "journeys", table(journeys)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
