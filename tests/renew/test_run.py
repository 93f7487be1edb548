"""The loop around rounds: one process, errors that pass, and signals."""

import os
import signal
from pathlib import Path

import pytest

from rt_predictor.errors import HistoryError, StartupError
from rt_predictor.eventlog.files import try_lock
from rt_predictor.renew.renewer import DAY_S, Renewer
from rt_predictor.renew.run import LOOK_S, run
from tests.renew.sites import Site


@pytest.fixture
def site(tmp_path: Path) -> Site:
    site = Site(tmp_path).made()
    site.record(0, 10)
    return site


class Rounds:
    """Stands in for the rounds of a renewer, and for the time between them."""

    def __init__(self, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
        self.renewer = site.renewer()
        self.done = 0
        self.slept_s: list[float] = []
        self.wait_s = 0.0
        self.error: Exception | None = None
        self.stop_after = 1000
        monkeypatch.setattr(Renewer, "round", lambda _: self._round())
        monkeypatch.setattr(Renewer, "wait_s", lambda _: self.wait_s)

    def _round(self) -> None:
        self.done += 1
        if self.error is not None:
            raise self.error

    def sleep(self, seconds: float) -> None:
        self.slept_s.append(seconds)
        if len(self.slept_s) == self.stop_after:
            os.kill(os.getpid(), signal.SIGTERM)


@pytest.fixture
def rounds(site: Site, monkeypatch: pytest.MonkeyPatch) -> Rounds:
    return Rounds(site, monkeypatch)


def test_once_does_one_round_and_returns(site: Site, rounds: Rounds) -> None:
    assert not run(rounds.renewer, site.settings, once=True, sleep=rounds.sleep)
    assert (rounds.done, rounds.slept_s) == (1, [])


def test_once_tells_of_an_error(site: Site, rounds: Rounds) -> None:
    rounds.error = HistoryError("it is damaged")
    with pytest.raises(HistoryError, match="it is damaged"):
        run(rounds.renewer, site.settings, once=True, sleep=rounds.sleep)


def test_an_error_is_told_of_and_the_round_tried_again(
    site: Site, rounds: Rounds, capsys: pytest.CaptureFixture[str]
) -> None:
    rounds.error, rounds.stop_after = HistoryError("it is damaged"), 2
    run(rounds.renewer, site.settings, once=False, sleep=rounds.sleep)
    assert (rounds.done, rounds.slept_s) == (2, [LOOK_S, LOOK_S])
    said = capsys.readouterr().err
    assert said.count("the renewal will be tried again reason=it is damaged") == 2
    assert "stopped" in said.splitlines()[-1]


def test_between_rounds_it_looks_at_the_clock_now_and_then(site: Site, rounds: Rounds) -> None:
    rounds.wait_s, rounds.stop_after = 2 * DAY_S, 1
    run(rounds.renewer, site.settings, once=False, sleep=rounds.sleep)
    assert (rounds.done, rounds.slept_s) == (0, [LOOK_S])
    rounds.wait_s, rounds.slept_s = 10.0, []
    run(rounds.renewer, site.settings, once=False, sleep=rounds.sleep)
    assert rounds.slept_s == [10.0]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_a_round_wherever_it_is(
    site: Site, rounds: Rounds, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    reached: list[str] = []

    def round_() -> None:
        os.kill(os.getpid(), number)
        reached.append("the end of the round")

    monkeypatch.setattr(Renewer, "round", lambda _: round_())
    before = signal.getsignal(number)
    assert run(rounds.renewer, site.settings, once=False, sleep=rounds.sleep)
    assert (reached, rounds.slept_s) == ([], [])
    assert signal.getsignal(number) is before
    run_again = site.renewer()
    monkeypatch.setattr(Renewer, "round", lambda _: None)
    run(run_again, site.settings, once=True)  # the lock is free again


def test_one_process_renews_at_a_time(site: Site, rounds: Rounds) -> None:
    site.folders.own.mkdir(parents=True)
    with try_lock(site.folders.lock) as held:
        assert held
        with pytest.raises(StartupError, match=r"another process renews .* already"):
            run(rounds.renewer, site.settings, once=True)
    assert rounds.done == 0


def test_a_service_that_does_not_watch_its_folder_is_warned_of(
    site: Site, rounds: Rounds, capsys: pytest.CaptureFixture[str]
) -> None:
    run(rounds.renewer, site.settings, once=True)
    assert "model.watch is off" in capsys.readouterr().err
    watching = site.settings.with_overrides({"model.watch": True})
    run(rounds.renewer, watching, once=True)
    assert "model.watch" not in capsys.readouterr().err


def test_a_place_that_cannot_be_written_is_said_at_once(site: Site, rounds: Rounds) -> None:
    site.folders.own.write_text("a file")
    with pytest.raises(StartupError, match=r"candidate\.renewal cannot be written"):
        run(rounds.renewer, site.settings, once=True)
