"""Models that are loaded while the service is under load: good ones, bad ones, and disturbances."""

import asyncio
import os
import re
import signal
import urllib.request
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from rt_predictor.api.sockets import shares_ports
from rt_predictor.client import Client, Reloaded
from rt_predictor.errors import ServiceError
from rt_predictor.model.files import BUNDLE_FILES, GRAPH_FILE
from tests.e2e import bundles
from tests.e2e.conftest import Program, Service, running
from tests.e2e.ledger import Ledger, Reference, Site, load, until_answered
from tests.e2e.observed import WORKER_UP, at, metric, told, until, workers_of
from tests.waiting import PATIENCE_S

pytestmark = pytest.mark.skipif(not shares_ports(), reason="this system does not share ports")

ONCE_MORE = 2
"""Attempts of a client that makes a failed call again, once."""
ADMIN = {"RT_PREDICTOR_SERVER__ADMIN": "true"}
FAILED = "model not loaded: the one that was served still is"


@pytest.fixture
def served(bundle: Path, tmp_path: Path) -> Path:
    """The folder that the service is told of."""
    return bundles.copy_bundle(bundle, tmp_path / "models" / "production")


@pytest.fixture
def following(bundle: Path, tmp_path: Path) -> Path:
    """Another bundle, beside it."""
    return bundles.renamed(bundle, tmp_path / "models" / "new", "next")


@pytest.fixture
def mixed(site: Site, reference: Reference, bundle: Path) -> "MixedLedger":
    """An empty ledger for a service whose model changes."""
    return MixedLedger(site, reference, served_first=bundles.version_of(bundle))


class MixedLedger(Ledger):
    """A ledger that counts which version answered: the models are alike but for that."""

    def __init__(self, site: Site, reference: Reference, served_first: str) -> None:
        super().__init__(site, reference)
        self.served_first = served_first
        self.versions: dict[str, int] = {}

    def compare(self, answer: object) -> None:
        version = getattr(answer, "model_version", "")
        self.versions[version] = self.versions.get(version, 0) + 1
        super().compare(replace(answer, model_version=self.served_first))  # type: ignore[type-var]


def page_of(service: Service) -> str:
    with urllib.request.urlopen(service.metrics_url, timeout=PATIENCE_S) as page:
        return page.read().decode()


def versions_shown(service: Service) -> list[str]:
    """The versions that the metrics page shows as loaded."""
    return re.findall(r'^rt_predictor_model_info\{version="(.*?)"\} 1\.0$', page_of(service), re.M)


def reloads(service: Service, result: str) -> int:
    found = re.search(
        rf'^rt_predictor_model_reloads_total\{{result="{result}"\}} (.*)$', page_of(service), re.M
    )
    assert found is not None
    return int(float(found[1]))


async def failures_told(service: Service, failures: int) -> None:
    """Waits until the log has told of so many; it comes by another way than answers do."""
    await until(lambda: told(service, FAILED) == failures)


async def versions_answering(service: Service, connections: int = 8) -> set[str]:
    """The versions that answer on so many new connections, one after the other."""
    found = set()
    for _ in range(connections):
        async with Client(service.target, timeout_s=PATIENCE_S) as client:
            found.add((await client.model_info()).model_version)
    return found


async def ask_for_reload(service: Service) -> Reloaded:
    async with Client(service.target, timeout_s=PATIENCE_S, attempts=1) as client:
        return await client.reload_model()


@pytest.mark.parametrize("workers", [1, 2])
async def test_a_new_model_is_taken_up_when_a_client_asks_and_no_call_fails(
    served: Path, following: Path, path: Path, mixed: MixedLedger, workers: int
) -> None:
    old = bundles.version_of(served)
    with running(served, "--workers", workers, **ADMIN, **at(path)) as service:
        async with load(service.target, mixed, attempts=ONCE_MORE):
            await until_answered(mixed, 20)
            bundles.put_in_place(following, served)
            assert await ask_for_reload(service) == Reloaded(old, "next")
            # The last of the old workers finishes what it has: nothing new reaches it.
            await until(lambda: len(workers_of(service)) == workers)
            await until_answered(mixed, 20)
        assert await versions_answering(service) == {"next"}
        assert versions_shown(service) == ["next"]
        assert await ask_for_reload(service) == Reloaded("next", "next")
        assert (reloads(service, "loaded"), reloads(service, "unchanged")) == (1, 1)
    mixed.assert_sound()
    assert mixed.versions.keys() == {old, "next"}


DAMAGES: tuple[tuple[Callable[[Path], None], str], ...] = (
    (bundles.flip_a_bit, "graph.onnx is damaged: its SHA-256"),
    (bundles.cut_short, "graph.onnx is damaged: its SHA-256"),
    (bundles.write_half, "is missing"),
    (bundles.spoil, ""),
)


