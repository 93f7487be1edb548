"""A site, and what an undisturbed service says of its jobs."""

import asyncio
from pathlib import Path

import pytest

from rt_predictor.client import Client
from rt_predictor.eventlog.files import open_log
from rt_predictor.jobs.events import ended_events
from tests.e2e.conftest import running
from tests.e2e.ledger import Ledger, Reference, Site, reference_of
from tests.e2e.observed import at, copy_of
from tests.waiting import PATIENCE_S


@pytest.fixture(scope="session")
def site() -> Site:
    """What had happened before the load, and what it asks for."""
    return Site.made_up()


@pytest.fixture(scope="session")
def past_log(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A log of the site's past, which no service uses."""
    path = tmp_path_factory.mktemp("past") / "history.sqlite"
    log = open_log(path)
    log.append(ended_events(site.past))
    log.close()
    return path


@pytest.fixture(scope="session")
def reference(
    bundle: Path, site: Site, past_log: Path, tmp_path_factory: pytest.TempPathFactory
) -> Reference:
    """What an undisturbed service says, which is gone afterwards."""
    path = copy_of(past_log, tmp_path_factory.mktemp("undisturbed"))

    async def ask(target: str) -> Reference:
        async with Client(target, timeout_s=PATIENCE_S) as client:
            return await reference_of(client, site)

    with running(bundle, **at(path)) as service:
        return asyncio.run(ask(service.target))


@pytest.fixture
def ledger(site: Site, reference: Reference) -> Ledger:
    """An empty ledger."""
    return Ledger(site, reference)


@pytest.fixture
def path(past_log: Path, tmp_path: Path) -> Path:
    """A log of the site's past, for one service."""
    return copy_of(past_log, tmp_path)
