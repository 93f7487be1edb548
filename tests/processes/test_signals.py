"""Signals as events."""

import asyncio
import os
import signal

from rt_predictor.processes.signals import stop_signals


async def _send(*numbers: signal.Signals) -> None:
    for number in numbers:
        os.kill(os.getpid(), number)
        for _ in range(20):
            await asyncio.sleep(0)


async def test_the_first_signal_asks_and_the_second_insists() -> None:
    with stop_signals(hangup=lambda: None) as stop:
        assert not stop.asked.is_set()
        await _send(signal.SIGINT)
        assert stop.asked.is_set()
        assert not stop.insisted.is_set()
        await _send(signal.SIGTERM)
        assert stop.insisted.is_set()


async def test_a_worker_leaves_ctrl_c_to_its_supervisor() -> None:
    with stop_signals(hangup=lambda: None, interrupt=False) as stop:
        await _send(signal.SIGINT)
        assert not stop.asked.is_set()
        await _send(signal.SIGTERM)
        assert stop.asked.is_set()


async def test_hangup_is_passed_on() -> None:
    heard: list[str] = []
    with stop_signals(hangup=lambda: heard.append("hangup")) as stop:
        await _send(signal.SIGHUP, signal.SIGHUP)
        assert heard == ["hangup", "hangup"]
        assert not stop.asked.is_set()
