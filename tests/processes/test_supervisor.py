"""What the supervisor does when workers start, die, are replaced and stop."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from rt_predictor.errors import ReloadError
from rt_predictor.model.files import MANIFEST_FILE
from rt_predictor.observability.worker_metrics import WorkerMetrics
from rt_predictor.processes import slot
from rt_predictor.processes import supervisor as module
from rt_predictor.processes.messages import ReadingHistory, Ready, ReloadNote, ToWorker
from rt_predictor.processes.served_model import OPEN_TO_ALL
from rt_predictor.processes.supervisor import CannotStartError, Patience, Supervisor
from rt_predictor.processes.worker import Start
from rt_predictor.processes.worker_process import OnExit
from rt_predictor.settings import SecuritySettings


class FakeWorker:
    """A worker that does what the test says."""

    def __init__(self, number: int, on_exit: OnExit, start: Start) -> None:
        self.number = number
        self.start = start
        self.failure = ""
        self.history = ReadingHistory(0, 0)
        self.told: list[ToWorker] = []
        self.ready: Ready | None = None
        self.exited = asyncio.Event()
        self.exit_code: int | None = None
        self.signals: list[str] = []
        self.obeys = True
        self.stopping = False
        self._on_exit = on_exit
        self._settled = asyncio.Event()

    @property
    def serves(self) -> bool:
        return self.ready is not None and not self.exited.is_set()

    async def started(self) -> Ready | None:
        await self._settled.wait()
        return self.ready

    def wait(self) -> None:
        """Neither ready nor ended, until the test says so."""

    def succeed(self) -> None:
        """Serves; the version is that of the copy, which the first worker makes."""
        if self.start.takes:
            self.start.model.take()
        self.ready = Ready((self.start.model.copy / MANIFEST_FILE).read_text())
        self._settled.set()

    def end(self, exit_code: int) -> None:
        if self.exited.is_set():
            return
        self.exit_code = exit_code
        self.exited.set()
        self._settled.set()
        self._on_exit(self)

    def tell(self, message: ToWorker) -> None:
        self.told.append(message)

    def terminate(self) -> None:
        self.stopping = True
        self.signals.append("TERM")
        if self.obeys:
            self.end(0)

    def kill(self) -> None:
        self.signals.append("KILL")
        self.end(-9)


class Workers:
    """All workers ever started; `at_start` says what becomes of a new one."""

    def __init__(self) -> None:
        self.all: list[FakeWorker] = []
        self.at_start: Callable[[FakeWorker], None] = FakeWorker.succeed
        self._news = asyncio.Event()

    def start(self, number: int, on_exit: OnExit, start: Start) -> FakeWorker:
        assert number not in [worker.number for worker in self.all if not worker.exited.is_set()]
        worker = FakeWorker(number, on_exit, start)
        self.all.append(worker)
        asyncio.get_running_loop().call_soon(self.at_start, worker)
        self._news.set()
        return worker

    async def until_started(self, count: int) -> None:
        while len(self.all) < count:
            self._news.clear()
            await self._news.wait()
        await _settle()

    @property
    def alive(self) -> list[FakeWorker]:
        return [worker for worker in self.all if not worker.exited.is_set()]


async def _settle() -> None:
    for _ in range(50):
        await asyncio.sleep(0)


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses between starts; none is waited for."""
    taken: list[float] = []
    sleep = asyncio.sleep

    async def note(pause_s: float) -> None:
        if pause_s:
            taken.append(pause_s)
        await sleep(0)

    monkeypatch.setattr(module.asyncio, "sleep", note)
    return taken


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def workers() -> Workers:
    return Workers()


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A folder with a bundle whose manifest is its version."""
    folder = tmp_path / "source"
    folder.mkdir()
    put(folder, "v1")
    return folder


def put(folder: Path, version: str) -> None:
    (folder / MANIFEST_FILE).write_text(version)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    folder = tmp_path / "directory"
    folder.mkdir()
    return folder


@pytest.fixture
async def supervisor(workers: Workers, registry: CollectorRegistry, directory: Path, source: Path):
    supervisor = Supervisor(
        workers.start, WorkerMetrics(registry), directory, source, Patience(1e6, 1e6, 0)
    )
    supervisor.keeping = None
    yield supervisor
    if supervisor.keeping is not None:
        supervisor.keeping.cancel()
        await asyncio.gather(supervisor.keeping, return_exceptions=True)


async def _keep(supervisor: Supervisor) -> asyncio.Task[None]:
    supervisor.keeping = asyncio.create_task(supervisor.keep())
    await _settle()
    return supervisor.keeping


async def test_it_starts_as_many_as_asked_and_counts_them(supervisor, workers, registry) -> None:
    await supervisor.start(3)
    assert supervisor.model_version == "v1"
    assert [worker.number for worker in workers.alive] == [0, 1, 2]
    assert registry.get_sample_value("rt_predictor_workers_up") == 3
    assert registry.get_sample_value("rt_predictor_workers_wanted") == 3


async def test_the_second_starts_only_once_the_first_is_ready(supervisor, workers) -> None:
    workers.at_start = FakeWorker.wait
    starting = asyncio.create_task(supervisor.start(3))
    await _settle()
    assert len(workers.all) == 1
    workers.all[0].succeed()
    await _settle()
    assert len(workers.all) == 3
    workers.all[1].succeed()
    workers.all[2].succeed()
    await starting


@pytest.mark.parametrize("exit_code", [3, 1, -11])
async def test_what_keeps_the_first_from_starting_ends_it_all(
    supervisor, workers, exit_code: int
) -> None:
    workers.at_start = lambda worker: worker.end(exit_code)
    with pytest.raises(CannotStartError) as raised:
        await supervisor.start(3)
    assert raised.value.exit_code == exit_code
    assert len(workers.all) == 1


async def test_the_dead_are_started_again(supervisor, workers, registry, pauses) -> None:
    await supervisor.start(2)
    await _keep(supervisor)
    workers.all[0].end(-9)
    await workers.until_started(3)
    assert [worker.number for worker in workers.alive] == [1, 0]
    assert registry.get_sample_value("rt_predictor_workers_up") == 2
    assert registry.get_sample_value("rt_predictor_worker_restarts_total") == 1
    assert pauses == [slot.FIRST_PAUSE_S]


async def test_pauses_grow_while_starts_are_in_vain_up_to_a_limit(
    supervisor, workers, pauses
) -> None:
    await supervisor.start(2)
    await _keep(supervisor)
    workers.at_start = lambda worker: worker.end(1)
    workers.all[0].end(-9)
    await workers.until_started(12)
    assert pauses[:4] == [0.5, 1.0, 2.0, 4.0]
    assert max(pauses) == slot.LONGEST_PAUSE_S


async def test_a_worker_that_lived_long_is_started_again_soon(
    supervisor, workers, pauses, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slot, "STABLE_S", -1.0)
    await supervisor.start(1)
    await _keep(supervisor)
    for count in range(2, 6):
        workers.all[-1].end(-9)
        await workers.until_started(count)
    assert set(pauses) == {slot.FIRST_PAUSE_S}


async def test_others_go_on_while_one_cannot_start_again(supervisor, workers, pauses) -> None:
    await supervisor.start(2)
    keeping = await _keep(supervisor)
    workers.at_start = lambda worker: worker.end(3)
    workers.all[0].end(-9)
    await workers.until_started(6)
    assert not keeping.done()
    assert workers.all[1].serves


async def test_once_one_has_served_it_never_gives_up(supervisor, workers, pauses) -> None:
    await supervisor.start(2)
    keeping = await _keep(supervisor)
    workers.at_start = lambda worker: worker.end(3)
    workers.all[0].end(-9)
    workers.all[1].end(-9)
    await workers.until_started(12)
    workers.at_start = FakeWorker.succeed
    await workers.until_started(14)
    assert sum(worker.serves for worker in workers.all) == 2
    assert not keeping.done()


@pytest.mark.parametrize("exit_code", [3, 1, -9])
async def test_a_worker_killed_at_its_start_takes_down_none_that_serves(
    supervisor, workers, pauses, exit_code: int
) -> None:
    workers.at_start = lambda worker: worker.end(exit_code) if worker.number else worker.succeed()
    await supervisor.start(2)
    await _keep(supervisor)
    assert workers.all[0].serves
    workers.at_start = FakeWorker.succeed
    await workers.until_started(3)
    assert sum(worker.serves for worker in workers.all) == 2


async def test_a_process_that_the_system_does_not_give_is_asked_for_again(
    supervisor, workers, pauses, monkeypatch: pytest.MonkeyPatch
) -> None:
    await supervisor.start(2)
    keeping = await _keep(supervisor)
    start, refused = supervisor._start_worker, [OSError(24, "Too many open files")] * 3

    def starved(*arguments: object) -> FakeWorker:
        if refused:
            raise refused.pop()
        return start(*arguments)

    monkeypatch.setattr(supervisor, "_start_worker", starved)
    workers.all[0].end(-9)
    await workers.until_started(3)
    assert pauses == [0.5, 1.0, 2.0, 4.0]
    assert sum(worker.serves for worker in workers.all) == 2
    assert not keeping.done()


async def test_a_replacement_that_the_system_does_not_give_leaves_all_as_it_was(
    supervisor, workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    await supervisor.start(2)

    def starved(*_arguments: object) -> FakeWorker:
        raise OSError(12, "Cannot allocate memory")

    monkeypatch.setattr(supervisor, "_start_worker", starved)
    with pytest.raises(ReloadError, match="no worker can be started: Cannot allocate memory"):
        await supervisor.replace_all()
    assert [worker.serves for worker in workers.all] == [True, True]


async def test_a_crash_of_all_is_no_reason_to_give_up(supervisor, workers, pauses) -> None:
    await supervisor.start(2)
    keeping = await _keep(supervisor)
    workers.all[0].end(-11)
    workers.all[1].end(-11)
    await workers.until_started(4)
    assert len(workers.alive) == 2
    assert not keeping.done()


async def test_all_are_replaced_the_new_one_up_before_the_old_one_goes(
    supervisor, workers, registry
) -> None:
    await supervisor.start(2)
    await _keep(supervisor)
    old = list(workers.all)
    workers.at_start = FakeWorker.wait
    replacing = asyncio.create_task(supervisor.replace_all())
    await _settle()
    assert old == workers.alive[:2]
    workers.all[2].succeed()
    await _settle()
    assert old[0].signals == ["TERM"]
    assert old[1].signals == []
    workers.all[3].succeed()
    await replacing
    await _settle()
    assert workers.alive == workers.all[2:]
    assert len(workers.all) == 4
    assert registry.get_sample_value("rt_predictor_workers_up") == 2
    assert registry.get_sample_value("rt_predictor_worker_restarts_total") == 0


async def test_the_old_ones_stay_if_the_new_one_does_not_start(supervisor, workers) -> None:
    await supervisor.start(2)
    await _keep(supervisor)
    old = list(workers.all)
    workers.at_start = lambda worker: worker.end(3)
    with pytest.raises(ReloadError, match="ended at its start, exit code 3"):
        await supervisor.replace_all()
    assert workers.alive == old
    assert len(workers.all) == 3


async def test_a_worker_that_dies_while_it_is_replaced_is_not_replaced_twice(
    supervisor, workers, pauses
) -> None:
    await supervisor.start(1)
    await _keep(supervisor)
    workers.at_start = FakeWorker.wait
    replacing = asyncio.create_task(supervisor.replace_all())
    await _settle()
    workers.all[0].end(-9)
    await _settle()
    workers.all[1].succeed()
    await replacing
    await _settle()
    assert workers.alive == [workers.all[1]]
    assert len(workers.all) == 2
    assert pauses == []


async def test_a_replaced_worker_is_started_again_when_it_dies(supervisor, workers, pauses) -> None:
    await supervisor.start(1)
    await _keep(supervisor)
    await supervisor.replace_all()
    await _settle()
    workers.alive[0].end(-9)
    await workers.until_started(3)
    assert workers.alive == [workers.all[2]]


async def test_stopping_asks_all_and_waits_for_them(supervisor, workers) -> None:
    await supervisor.start(2)
    for worker in workers.all:
        worker.obeys = False
    stopping = asyncio.create_task(supervisor.stop(asyncio.Event()))
    await _settle()
    assert [worker.signals for worker in workers.all] == [["TERM"], ["TERM"]]
    workers.all[0].end(0)
    await _settle()
    assert not stopping.done()
    workers.all[1].end(0)
    await stopping


async def test_who_is_in_a_hurry_asks_again(supervisor, workers) -> None:
    await supervisor.start(1)
    workers.all[0].obeys = False
    hurry = asyncio.Event()
    stopping = asyncio.create_task(supervisor.stop(hurry))
    await _settle()
    hurry.set()
    await _settle()
    assert workers.all[0].signals == ["TERM", "TERM"]
    workers.all[0].end(0)
    await stopping


async def test_a_worker_that_does_not_stop_is_killed(
    workers, registry, directory: Path, source: Path
) -> None:
    supervisor = Supervisor(
        workers.start, WorkerMetrics(registry), directory, source, Patience(1e6, 0.0, 0)
    )
    await supervisor.start(1)
    workers.all[0].obeys = False
    await supervisor.stop(asyncio.Event())
    assert workers.all[0].signals == ["TERM", "KILL"]


async def test_the_gauges_of_a_dead_worker_go_and_its_counters_stay(
    supervisor, workers, directory: Path
) -> None:
    await supervisor.start(1)
    for name in ("gauge_livesum_0.db", "gauge_livemax_0.db", "counter_0.db"):
        (directory / name).touch()
    workers.all[0].end(-9)
    assert [path.name for path in directory.glob("*.db")] == ["counter_0.db"]


# another model


async def test_all_end_on_the_new_model_and_the_old_copy_is_gone(
    supervisor, workers, source: Path
) -> None:
    await supervisor.start(3)
    await _keep(supervisor)
    old = supervisor.model.copy
    put(source, "v2")
    done: list[str] = []
    await supervisor.replace_all(done=done.append)
    assert [worker.ready.model_version for worker in workers.alive] == ["v2"] * 3
    assert (supervisor.model_version, done) == ("v2", ["v2"])
    assert not old.exists()


async def test_only_the_first_takes_the_bundle_so_that_all_have_the_same(
    supervisor, workers, source: Path
) -> None:
    await supervisor.start(2)
    put(source, "v2")

    def first_then_the_folder_changes(worker: FakeWorker) -> None:
        worker.succeed()
        put(source, "v3")

    workers.at_start = first_then_the_folder_changes
    await supervisor.replace_all()
    assert [worker.ready.model_version for worker in workers.alive] == ["v2", "v2"]
    assert [worker.start.takes for worker in workers.all] == [True, False, True, False]
    assert all(worker.start.relieves for worker in workers.alive)


async def test_a_dead_worker_comes_back_with_what_is_served_whatever_the_folder_holds(
    supervisor, workers, source: Path, pauses
) -> None:
    await supervisor.start(2)
    await _keep(supervisor)
    put(source, "half written")
    workers.all[0].end(-9)
    await workers.until_started(3)
    assert [worker.ready.model_version for worker in workers.alive] == ["v1", "v1"]


@pytest.mark.parametrize("good", [0, 1, 2])
async def test_a_roll_that_fails_half_way_goes_back(
    supervisor, workers, source: Path, directory: Path, good: int
) -> None:
    await supervisor.start(3)
    await _keep(supervisor)
    put(source, "v2")
    started = 0

    def so_many_of_the_new(worker: FakeWorker) -> None:
        nonlocal started
        if worker.start.model is supervisor.model:
            worker.succeed()
            return
        started += 1
        if started <= good:
            worker.succeed()
        else:
            worker.failure = "the bundle is damaged"
            worker.end(3)

    workers.at_start = so_many_of_the_new
    done: list[str] = []
    with pytest.raises(ReloadError, match=r"^the bundle is damaged$"):
        await supervisor.replace_all(done=done.append)
    assert [worker.ready.model_version for worker in workers.alive] == ["v1"] * 3
    assert (supervisor.model_version, done) == ("v1", [])
    assert list(directory.glob("model-*")) == [supervisor.model.copy.parent]


async def test_what_cannot_go_back_at_once_is_started_again_with_the_old_model(
    supervisor, workers, source: Path, pauses
) -> None:
    await supervisor.start(2)
    await _keep(supervisor)
    put(source, "v2")
    ends = iter((None, 3, -9))

    def ends_as_told(worker: FakeWorker) -> None:
        exit_code = next(ends, None)
        if exit_code is None:
            worker.succeed()
        else:
            worker.end(exit_code)

    workers.at_start = ends_as_told
    with pytest.raises(ReloadError):
        await supervisor.replace_all()
    await workers.until_started(6)
    assert [worker.ready.model_version for worker in workers.alive] == ["v1", "v1"]


async def test_who_may_ask_changes_with_the_workers_and_stays_with_those_that_come_later(
    supervisor, workers, pauses
) -> None:
    stricter = SecuritySettings(max_calls_per_client=7)
    await supervisor.start(1)
    await _keep(supervisor)
    await supervisor.replace_all(security=stricter)
    await supervisor.replace_all()
    workers.alive[0].end(-9)
    await workers.until_started(4)
    told = [worker.start.model.security for worker in workers.all]
    assert told == [OPEN_TO_ALL, stricter, stricter, stricter]


async def test_who_may_ask_goes_back_with_a_roll_that_fails(
    supervisor, workers, source: Path
) -> None:
    await supervisor.start(2)
    exit_codes = iter((None, 3, None))

    def end_as_told(worker: FakeWorker) -> None:
        exit_code = next(exit_codes)
        worker.succeed() if exit_code is None else worker.end(exit_code)

    workers.at_start = end_as_told
    with pytest.raises(ReloadError):
        await supervisor.replace_all(security=SecuritySettings(max_calls_per_client=7))
    assert [worker.start.model.security for worker in workers.alive] == [OPEN_TO_ALL] * 2


async def test_who_asked_is_replaced_last_and_still_serves_when_it_is_done(
    supervisor, workers, source: Path
) -> None:
    await supervisor.start(3)
    asker = workers.all[0]
    put(source, "v2")
    seen: list[list[FakeWorker]] = []
    await supervisor.replace_all(asker, lambda _version: seen.append(list(workers.alive)))
    assert [worker for worker in seen[0] if worker.start.model is not supervisor.model] == [asker]
    assert asker.exited.is_set()


async def test_a_worker_that_does_not_become_ready_in_time_is_killed(
    workers, registry, directory: Path, source: Path
) -> None:
    supervisor = Supervisor(
        workers.start, WorkerMetrics(registry), directory, source, Patience(0.5, 1e6, 0)
    )
    await supervisor.start(1)
    workers.at_start = FakeWorker.wait
    with pytest.raises(ReloadError, match="0 events of history read, 0 left"):
        await supervisor.replace_all()
    assert workers.all[1].signals == ["KILL"]
    assert workers.alive == [workers.all[0]]


async def test_a_worker_that_reads_on_in_a_large_log_is_waited_for(
    workers, registry, directory: Path, source: Path
) -> None:
    patience_s = 0.1
    supervisor = Supervisor(
        workers.start, WorkerMetrics(registry), directory, source, Patience(patience_s, 1e6, 0)
    )
    await supervisor.start(1)

    def read_on(worker: FakeWorker, read: int = 1) -> None:
        """Takes ten times as long as any silence may."""
        if read == 100:
            worker.succeed()
            return
        worker.history = ReadingHistory(read, 100 - read)
        asyncio.get_running_loop().call_later(patience_s / 10, read_on, worker, read + 1)

    workers.at_start = read_on
    await supervisor.replace_all()
    assert workers.alive == [workers.all[1]]
    workers.at_start = lambda worker: setattr(worker, "history", ReadingHistory(7, 93))
    with pytest.raises(ReloadError, match=r"got no further .* 7 events of history read, 93 left"):
        await supervisor.replace_all()


async def test_a_model_that_crashes_can_be_replaced_between_two_starts(
    supervisor, workers, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await supervisor.start(1)
    await _keep(supervisor)
    monkeypatch.setattr(slot, "FIRST_PAUSE_S", 1e6)
    supervisor._slots[0]._pause_s = 1e6
    workers.all[0].end(-9)
    await _settle()
    put(source, "v2")
    await supervisor.replace_all()
    assert [worker.ready.model_version for worker in workers.alive] == ["v2"]


async def test_stopping_does_not_wait_for_a_worker_that_is_starting(supervisor, workers) -> None:
    await supervisor.start(1)
    workers.at_start = FakeWorker.wait
    replacing = asyncio.create_task(supervisor.replace_all())
    await _settle()
    replacing.cancel()
    await supervisor.stop(asyncio.Event())
    assert workers.all[1].signals == ["KILL"]
    assert workers.alive == []


async def test_only_workers_that_serve_and_are_not_to_end_are_watched(supervisor, workers) -> None:
    await supervisor.start(2)
    workers.at_start = FakeWorker.wait
    workers.all[0].obeys = False
    replacing = asyncio.create_task(supervisor.replace_all())
    await _settle()
    assert supervisor.watched() == workers.all[:2]
    workers.all[2].succeed()
    await _settle()
    assert workers.all[0].signals == ["TERM"]
    assert supervisor.watched() == workers.all[1:3]
    replacing.cancel()
    workers.all[0].end(0)


async def test_a_note_reaches_those_who_are_there_and_those_who_come(supervisor, workers) -> None:
    await supervisor.start(1)
    supervisor.note("a reload failed")
    assert workers.all[0].told == [ReloadNote("a reload failed")]
    await supervisor.replace_all()
    assert workers.all[1].start.note == "a reload failed"
