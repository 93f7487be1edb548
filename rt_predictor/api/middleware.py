"""What surrounds every call of the service: admission, statuses for errors, and metrics.

Methods are surrounded as they are registered: an interceptor of gRPC costs each call 15 us.
"""

import asyncio
import math
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from time import perf_counter
from typing import Any, Protocol, TypeAlias, cast

import grpc

from rt_predictor.api.admission import Admission
from rt_predictor.api.auth import authorised
from rt_predictor.api.backlog import METHOD
from rt_predictor.api.call import ID_HEADER, Call, use_request
from rt_predictor.api.call_log import SlowCalls, log_refused
from rt_predictor.api.large_messages import LargeContext, LargeMessages
from rt_predictor.api.shedding import Shedding
from rt_predictor.api.status import status_of
from rt_predictor.api.stream_limits import LimitedContext
from rt_predictor.api.v1 import rt_predictor_pb2 as pb
from rt_predictor.api.wire import checked, ready_made, tolerant
from rt_predictor.errors import (
    ClientLimitError,
    DeadlineExceededError,
    DrainingError,
    ForbiddenError,
    IdleStreamError,
    InvalidJobError,
    InvalidRequestError,
    OverloadedError,
    RTPredictorError,
    TooLargeError,
    UnauthenticatedError,
)
from rt_predictor.observability.metrics import MethodMetrics, Metrics
from rt_predictor.observability.spans import Tracer
from rt_predictor.security.gate import Gate
from rt_predictor.security.security import OPEN, Security

SERVICE: str = pb.DESCRIPTOR.services_by_name["RuntimePredictor"].full_name
_PREFIX = f"/{SERVICE}/"
_ALWAYS_ADMITTED = frozenset({"HealthCheck"})
"""Operators must be able to ask a service that is full or shutting down."""
_LARGE = frozenset({"PredictBatch", "PredictArrow", "RecordOutcomes", "RecordEvents"})
"""One message may have many jobs."""

SHED_RETRY_AFTER_S = 0.5
"""What callers are told to wait who are turned away because calls wait too long."""

_REJECTIONS: dict[type[Exception], str] = {
    OverloadedError: "overloaded",
    DrainingError: "draining",
    TooLargeError: "too_large",
    DeadlineExceededError: "deadline",
    ClientLimitError: "client_limit",
    IdleStreamError: "idle",
    UnauthenticatedError: "unauthenticated",
    ForbiddenError: "forbidden",
}

Context = grpc.aio.ServicerContext[Any, Any]
"""The context of a call of any method."""
_Behaviour = Callable[[Any, Context], Awaitable[Any]]
"""A unary method, or a stream that reads and writes through its context."""
_Deserializer = Callable[[bytes], Any]
_Serializer = Callable[[Any], bytes]
_MethodHandler: TypeAlias = "grpc.RpcMethodHandler[Any, Any] | None"
"""None for a method that does not exist."""
_Surround: TypeAlias = (
    "Callable[[str, grpc.RpcMethodHandler[Any, Any]], grpc.RpcMethodHandler[Any, Any]]"
)
_Handlers: TypeAlias = "grpc.GenericRpcHandler"
_Refusing: TypeAlias = "Callable[[str, RTPredictorError], grpc.RpcMethodHandler[Any, Any]]"