async def test_a_bad_model_leaves_the_old_one_serving_and_everyone_is_told(
    served: Path, bundle: Path, path: Path, ledger: Ledger
) -> None:
    old = bundles.version_of(served)
    with running(served, "--workers", 2, **ADMIN, **at(path)) as service:
        before = set(workers_of(service))
        async with load(service.target, ledger, attempts=1):
            for number, (damage, says) in enumerate(DAMAGES, 1):
                bad = bundles.renamed(bundle, served.with_name("bad"), "never served")
                damage(bad)
                bundles.put_in_place(bad, served)
                await until_answered(ledger, 5)
                with pytest.raises(ServiceError, match=f"{old} is still served: ") as refused:
                    await ask_for_reload(service)
                assert says in str(refused.value)
                assert "FAILED_PRECONDITION" in str(refused.value)
                assert str(served) in str(refused.value) or not says
                assert reloads(service, "failed") == number
                await failures_told(service, number)
        assert set(workers_of(service)) == before
        async with Client(service.target, timeout_s=PATIENCE_S) as client:
            # The worker that was asked knows it already; this may be the other one.
            async with asyncio.timeout(PATIENCE_S):
                while (health := await client.health()).components["reload"] != "DEGRADED":
                    await asyncio.sleep(0.02)
            assert f"{old} is still served" in health.message
            assert await client.is_serving()

        # Whatever the folder holds, a worker that dies comes back with what is served.
        os.kill(before.pop(), signal.SIGKILL)
        await until(lambda: told(service, "worker ended") == 1)
        await until(lambda: metric(service, WORKER_UP) == 2)
        assert await versions_answering(service) == {old}
        assert versions_shown(service) == [old]
    ledger.assert_sound()


async def test_a_watched_folder_that_is_written_in_place_is_loaded_once_it_is_whole(
    served: Path, following: Path, path: Path
) -> None:
    watched = {
        "RT_PREDICTOR_MODEL__WATCH": "true",
        "RT_PREDICTOR_MODEL__WATCH_INTERVAL_S": "0.05",
    }
    with running(served, **watched, **at(path)) as service:
        for name in reversed(BUNDLE_FILES):  # the manifest first, the graph last, in two pieces
            data = (following / name).read_bytes()
            with (served / name).open("wb") as file:
                file.write(data[: len(data) // 2])
                file.flush()
                await asyncio.sleep(0.15)
                file.write(data[len(data) // 2 :])
        await until(lambda: told(service, "model loaded") == 1)
        await until(lambda: versions_shown(service) == ["next"])
        assert told(service, FAILED) == 0
        assert await versions_answering(service, 3) == {"next"}


async def test_hangups_on_hangups_end_with_the_model_that_came_last(
    served: Path, following: Path, path: Path, mixed: MixedLedger
) -> None:
    last = bundles.renamed(following, following.with_name("last"), "next but one")
    with running(served, "--workers", 2, **at(path)) as service:
        async with load(service.target, mixed, attempts=ONCE_MORE):
            await until_answered(mixed, 20)
            bundles.put_in_place(following, served)
            before = workers_of(service)
            service.process.send_signal(signal.SIGHUP)
            await until(lambda: set(workers_of(service)) != set(before))
            bundles.put_in_place(last, served)
            for _ in range(3):
                service.process.send_signal(signal.SIGHUP)
                await asyncio.sleep(0.02)
            await until(lambda: told(service, "workers replaced") == 2)
            await until_answered(mixed, 20)
        assert await versions_answering(service) == {"next but one"}
        assert versions_shown(service) == ["next but one"]
    mixed.assert_sound()


async def test_a_fresh_worker_that_is_killed_while_it_starts_leaves_the_old_model(
    served: Path, following: Path, path: Path, ledger: Ledger
) -> None:
    old = bundles.version_of(served)
    with running(served, "--workers", 2, **ADMIN, **at(path)) as service:
        before = set(workers_of(service))
        bundles.put_in_place(following, served)
        async with load(service.target, ledger, attempts=1):
            asking = asyncio.create_task(ask_for_reload(service))
            await until(lambda: bool(set(workers_of(service)) - before))
            (fresh,) = set(workers_of(service)) - before
            os.kill(fresh, signal.SIGKILL)
            with pytest.raises(ServiceError, match="ended at its start, exit code -9"):
                await asking
            await until_answered(ledger, 10)
        assert await versions_answering(service) == {old}
        assert set(workers_of(service)) == before
        assert await ask_for_reload(service) == Reloaded(old, "next")
    ledger.assert_sound()


async def test_a_stop_during_a_reload_is_a_stop(served: Path, following: Path, path: Path) -> None:
    with running(served, "--workers", 2, **at(path)) as service:
        before = set(workers_of(service))
        bundles.put_in_place(following, served)
        service.process.send_signal(signal.SIGHUP)
        await until(lambda: bool(set(workers_of(service)) - before))
        service.process.terminate()
        assert service.process.wait(PATIENCE_S) == 0
        await until(lambda: told(service, "stopped") == 1)


def test_the_program_reloads_where_the_service_allows_it(
    program: Program, served: Path, following: Path, path: Path
) -> None:
    with running(served, **ADMIN, **at(path)) as service:
        bundles.put_in_place(following, served)
        done = program("reload", "--target", service.target)
        assert (done.returncode, done.stdout.split()[0]) == (0, "next")
        (served / GRAPH_FILE).unlink()
        (served / "manifest.json").write_text("{}")
        failed = program("reload", "--target", service.target)
        assert failed.returncode == 1
        assert "next is still served: " in failed.stderr


def test_the_program_is_refused_where_the_service_does_not(
    program: Program, service: Service
) -> None:
    refused = program("reload", "--target", service.target)
    assert refused.returncode == 1
    assert "switched off (server.admin)" in refused.stderr
