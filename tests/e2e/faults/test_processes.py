"""Workers that are killed or stopped under load, and a service that is stopped under load."""

import asyncio
import os
import signal
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from rt_predictor.api.sockets import shares_ports
from rt_predictor.client import Client, Job
from rt_predictor.errors import ServiceError
from tests.e2e.conftest import Service, running
from tests.e2e.ledger import Ledger, load, until_answered
from tests.e2e.observed import WORKER_UP, at, kept_ids, metric, told, until, workers_of
from tests.waiting import PATIENCE_S

pytestmark = pytest.mark.skipif(not shares_ports(), reason="this system does not share ports")

WORKERS = 2
ONCE_MORE = 2
"""Attempts of a client that makes a failed call again, once."""
PATIENT = 12
"""Attempts of a client that waits until there is a service again: for minutes, if need be."""
MANY = 16
"""Connections of which some are with another worker than the one that stands still."""
HUNG = "rt_predictor_hung_workers_total"
CLEAN = ("(UNAVAILABLE)", "no service answers", "before it was answered: try again")


def hung_after(seconds: float) -> dict[str, str]:
    """The setting that says for how long a worker may be silent; 0: for ever."""
    return {"RT_PREDICTOR_SERVER__HUNG_AFTER_S": str(seconds)}


async def both_up(service: Service, ended: int) -> None:
    """Waits until so many workers have ended and been replaced."""
    await until(
        lambda: told(service, "worker ended") == ended and metric(service, WORKER_UP) == WORKERS
    )


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
async def test_no_call_fails_and_no_outcome_is_lost_when_workers_end_one_after_the_other(
    bundle: Path, path: Path, ledger: Ledger, how: signal.Signals
) -> None:
    with running(bundle, "--workers", WORKERS, **at(path)) as service:
        async with load(service.target, ledger, attempts=ONCE_MORE):
            await until_answered(ledger, 40)
            for ended, victim in enumerate(workers_of(service), 1):
                os.kill(victim, how)
                await both_up(service, ended)
                await until_answered(ledger, 40)
        assert service.process.poll() is None
    ledger.assert_sound()
    assert ledger.acknowledged
    ledger.assert_recorded(kept_ids(path))


async def test_no_call_of_a_patient_client_fails_when_all_workers_are_killed_at_once(
    bundle: Path, path: Path, ledger: Ledger
) -> None:
    with running(bundle, "--workers", WORKERS, **at(path)) as service:
        async with load(service.target, ledger, attempts=PATIENT):
            await until_answered(ledger, 20)
            for victim in workers_of(service):
                os.kill(victim, signal.SIGKILL)
            await both_up(service, WORKERS)
            await until_answered(ledger, 20)
    ledger.assert_sound()
    ledger.assert_recorded(kept_ids(path))


async def test_a_worker_that_stands_still_delays_its_own_calls_and_fails_none(
    bundle: Path, path: Path, ledger: Ledger
) -> None:
    still = Ledger(ledger.site, ledger.reference)
    settings = at(path) | hung_after(0)
    with running(bundle, "--workers", WORKERS, **settings) as service:
        victim = workers_of(service)[0]
        async with load(service.target, ledger, callers=8):
            await until_answered(ledger, 20)
            os.kill(victim, signal.SIGSTOP)
            try:
                async with load(service.target, still, callers=MANY, name="new"):
                    await until_answered(still, 20)
                    os.kill(victim, signal.SIGCONT)
            finally:
                os.kill(victim, signal.SIGCONT)
            await until_answered(ledger, 20)
        assert told(service, "worker ended") == 0
    ledger.assert_sound()
    still.assert_sound()
    ledger.acknowledged += still.acknowledged
    ledger.assert_recorded(kept_ids(path))


async def test_a_worker_that_stands_still_for_too_long_is_replaced_while_others_answer(
    bundle: Path, path: Path, ledger: Ledger
) -> None:
    meanwhile = Ledger(ledger.site, ledger.reference)
    settings = at(path) | hung_after(10)
    with running(bundle, "--workers", WORKERS, **settings) as service:
        victim = workers_of(service)[0]
        async with load(service.target, ledger, callers=8, attempts=PATIENT):
            await until_answered(ledger, 20)
            os.kill(victim, signal.SIGSTOP)
            async with load(service.target, meanwhile, callers=MANY, attempts=PATIENT, name="new"):
                await until_answered(meanwhile, 5)
                assert metric(service, HUNG) == 0
                await both_up(service, 1)
            await until_answered(ledger, 20)
        assert victim not in workers_of(service)
        assert told(service, "worker hangs: killed") == metric(service, HUNG) == 1
    ledger.assert_sound()
    meanwhile.assert_sound()
    ledger.acknowledged += meanwhile.acknowledged
    ledger.assert_recorded(kept_ids(path))


@pytest.mark.parametrize("workers", [1, WORKERS])
async def test_a_stop_finishes_what_has_begun_and_refuses_the_rest_clearly(
    bundle: Path, path: Path, ledger: Ledger, workers: int
) -> None:
    begun, stopped = asyncio.Event(), asyncio.Event()

    async def idle(client: Client) -> None:
        """A stream that has nothing more to ask, and does not end."""

        async def jobs() -> AsyncIterator[Job]:
            yield ledger.site.jobs[0]
            await asyncio.Event().wait()

        async for answer in client.stream(jobs()):
            ledger.compare(answer)

    async def stream(client: Client) -> None:
        """A stream that is busy while the service stops."""

        async def jobs() -> AsyncIterator[Job]:
            for number, job in enumerate(ledger.site.jobs):
                yield job
                await (stopped.wait() if number == 4 else asyncio.sleep(0.005))

        answers = 0
        async for answer in client.stream(jobs()):
            ledger.compare(answer)
            answers += 1
            if answers == 4:
                begun.set()
        assert answers == len(ledger.site.jobs)

    with running(bundle, "--workers", workers, **at(path)) as service:
        async with (
            Client(service.target, timeout_s=PATIENCE_S) as client,
            load(service.target, ledger, attempts=1),
        ):
            streaming, idling = (
                asyncio.create_task(stream(client)),
                asyncio.create_task(idle(client)),
            )
            await asyncio.wait_for(begun.wait(), PATIENCE_S)
            await until_answered(ledger, 20)
            assert not ledger.failed
            service.process.terminate()
            await until(lambda: told(service, "shutting down") > 0)
            stopped.set()
            await asyncio.wait_for(streaming, PATIENCE_S)
            with pytest.raises(ServiceError, match="ask another instance"):
                await asyncio.wait_for(idling, PATIENCE_S)
        assert service.process.wait(PATIENCE_S) == 0
    assert not ledger.wrong
    unclear = [failure for failure in ledger.failed if not any(word in failure for word in CLEAN)]
    assert not unclear, Counter(unclear)
    ledger.assert_recorded(kept_ids(path))