class Middleware:
    """Surrounds the methods of `RuntimePredictor`."""

    def __init__(
        self,
        admission: Admission,
        metrics: Metrics,
        *,
        slow_call_s: float = 0.0,
        tracer: Tracer | None = None,
        security: Security = OPEN,
        shedding: Shedding | None = None,
        large: LargeMessages | None = None,
    ) -> None:
        """What surrounds calls.

        Args:
            admission: how many calls are let in.
            metrics: where they are counted.
            slow_call_s: how long a `Predict` may take before it is logged; 0 logs none.
            tracer: what traces calls, if anything does.
            security: who may call, and how much.
            shedding: how many of the calls are turned away at once; None for none of them.
            large: how much of large messages is taken in at once; None for all of them.
        """
        self._shedding = shedding
        self._large = large
        self._admission = admission
        self._metrics = metrics
        self._slow = SlowCalls(slow_call_s)
        self._tracer = tracer
        self._gate = security.gate
        self._streams = security.streams

    def interceptors(self) -> tuple[grpc.aio.ServerInterceptor, ...]:
        """What must look at calls of all services, before anything of them is read."""
        if self._gate is None:
            return ()
        return (_EarlyGate(self._gate, self._refusing, self._shedding),)

    def registrar(self, server: grpc.aio.Server) -> grpc.aio.Server:
        """A stand-in for a server that generated code can register the methods with."""
        return cast(grpc.aio.Server, _Registrar(server, self._surround, self._guarded))

    def _surround(
        self, name: str, handler: "grpc.RpcMethodHandler[Any, Any]"
    ) -> "grpc.RpcMethodHandler[Any, Any]":
        if handler.response_streaming:
            make, behaviour = grpc.stream_stream_rpc_method_handler, handler.stream_stream
        elif handler.request_streaming:
            make, behaviour = grpc.stream_unary_rpc_method_handler, handler.stream_unary
        else:
            make, behaviour = grpc.unary_unary_rpc_method_handler, handler.unary_unary
        call = cast(_Behaviour, behaviour)
        deserialize = tolerant(cast(_Deserializer, handler.request_deserializer))
        if name in _LARGE and self._large is not None:
            if not handler.request_streaming:
                make, call = grpc.stream_stream_rpc_method_handler, _as_stream(call)
            call = self._bounded(call, deserialize)
            deserialize = bytes
        if handler.request_streaming and self._streams:
            call = self._kept_within_limits(call)
        door: _Door = _OPEN_DOOR if name in _ALWAYS_ADMITTED else self._admission
        if self._gate is not None:
            limited = name not in _ALWAYS_ADMITTED
            call = authorised(_PREFIX + name, _admitted(door, call), self._gate, limited=limited)
            door = _OPEN_DOOR
        return make(
            self._answered(name, call, self._metrics.methods[name], door),
            request_deserializer=deserialize,
            response_serializer=ready_made(cast(_Serializer, handler.response_serializer)),
        )

    def _guarded(self, handlers: _Handlers) -> _Handlers:
        """The same methods, of which some calls are turned away before anything is read of them."""
        if self._shedding is None:
            return handlers
        limited = [_PREFIX + name for name in self._metrics.methods if name not in _ALWAYS_ADMITTED]
        return _Shedder(handlers, self._shedding, {name: self._shed(name) for name in limited})

    def _shed(self, method: str) -> "grpc.RpcMethodHandler[Any, Any]":
        """A handler that turns calls away at the least cost: there are too many of them."""
        error = OverloadedError(SHED_RETRY_AFTER_S, "more calls come than can be answered")
        status = status_of(error)
        metrics = self._metrics.methods[method.removeprefix(_PREFIX)]

        async def shed(_request: Any, context: Context) -> None:
            metrics.finished(status.code.name, 0.0)
            self._count_error(error, status.code)
            # An exception, which `abort` raises, would cost as much as all of it.
            context.set_code(status.code)
            context.set_details(status.message)
            context.set_trailing_metadata(status.metadata)

        return grpc.stream_stream_rpc_method_handler(shed)

    def _refusing(self, method: str, error: RTPredictorError) -> "grpc.RpcMethodHandler[Any, Any]":
        """A handler of any method that refuses the call before it reads anything of it."""

        async def refuse(_request: Any, _context: Context) -> None:
            raise error

        async def abort(_request: Any, context: Context) -> None:
            status = status_of(error)
            self._count_error(error, status.code)
            await context.abort(status.code, status.message)

        name = method.removeprefix(_PREFIX)
        known = self._metrics.methods.get(name)
        return grpc.stream_stream_rpc_method_handler(
            abort if known is None else self._answered(name, refuse, known, _OPEN_DOOR)
        )

    def _bounded(self, behaviour: _Behaviour, decode: _Deserializer) -> _Behaviour:
        """A method of which large messages are read only where there is room for them."""
        large = self._large
        assert large is not None

        async def call(request: Any, context: Context) -> Any:
            bounded = LargeContext(context, large, decode)
            try:
                return await behaviour(request, cast(Context, bounded))
            finally:
                bounded.let_go(bounded.worked_on)

        return call

    def _kept_within_limits(self, behaviour: _Behaviour) -> _Behaviour:
        limits = self._streams

        async def call(request: Any, context: Context) -> Any:
            return await behaviour(request, cast(Context, LimitedContext(context, limits)))

        return call

    def _answered(
        self, name: str, behaviour: _Behaviour, metrics: MethodMetrics, door: "_Door"
    ) -> _Behaviour:
        active = self._metrics.active_connections
        slow, tracer = self._slow, self._tracer if name not in _ALWAYS_ADMITTED else None
        slow_from_s = slow.from_s if name == "Predict" else math.inf

        async def call(request: Any, context: Context) -> Any:
            started = perf_counter()
            this = Call(name, request, context)

            def count(status: str) -> None:
                """Before the client has its answer: what it then reads of the metrics is true."""
                active.dec()
                duration_s = perf_counter() - started
                metrics.finished(status, duration_s)
                this.end(status)
                if duration_s >= slow_from_s:
                    slow.log(this, status, duration_s)

            active.inc()
            this.begin(tracer)
            try:
                asked = checked(request)
                door.enter()
                try:
                    answer = await behaviour(asked, context)
                finally:
                    door.leave()
            except asyncio.CancelledError:
                count(_why_cancelled(context))
                raise
            except grpc.aio.InternalError as error:
                # gRPC could neither send nor read: the client has gone, and word of it is to come.
                count(_why_cancelled(context))
                with suppress(grpc.aio.InternalError):
                    await context.abort(grpc.StatusCode.CANCELLED, "the client has gone")
                raise asyncio.CancelledError from error
            except Exception as error:
                status = status_of(error)
                self._count_error(error, status.code)
                count(status.code.name)
                if status.code is not grpc.StatusCode.INTERNAL:
                    log_refused(this, error, status.code.name)
                named = (*status.metadata, (ID_HEADER, this.request_id))
                await context.abort(status.code, status.message, named)
            count("OK")
            return answer

        return call

    def _count_error(self, error: Exception, code: grpc.StatusCode) -> None:
        reason = _REJECTIONS.get(type(error))
        if reason is not None:
            self._metrics.rejected[reason].inc()
        elif isinstance(error, InvalidJobError):
            self._metrics.invalid_job(error.field)
        elif code is grpc.StatusCode.INTERNAL:
            self._metrics.internal_errors.inc()


