"""Workers that are replaced under load: SIGHUP, once and while it is being followed."""

import signal
from pathlib import Path

import pytest

from rt_predictor.serving.sockets import shares_ports
from tests.e2e.conftest import running
from tests.e2e.ledger import Ledger, load, until_answered
from tests.e2e.observed import WORKER_UP, at, kept_ids, metric, told, until, workers_of

pytestmark = pytest.mark.skipif(not shares_ports(), reason="this system does not share ports")

ONCE_MORE = 2
"""Attempts of a client that makes a failed call again, once."""


@pytest.mark.parametrize("workers", [1, 2])
async def test_no_call_fails_and_no_outcome_is_lost_when_all_workers_are_replaced(
    bundle: Path, path: Path, ledger: Ledger, workers: int
) -> None:
    with running(bundle, "--workers", workers, **at(path)) as service:
        async with load(service.target, ledger, attempts=ONCE_MORE):
            await until_answered(ledger, 40)
            before = set(workers_of(service))
            for replaced in (1, 2):
                service.process.send_signal(signal.SIGHUP)
                await until(lambda done=replaced: told(service, "workers replaced") == done)
                await until_answered(ledger, 40)
        assert before.isdisjoint(workers_of(service))
        assert metric(service, WORKER_UP) == workers
    ledger.assert_sound()
    assert ledger.acknowledged
    ledger.assert_recorded(kept_ids(path))
