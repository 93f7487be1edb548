"""Calls at the gate: who may not ask is told so, who may is counted while they ask."""

from collections.abc import Awaitable, Callable
from time import monotonic
from typing import Any

import grpc

from rt_predictor.api.call import use_caller
from rt_predictor.security.gate import Gate
from rt_predictor.security.peers import peer_key

_Context = grpc.aio.ServicerContext[Any, Any]
_Behaviour = Callable[[Any, _Context], Awaitable[Any]]


def authorised(method: str, behaviour: _Behaviour, gate: Gate, *, limited: bool) -> _Behaviour:
    """The method behind the gate.

    Args:
        method: "/package.Service/Method".
        behaviour: what it does.
        gate: decides who may call it.
        limited: whether its calls count towards what one client may ask.
    """
    limits = gate.limits if limited else None

    async def call(request: Any, context: _Context) -> Any:
        metadata = context.invocation_metadata() or ()
        caller = gate.check(method, metadata, context.auth_context)
        if caller is not None:
            use_caller(caller)
        if limits is None:
            return await behaviour(request, context)
        key = peer_key(context.peer()) if caller is None else caller.name
        limits.enter(key, monotonic())
        try:
            return await behaviour(request, context)
        finally:
            limits.leave(key)

    return call
