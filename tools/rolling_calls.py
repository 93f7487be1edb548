"""What becomes of calls while all workers are replaced, again and again.

    python tools/rolling_calls.py [--workers 2] [--attempts 1] [--rolls 8] [--callers 4]
    python tools/rolling_calls.py --plain [--service-config config/grpc_service_config.json]

Calls of every kind, each made `--attempts` times at most, while SIGHUP has the workers replaced.
Prints how many were answered and how the others ended. With one attempt that is what a client sees
that does not try again; exits with 1 where a client that does lost a call, or an answer was wrong.

`--plain` calls Predict alone, with nothing but gRPC itself and the service config that it is given.
"""

import argparse
import asyncio
import signal
import sys
import tempfile
from collections import Counter
from pathlib import Path

import grpc

PROJECT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(PROJECT))  # the means of the tests, which are in no package

from rt_predictor.api.v1 import rt_predictor_pb2 as pb  # noqa: E402
from rt_predictor.api.v1 import rt_predictor_pb2_grpc as pb_grpc  # noqa: E402
from rt_predictor.client import Client  # noqa: E402
from rt_predictor.eventlog.files import open_log  # noqa: E402
from rt_predictor.jobs.events import ended_events  # noqa: E402
from tests.e2e.conftest import PATIENCE_S, running  # noqa: E402
from tests.e2e.ledger import Ledger, Site, load, reference_of, until_answered  # noqa: E402
from tests.e2e.observed import at, told, until  # noqa: E402

CALLS_BETWEEN = 40
"""Calls that are answered between two rolls."""
PLAIN_JOB = pb.PredictRequest(
    processors_req=4, nodes_req=1, mem_req=1000, time_req=3600, partition="a", qos="b"
)


async def roll_plain(options: argparse.Namespace, history: Path) -> Counter[str]:
    """The same with gRPC's own client. Returns how many calls ended how."""
    settings: list[tuple[str, str | int]] = [("grpc.use_local_subchannel_pool", 1)]
    if options.service_config is not None:
        settings.append(("grpc.service_config", options.service_config.read_text()))
    ends: Counter[str] = Counter()
    stopped = asyncio.Event()

    async def call(target: str) -> None:
        async with grpc.aio.insecure_channel(target, settings) as channel:
            stub = pb_grpc.RuntimePredictorStub(channel)
            while not stopped.is_set():
                try:
                    await stub.Predict(PLAIN_JOB, timeout=PATIENCE_S)
                    ends["OK"] += 1
                except grpc.aio.AioRpcError as error:
                    ends[error.code().name] += 1

    with running(options.bundle, "--workers", options.workers, **at(history)) as service:
        async with asyncio.TaskGroup() as calls:
            for _ in range(options.callers):
                calls.create_task(call(service.target))
            for rolls in range(1, options.rolls + 1):
                service.process.send_signal(signal.SIGHUP)
                await until(lambda rolls=rolls: told(service, "workers replaced") == rolls)
                await asyncio.sleep(1)
            stopped.set()
    return ends


async def roll(options: argparse.Namespace, history: Path) -> Ledger:
    """Has a service of its own replace its workers under load. Returns what became of the calls."""
    site = Site.made_up()
    log = open_log(history)
    log.append(ended_events(site.past))
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
    parser.add_argument("--plain", action="store_true")
    parser.add_argument("--service-config", type=Path)
    parser.add_argument("--bundle", type=Path, default=PROJECT / "artifacts" / "production")
    options = parser.parse_args()
    replaced = options.workers * options.rolls
    with tempfile.TemporaryDirectory() as folder:
        history = Path(folder) / "history.sqlite"
        if options.plain:
            ends = asyncio.run(roll_plain(options, history))
            print(f"{replaced} workers replaced, {ends.total()} calls ended: {dict(ends)}")
            return int(options.service_config is not None and set(ends) != {"OK"})
        ledger = asyncio.run(roll(options, history))
    print(f"{replaced} workers replaced, {ledger.answered} calls answered: {dict(ledger.calls)}")
    print(f"{len(ledger.wrong)} answers wrong, {len(ledger.failed)} calls failed")
    for failure, times in Counter(ledger.failed).most_common():
        print(f"{times:6} {failure}")
    return int(bool(ledger.wrong) or (options.attempts > 1 and bool(ledger.failed)))


if __name__ == "__main__":
    sys.exit(main())