def lean_registrar(server: grpc.aio.Server) -> grpc.aio.Server:
    """Return a stand-in for a server that generated code can register methods with as they are."""
    return cast(
        grpc.aio.Server, _Registrar(server, lambda _name, handler: handler, lambda all_: all_)
    )


def _as_stream(behaviour: _Behaviour) -> _Behaviour:
    """A unary method that reads its message, and writes its answer, by itself.

    On the wire it is the same. The message is not read before the method is called, and the answer
    is taken by the client, or the client gone, when it returns.
    """

    async def call(_request: Any, context: Context) -> None:
        message = await context.read()
        if message is grpc.aio.EOF:
            raise InvalidRequestError("the call has no message")
        request = checked(message)
        use_request(request)
        await context.write(await behaviour(request, context))

    return call


class _Door(Protocol):
    """Lets calls in, or raises; each that is let in leaves."""

    def enter(self) -> None: ...

    def leave(self) -> None: ...


class _OpenDoor:
    """Lets all in and counts none."""

    def enter(self) -> None:
        pass

    def leave(self) -> None:
        pass


_OPEN_DOOR = _OpenDoor()


def _admitted(door: _Door, behaviour: _Behaviour) -> _Behaviour:
    async def call(request: Any, context: Context) -> Any:
        door.enter()
        try:
            return await behaviour(request, context)
        finally:
            door.leave()

    return call


class _Registrar:
    """Hands methods on to a server, each surrounded, by name alone.

    gRPC waits for the next call of each method that is registered one by one, and sets all these
    waits up anew with every call of any method: 30 us for those of health and reflection.
    """

    def __init__(
        self,
        server: grpc.aio.Server,
        surround: _Surround,
        guarded: Callable[[_Handlers], _Handlers],
    ) -> None:
        self._server = server
        self._surround = surround
        self._guarded = guarded

    def add_generic_rpc_handlers(self, handlers: object) -> None:
        """They are made anew from the methods, which come by the other way."""

    def add_registered_method_handlers(
        self, service: str, methods: "Mapping[str, grpc.RpcMethodHandler[Any, Any]]"
    ) -> None:
        """Registers the methods of a service."""
        surrounded = {name: self._surround(name, handler) for name, handler in methods.items()}
        generic = grpc.method_handlers_generic_handler(service, surrounded)
        self._server.add_generic_rpc_handlers((self._guarded(generic),))


class _Shedder(grpc.GenericRpcHandler):
    """Methods of which calls are turned away as `Shedding` says, while nothing of them is read."""

    def __init__(
        self,
        handlers: _Handlers,
        shedding: Shedding,
        sheds: "Mapping[str, grpc.RpcMethodHandler[Any, Any]]",
    ) -> None:
        self._handlers = handlers
        self._shedding = shedding
        self._sheds = sheds

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> _MethodHandler:
        """The method's handler, or one that turns the call away."""
        self._shedding.begun += 1
        shed = self._sheds.get(handler_call_details.method)
        if shed is None or self._shedding.admits():
            return self._handlers.service(handler_call_details)
        return shed


class _EarlyGate(grpc.aio.ServerInterceptor):
    """Turns away callers of any service whose call need not be read for it."""

    def __init__(self, gate: Gate, refusing: _Refusing, shedding: Shedding | None) -> None:
        self._gate = gate
        self._refusing = refusing
        self._shedding = shedding

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[_MethodHandler]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> _MethodHandler:
        """The method's handler, or one that refuses."""
        method = handler_call_details.method
        if method == METHOD:  # does not exist, and is asked for by this process
            return await continuation(handler_call_details)
        try:
            self._gate.check_early(method, handler_call_details.invocation_metadata or ())
        except RTPredictorError as error:
            if self._shedding is not None:
                self._shedding.begun += 1
            return self._refusing(method, error)
        return await continuation(handler_call_details)


def _why_cancelled(context: Context) -> str:
    """gRPC cancels a call whose client has gone, and one whose deadline has passed."""
    remaining = context.time_remaining()
    return "DEADLINE_EXCEEDED" if remaining is not None and remaining <= 0 else "CANCELLED"
