"""How many calls one worker takes on."""

import asyncio

import pytest

from rt_predictor.api.admission import RETRY_AFTER_S, Admission
from rt_predictor.errors import DrainingError, OverloadedError


async def test_a_call_too_many_is_turned_away_until_one_leaves() -> None:
    admission = Admission(2)
    admission.enter()
    admission.enter()
    with pytest.raises(OverloadedError) as raised:
        admission.enter()
    assert raised.value.retry_after_s == RETRY_AFTER_S
    assert admission.in_progress == 2
    admission.leave()
    admission.enter()


async def test_nothing_is_taken_on_once_it_is_closed() -> None:
    admission = Admission(2)
    admission.enter()
    admission.close()
    with pytest.raises(DrainingError):
        admission.enter()
    assert admission.in_progress == 1


async def test_it_is_idle_once_the_last_call_has_left() -> None:
    admission = Admission(2)
    await admission.idle()
    admission.enter()
    admission.enter()
    idle = asyncio.create_task(admission.idle())
    admission.leave()
    await asyncio.sleep(0)
    assert not idle.done()
    admission.leave()
    await idle


async def test_who_asked_is_told_once_draining_begins() -> None:
    admission = Admission(2)
    told: list[str] = []
    admission.when_draining(lambda: told.append("stays"))
    forget = admission.when_draining(lambda: told.append("leaves"))
    forget()
    admission.drain()
    assert told == ["stays"]
