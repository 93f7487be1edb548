"""A worker's line to its supervisor, over a real pipe."""

import asyncio
from collections.abc import AsyncIterator
from multiprocessing import Pipe
from multiprocessing.connection import Connection

import pytest

from rt_predictor.api.reload import Reloaded, administration_is_off, cannot_reload
from rt_predictor.errors import AdminOffError, ReloadError
from rt_predictor.observability.health import State
from rt_predictor.processes.messages import (
    Ping,
    Pong,
    ReloadAnswer,
    ReloadAsked,
    ReloadFailed,
    ReloadNote,
)
from rt_predictor.processes.supervisor_line import SupervisorLine, reload_check
from tests.waiting import PATIENCE_S


@pytest.fixture
async def ends() -> AsyncIterator[tuple[SupervisorLine, Connection]]:
    """The worker's line, which listens, and the supervisor's end."""
    supervisors, workers = Pipe()
    line = SupervisorLine(workers)
    line.listen()
    yield line, supervisors
    line.hang_up()
    workers.close()
    supervisors.close()


async def _asked(supervisors: Connection) -> ReloadAsked:
    async with asyncio.timeout(PATIENCE_S):
        while not supervisors.poll():
            await asyncio.sleep(0)
    return supervisors.recv()


async def test_each_question_gets_its_own_answer(ends) -> None:
    line, supervisors = ends
    first, second = (asyncio.create_task(line.reload()) for _ in range(2))
    numbers = [(await _asked(supervisors)).number for _ in range(2)]
    supervisors.send(ReloadAnswer(numbers[1], Reloaded("v1", "v2")))
    supervisors.send(ReloadAnswer(numbers[0], ReloadFailed("damaged")))
    assert await second == Reloaded("v1", "v2")
    with pytest.raises(ReloadError, match=r"^damaged$"):
        await first


async def test_a_loop_that_turns_answers_a_ping(ends) -> None:
    _, supervisors = ends
    supervisors.send(Ping())
    assert await _asked(supervisors) == Pong()


async def test_an_answer_for_a_client_that_has_gone_is_passed_over(ends) -> None:
    line, supervisors = ends
    asking = asyncio.create_task(line.reload())
    question = await _asked(supervisors)
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    supervisors.send(ReloadAnswer(question.number, Reloaded("v1", "v2")))
    supervisors.send(ReloadNote("after it"))
    async with asyncio.timeout(PATIENCE_S):
        while line.note != "after it":
            await asyncio.sleep(0)


async def test_a_note_is_what_health_says_until_it_is_taken_back(ends) -> None:
    line, supervisors = ends
    check = reload_check(line)
    assert check().state is State.SERVING
    for note, state in (("a reload failed", State.DEGRADED), ("", State.SERVING)):
        supervisors.send(ReloadNote(note))
        async with asyncio.timeout(PATIENCE_S):
            while line.note != note:
                await asyncio.sleep(0)
        assert check().state is state
        assert note in check().message


async def test_without_a_supervisor_the_answer_says_why() -> None:
    supervisors, workers = Pipe()
    supervisors.close()
    with pytest.raises(ReloadError, match="supervisor of this worker is gone"):
        await SupervisorLine(workers).reload()
    workers.close()
    with pytest.raises(ReloadError, match="one process"):
        await cannot_reload()
    with pytest.raises(AdminOffError, match=r"server\.admin"):
        await administration_is_off()
