"""Turns: whose call goes to the service next, where many users ask.

Few calls are with the service at once, so that none waits there behind those of somebody who asks
much. The others wait here, and each user has one turn after the other.
"""

import asyncio
from collections import OrderedDict, deque


class Turns:
    """Places for calls, given to owners in turn. Used by one event loop."""

    def __init__(self, turns: int) -> None:
        self._free = turns
        self._waiting: OrderedDict[int, deque[asyncio.Future[None]]] = OrderedDict()
        """Owner -> who waits, the first first; the owner whose turn is next comes first."""

    async def take(self, owner: int) -> None:
        """Return once there is a turn; `give` must follow."""
        if self._free:
            self._free -= 1
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(owner, deque()).append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.give()
            raise

    def give(self) -> None:
        """Give a turn back: to who is next, if anybody waits."""
        while self._waiting:
            owner, queue = self._waiting.popitem(last=False)
            turn = queue.popleft()
            if queue:
                self._waiting[owner] = queue
            if not turn.done():
                turn.set_result(None)
                return
        self._free += 1
