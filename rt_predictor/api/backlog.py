"""The backlog: how long calls wait in gRPC's core before our code sees them.

gRPC tells nobody, so a call of our own is sent after the others, through a socket that only this
user can reach, and takes its turn. It asks for a method that does not exist: nothing is served.

Where very many wait, gRPC's core breaks calls off, as CANCELLED, and tells nobody of that either;
but it counts the calls that come, so those that never got to our code are known.
"""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Final, TypeAlias

import grpc
from grpc._cython import cygrpc  # type: ignore[attr-defined]
from loguru import logger

from rt_predictor.api.shedding import Shedding

METHOD: Final = "/rt_predictor.Backlog/Measure"
LOOK_S: Final = 0.02
"""Time between two looks."""
_FEW_CALLS: Final = 4
"""Calls between two looks with which no backlog can build up."""
_LOST_S: Final = 2.0
"""Time after which a call of ours is given up."""
_OPTIONS: Final = (
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.enable_http_proxy", 0),
    ("grpc.max_reconnect_backoff_ms", 100),
)

_Measure: TypeAlias = "grpc.aio.UnaryUnaryMultiCallable[bytes, bytes]"


class BacklogProbe:
    """Looks how long calls wait, while there are many. Used by one event loop."""

    def __init__(self, shedding: Shedding, socket: Path) -> None:
        """Look at nothing before `run`; `socket` is where the server listens for our own calls."""
        self._shedding = shedding
        self._socket = socket
        self._broken_off = 0
        self._missing = 0

    @property
    def address(self) -> str:
        """The address that the server is to listen on, beside its port."""
        return f"unix:{self._socket}"

    def newly_broken_off(self) -> int:
        """Return how many more calls ended before our code saw them; 0 where that is not known.

        gRPC refused them, or their callers gave up first. Calls that wait look the same, so they
        are counted where none waits, twice in a row.
        """
        if not self._shedding.calm:
            self._missing = 0
            return 0
        missing = _arrived(str(self._socket)) - self._shedding.begun
        found = max(min(missing, self._missing) - self._broken_off, 0)
        self._missing = missing
        self._broken_off += found
        return found

    async def run(self, clock: Callable[[], float] = perf_counter) -> None:
        """Look, until it is cancelled."""
        async with grpc.aio.insecure_channel(self.address, options=_OPTIONS) as channel:
            measure: _Measure = channel.unary_unary(METHOD)
            asked, asked_s, seen = None, 0.0, 0
            while True:
                await asyncio.sleep(LOOK_S)
                calls, seen = self._shedding.asked - seen, self._shedding.asked
                if asked is None and calls < _FEW_CALLS:
                    self._shedding.look(0.0)
                    continue
                if asked is None:
                    asked, asked_s = asyncio.ensure_future(_turn(measure, clock)), clock()
                    continue
                self._shedding.look((asked.result() if asked.done() else clock()) - asked_s)
                if asked.done():
                    asked = None


async def _turn(
    measure: "grpc.aio.UnaryUnaryMultiCallable[bytes, bytes]", clock: Callable[[], float]
) -> float:
    """Send a call and return when it had its turn, or when gRPC said that it will have none."""
    try:
        await measure(b"", timeout=_LOST_S)
    except grpc.aio.AioRpcError as error:
        if error.code() is not grpc.StatusCode.UNIMPLEMENTED:
            logger.trace("a call of our own was lost", status=error.code().name)
            return clock() + _LOST_S
    return clock()


def _arrived(socket: str) -> int:
    """Calls that have come to the server that listens at a socket, as gRPC's core counts them."""
    known = json.loads(cygrpc.channelz_get_servers(0)).get("server", ())
    ours = (
        server for server in known if any(socket in at["name"] for at in server["listenSocket"])
    )
    return sum(int(server["data"].get("callsStarted", 0)) for server in ours)
