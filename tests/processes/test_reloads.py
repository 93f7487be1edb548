"""Who may have the model reloaded, and what they are told."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from rt_predictor.api.reload import Reloaded
from rt_predictor.errors import ReloadError, SettingsError
from rt_predictor.model.files import MANIFEST_FILE
from rt_predictor.observability.worker_metrics import WorkerMetrics
from rt_predictor.processes.messages import ReloadAnswer, ReloadAsked, ReloadFailed
from rt_predictor.processes.reloads import BUSY, Reloads
from rt_predictor.processes.served_model import ServedModel
from rt_predictor.settings import SecuritySettings


class FakeSupervisor:
    """Replaces no workers; what becomes of that is for the test to say."""

    def __init__(self, model: ServedModel) -> None:
        self.model = model
        self.model_version = "v1"
        self.notes: list[str] = []
        self.security: list[SecuritySettings | None] = []
        self.error = ""
        self.replaced = 0
        self.go_on = asyncio.Event()
        self.go_on.set()

    async def replace_all(
        self, asker: object, done: Callable[[str], None], security: SecuritySettings | None
    ) -> None:
        del asker
        self.security.append(security)
        self.replaced += 1
        await self.go_on.wait()
        if self.error:
            raise ReloadError(self.error)
        self.model_version = "v2"
        done("v2")

    def note(self, text: str) -> None:
        self.notes.append(text)


class FakeWorker:
    def __init__(self) -> None:
        self.told: asyncio.Queue[ReloadAnswer] = asyncio.Queue()

    def tell(self, message: ReloadAnswer) -> None:
        self.told.put_nowait(message)


@pytest.fixture
def supervisor(tmp_path: Path) -> FakeSupervisor:
    """Serves a model that is not the one in its folder."""
    model = ServedModel(tmp_path / "source", tmp_path / "copy")
    for folder, text in ((model.source, "new"), (model.copy, "old")):
        folder.mkdir()
        (folder / MANIFEST_FILE).write_text(text)
    return FakeSupervisor(model)


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


class ReadAnew:
    """The settings of security, as somebody has changed them since the start."""

    def __init__(self) -> None:
        self.now = SecuritySettings(max_calls_per_client=7)
        self.error = ""

    def __call__(self) -> SecuritySettings:
        if self.error:
            raise SettingsError(self.error)
        return self.now


@pytest.fixture
def settings() -> ReadAnew:
    return ReadAnew()


@pytest.fixture
async def reloads(
    supervisor: FakeSupervisor, registry: CollectorRegistry, settings: ReadAnew
) -> AsyncIterator[Reloads]:
    reloads = Reloads(supervisor, WorkerMetrics(registry), settings)
    running = asyncio.create_task(reloads.run())
    yield reloads
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def _settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


def _counted(registry: CollectorRegistry) -> dict[str, float | None]:
    name = "rt_predictor_model_reloads_total"
    return {
        result: registry.get_sample_value(name, {"result": result})
        for result in ("loaded", "unchanged", "failed")
    }


async def test_only_sighup_reads_anew_who_may_ask(reloads, supervisor, settings) -> None:
    reloads.hangup()
    await _settle()
    worker = FakeWorker()
    reloads.asked(worker, ReloadAsked(7))
    await worker.told.get()
    assert supervisor.security == [settings.now, None]


async def test_settings_that_cannot_be_read_leave_all_as_it_was_and_are_told_of(
    reloads, supervisor, settings, registry
) -> None:
    settings.error = "settings file x.toml is not valid TOML"
    reloads.hangup()
    await _settle()
    assert supervisor.replaced == 0
    assert _counted(registry)["failed"] == 1
    assert supervisor.notes == [f"a reload failed, v1 is still served: {settings.error}"]


async def test_who_asks_is_told_both_versions(reloads, supervisor, registry) -> None:
    worker = FakeWorker()
    reloads.asked(worker, ReloadAsked(7))
    assert await worker.told.get() == ReloadAnswer(7, Reloaded("v1", "v2"))
    assert supervisor.notes == [""]
    assert _counted(registry) == {"loaded": 1, "unchanged": 0, "failed": 0}


async def test_who_asks_for_what_is_served_is_told_so_and_nothing_is_replaced(
    reloads, supervisor, registry
) -> None:
    (supervisor.model.source / MANIFEST_FILE).write_text("old")
    worker = FakeWorker()
    reloads.asked(worker, ReloadAsked(0))
    assert await worker.told.get() == ReloadAnswer(0, Reloaded("v1", "v1"))
    assert supervisor.replaced == 0
    assert _counted(registry) == {"loaded": 0, "unchanged": 1, "failed": 0}


async def test_a_hangup_replaces_workers_even_so(reloads, supervisor) -> None:
    (supervisor.model.source / MANIFEST_FILE).write_text("old")
    reloads.hangup()
    await _settle()
    assert supervisor.replaced == 1


async def test_what_is_wrong_is_said_to_who_asks_and_in_the_health(
    reloads, supervisor, registry
) -> None:
    supervisor.error = "the bundle is damaged"
    worker = FakeWorker()
    reloads.asked(worker, ReloadAsked(0))
    answer = await worker.told.get()
    assert answer.result == ReloadFailed("v1 is still served: the bundle is damaged")
    assert supervisor.notes == ["a reload failed, v1 is still served: the bundle is damaged"]
    assert _counted(registry) == {"loaded": 0, "unchanged": 0, "failed": 1}


async def test_going_back_to_what_is_served_takes_the_note_away(reloads, supervisor) -> None:
    supervisor.error = "the bundle is damaged"
    reloads.changed()
    await _settle()
    (supervisor.model.source / MANIFEST_FILE).write_text("old")
    reloads.changed()
    await _settle()
    assert supervisor.notes[-1] == ""


async def test_a_second_client_is_refused_while_one_is_served(reloads, supervisor) -> None:
    supervisor.go_on.clear()
    first, second = FakeWorker(), FakeWorker()
    reloads.asked(first, ReloadAsked(0))
    reloads.asked(second, ReloadAsked(0))
    assert (await second.told.get()).result == BUSY
    await _settle()
    reloads.asked(second, ReloadAsked(1))
    assert await second.told.get() == ReloadAnswer(1, BUSY)
    supervisor.go_on.set()
    assert (await first.told.get()).result == Reloaded("v1", "v2")
    assert supervisor.replaced == 1


async def test_hangups_during_a_reload_are_one_more_reload(reloads, supervisor) -> None:
    supervisor.go_on.clear()
    reloads.hangup()
    await _settle()
    for _ in range(5):
        reloads.hangup()
    supervisor.go_on.set()
    await _settle()
    assert supervisor.replaced == 2
