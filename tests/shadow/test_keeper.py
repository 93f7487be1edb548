"""The candidate's process is kept running, and never keeps anything else from it."""

import itertools
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from rt_predictor.errors import EXIT_CANNOT_START
from rt_predictor.settings import Settings
from rt_predictor.shadow import keeper as module
from rt_predictor.shadow.keeper import ShadowKeeper, shadow_beside
from tests.waiting import PATIENCE_S, until


class FakeProcess:
    """Lives until it is told to end."""

    def __init__(self, *, stubborn: bool = False) -> None:
        self.exitcode: int | None = None
        self.stubborn = stubborn
        self.ended = threading.Event()

    def end(self, exit_code: int) -> None:
        self.exitcode = exit_code
        self.ended.set()

    def join(self, timeout: float | None = None) -> None:
        self.ended.wait(timeout)

    def is_alive(self) -> bool:
        return not self.ended.is_set()

    def terminate(self) -> None:
        if not self.stubborn:
            self.end(-15)

    def kill(self) -> None:
        self.end(-9)


@dataclass
class Bundle:
    """What is in the candidate's folder, and the processes that were started for it."""

    content: str = "first"
    stubborn: bool = False
    processes: list[FakeProcess] = field(default_factory=list)

    def start(self) -> FakeProcess:
        process = FakeProcess(stubborn=self.stubborn)
        self.processes.append(process)
        return process

    def after(self, count: int) -> FakeProcess:
        """The last process, once so many were started."""
        until(lambda: len(self.processes) == count)
        return self.processes[-1]


@pytest.fixture(autouse=True)
def _hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("FIRST_PAUSE_S", 0.01), ("LONGEST_PAUSE_S", 0.02), ("LOOK_S", 0.01)):
        monkeypatch.setattr(module, name, value)
    monkeypatch.setattr(module, "STOP_WITHIN_S", 0.05)


@pytest.fixture
def bundle() -> Bundle:
    return Bundle()


@pytest.fixture
def keeper(bundle: Bundle) -> Iterator[ShadowKeeper]:
    keeper = ShadowKeeper(bundle.start, lambda: bundle.content)  # type: ignore[arg-type, return-value]
    keeper.start()
    yield keeper
    keeper.stop()
    assert not any(process.is_alive() for process in bundle.processes)


def test_a_process_that_dies_is_started_again(keeper: ShadowKeeper, bundle: Bundle) -> None:
    for count in (1, 2, 3):
        bundle.after(count).end(-9)
    assert bundle.after(4).is_alive()


def test_one_that_cannot_start_stays_away_until_there_is_another_bundle(
    keeper: ShadowKeeper, bundle: Bundle
) -> None:
    bundle.after(1).end(EXIT_CANNOT_START)
    time.sleep(0.1)  # ten pauses: another start would have come
    assert len(bundle.processes) == 1
    bundle.content = "second"
    assert bundle.after(2).is_alive()


def test_another_bundle_is_taken_up_once_it_is_whole(keeper: ShadowKeeper, bundle: Bundle) -> None:
    first = bundle.after(1)
    looked = itertools.count()
    writing = threading.Event()
    writing.set()
    keeper._look = lambda: next(looked) if writing.is_set() else "whole"
    time.sleep(0.1)
    assert first.is_alive()
    writing.clear()
    assert bundle.after(2).is_alive()
    assert first.exitcode == -15


def test_one_that_does_not_stop_is_killed(bundle: Bundle) -> None:
    bundle.stubborn = True
    keeper = ShadowKeeper(bundle.start, lambda: bundle.content)  # type: ignore[arg-type, return-value]
    keeper.start()
    process = bundle.after(1)
    keeper.stop()
    assert process.exitcode == -9


def test_where_no_process_can_be_had_there_is_none() -> None:
    def start() -> FakeProcess:
        raise OSError("no more processes")

    keeper = ShadowKeeper(start, lambda: None)  # type: ignore[arg-type, return-value]
    keeper.start()
    keeper._thread.join(PATIENCE_S)
    assert not keeper._thread.is_alive()
    keeper.stop()


def test_without_a_path_there_is_no_candidate() -> None:
    with shadow_beside(Settings()) as place:
        assert place is None


def test_a_change_of_any_file_of_a_bundle_is_seen(tmp_path: Path) -> None:
    seen = [module._files(tmp_path / "none"), module._files(tmp_path)]
    (tmp_path / "a").write_text("1")
    seen.append(module._files(tmp_path))
    (tmp_path / "a").write_text("12")
    seen.append(module._files(tmp_path))
    assert module._files(tmp_path) == seen[-1]
    assert all(one != other for n, one in enumerate(seen) for other in seen[:n])
