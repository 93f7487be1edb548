"""One local user who asks much does not silence the agent for others."""

import asyncio
import os
from itertools import count
from pathlib import Path

import pytest

from rt_predictor.agent import peers
from rt_predictor.agent.answers import AT_ONCE
from rt_predictor.agent.turns import Turns
from tests.agent.fakes import FakeService, job, running
from tests.waiting import PATIENCE_S

PLACES = 64
"""Calls in progress that there may be."""
OTHERS = 8


async def test_each_user_has_one_turn_after_the_other() -> None:
    turns = Turns(1)
    served: list[str] = []

    async def call(user: int, name: str) -> None:
        await turns.take(user)
        served.append(name)
        await asyncio.sleep(0)
        turns.give()

    greedy = [call(1, f"a{number}") for number in range(4)]
    await asyncio.gather(*greedy, call(2, "b0"), call(3, "c0"), call(2, "b1"))
    assert served == ["a0", "a1", "b0", "c0", "a2", "b1", "a3"]


async def test_who_no_longer_waits_holds_up_nobody() -> None:
    turns = Turns(1)
    await turns.take(1)
    gone, waiting = (asyncio.create_task(turns.take(user)) for user in (2, 3))
    await asyncio.sleep(0)
    gone.cancel()
    await asyncio.gather(gone, return_exceptions=True)
    turns.give()
    await asyncio.wait_for(waiting, PATIENCE_S)


async def test_the_kernel_says_who_is_connected(tmp_path: Path) -> None:
    told: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    def accept(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        told.set_result(peers.user_of(writer.transport))
        writer.transport.abort()

    async with await asyncio.start_unix_server(accept, tmp_path / "s"):
        _, writer = await asyncio.open_unix_connection(tmp_path / "s")
        assert await asyncio.wait_for(told, PATIENCE_S) == os.getuid()
        writer.transport.abort()


async def test_others_are_answered_while_one_user_asks_as_much_as_can_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    users = count()
    monkeypatch.setattr(peers, "user_of", lambda _transport: next(users))
    service = FakeService()
    service.gate.clear()
    async with running(service, tmp_path, max_in_flight=PLACES) as it, it.caller() as greedy:
        greedy.say(*(job(time_req=1000 + number) for number in range(PLACES)))
        await it.until(lines=PLACES, in_flight=PLACES)
        assert len(service.asked) == AT_ONCE
        for number in range(OTHERS):
            async with it.caller() as other:
                other.say(job(time_req=1 + number))
                await it.until(lines=PLACES + 1 + number)
                if number == OTHERS - 1:
                    service.gate.set()
                    assert "prediction" in await other.hear()
    order = [float(asked.time_req or 0) < 1000 for asked in service.asked]
    # All of the others come before the second of those of the greedy one that wait.
    assert sum(order[: AT_ONCE + OTHERS + 1]) == OTHERS
