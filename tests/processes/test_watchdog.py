"""Whom the watchdog takes for hung, look by look."""

from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, Counter

from rt_predictor.processes import watchdog as module
from rt_predictor.processes.signals import SIGNAL
from rt_predictor.processes.watchdog import LOOKS, Watchdog


class FakeWorker:
    """A worker whose event loop turns, or not."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.turns = True
        self.answers = True
        self.pings = 0
        self.done: list[object] = []

    def ping(self) -> None:
        assert self.answers, "a second ping before the answer to the first"
        self.pings += 1
        self.answers = self.turns

    def signal(self, number: int) -> None:
        self.done.append(number)

    def kill(self) -> None:
        self.done.append("KILL")


class Pack:
    """A watchdog and what it looks after."""

    def __init__(self, directory: Path) -> None:
        self.registry = CollectorRegistry()
        self.workers = [FakeWorker(0), FakeWorker(1)]
        hung = Counter("hung", "Hung.", registry=self.registry)
        self.watchdog = Watchdog(lambda: self.workers, 30.0, directory, hung)

    async def look(self, times: int = 1) -> None:
        for _ in range(times):
            await self.watchdog.look()

    @property
    def hung(self) -> float | None:
        return self.registry.get_sample_value("hung_total")


@pytest.fixture
def pack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pack:
    monkeypatch.setattr(module, "TRACEBACK_S", 0.0)
    return Pack(tmp_path)


async def test_workers_that_answer_are_left_alone(pack: Pack) -> None:
    await pack.look(3 * LOOKS)
    assert [worker.pings for worker in pack.workers] == [3 * LOOKS] * 2
    assert [worker.done for worker in pack.workers] == [[], []]
    assert pack.hung == 0


async def test_one_that_is_silent_for_that_many_looks_is_asked_where_and_killed(pack: Pack) -> None:
    silent, other = pack.workers
    silent.turns = False
    await pack.look(LOOKS)
    assert silent.done == []
    await pack.look()
    assert silent.done == [SIGNAL, "KILL"]
    assert (other.done, pack.hung) == ([], 1)


async def test_one_that_answers_late_begins_anew(pack: Pack) -> None:
    slow = pack.workers[0]
    for _ in range(3):
        slow.turns = False
        await pack.look(LOOKS)
        slow.answers = slow.turns = True
        await pack.look()
    assert slow.done == []


async def test_one_that_stops_is_no_longer_counted(pack: Pack) -> None:
    stopping = pack.workers[0]
    stopping.turns = False
    await pack.look(LOOKS)
    pack.workers = pack.workers[1:]
    await pack.look(2 * LOOKS)
    assert stopping.done == []


async def test_the_next_one_in_its_place_begins_anew(pack: Pack) -> None:
    pack.workers[0].turns = False
    await pack.look(LOOKS + 1)
    pack.workers[0] = successor = FakeWorker(0)
    successor.turns = False
    await pack.look(LOOKS)
    assert successor.done == []
