"""What becomes of calls while all workers are replaced, again and again.

    python tools/rolling_calls.py [--workers 2] [--attempts 1] [--rolls 8] [--callers 4]

Calls of every kind, each made `--attempts` times at most, while SIGHUP has the workers replaced.
Prints how many were answered and how the others ended. With one attempt that is what a client sees
that does not try again; exits with 1 where a client that does lost a call, or an answer was wrong.
"""

import argparse
import asyncio
import signal
import sys
import tempfile
from collections import Counter
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(PROJECT))  # the means of the tests, which are in no package

from rt_predictor.client import Client  # noqa: E402
from rt_predictor.history.place import open_log  # noqa: E402
from tests.e2e.conftest import running  # noqa: E402
from tests.e2e.ledger import Ledger, Site, load, reference_of, until_answered  # noqa: E402
from tests.e2e.observed import at, told, until  # noqa: E402

CALLS_BETWEEN = 40
"""Calls that are answered between two rolls."""


async def roll(options: argparse.Namespace, history: Path) -> Ledger:
    """Has a service of its own replace its workers under load. Returns what became of the calls."""
    site = Site.made_up(options.bundle)
    log = open_log(history)
    log.append(site.past)
    log.close()
    with running(options.bundle, "--workers", options.workers, **at(history)) as service:
        async with Client(service.target) as client:
            ledger = Ledger(site, await reference_of(client, site))
        async with load(service.target, ledger, attempts=options.attempts, callers=options.callers):
            await until_answered(ledger, CALLS_BETWEEN)
            for rolls in range(1, options.rolls + 1):
                service.process.send_signal(signal.SIGHUP)
                await until(lambda rolls=rolls: told(service, "workers replaced") == rolls)
                await until_answered(ledger, CALLS_BETWEEN)
    return ledger


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--attempts", type=int, default=1)
    parser.add_argument("--rolls", type=int, default=8)
    parser.add_argument("--callers", type=int, default=4)
    parser.add_argument("--bundle", type=Path, default=PROJECT / "artifacts" / "production")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        ledger = asyncio.run(roll(options, Path(folder) / "history.sqlite"))
    replaced = options.workers * options.rolls
    print(f"{replaced} workers replaced, {ledger.answered} calls answered: {dict(ledger.calls)}")
    print(f"{len(ledger.wrong)} answers wrong, {len(ledger.failed)} calls failed")
    for failure, times in Counter(ledger.failed).most_common():
        print(f"{times:6} {failure}")
    return int(bool(ledger.wrong) or (options.attempts > 1 and bool(ledger.failed)))


if __name__ == "__main__":
    sys.exit(main())
