"""What surrounds every call of the service: admission, statuses for errors, and metrics.

Methods are surrounded as they are registered: an interceptor of gRPC costs each call 15 us.
"""

import asyncio
import math
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from time import perf_counter
from typing import Any, TypeAlias, cast

import grpc

from rt_predictor.api.call import ID_HEADER, Call
from rt_predictor.api.call_log import SlowCalls, log_refused
from rt_predictor.api.gated import gated
from rt_predictor.api.metered import MeteredContext
from rt_predictor.api.status import status_of
from rt_predictor.api.v1 import rt_predictor_pb2 as pb
from rt_predictor.api.wire import checked, ready_made, tolerant
from rt_predictor.errors import (
    ClientLimitError,
    DeadlineExceededError,
    DrainingError,
    ForbiddenError,
    IdleStreamError,
    InvalidJobError,
    OverloadedError,
    RTPredictorError,
    TooLargeError,
    UnauthenticatedError,
)
from rt_predictor.observability.metrics import MethodMetrics, Metrics
from rt_predictor.observability.spans import Tracer
from rt_predictor.security.gate import Gate
from rt_predictor.security.security import OPEN, Security
from rt_predictor.serving.admission import Admission

SERVICE: str = pb.DESCRIPTOR.services_by_name["RuntimePredictor"].full_name
_PREFIX = f"/{SERVICE}/"
_ALWAYS_ADMITTED = frozenset({"HealthCheck"})
"""Operators must be able to ask a service that is full or shutting down."""

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
_Refusing: TypeAlias = "Callable[[str, RTPredictorError], grpc.RpcMethodHandler[Any, Any]]"


class Surroundings:
    """Surrounds the methods of `RuntimePredictor`."""

    def __init__(
        self,
        admission: Admission,
        metrics: Metrics,
        *,
        slow_call_s: float = 0.0,
        tracer: Tracer | None = None,
        security: Security = OPEN,
    ) -> None:
        """What surrounds calls.

        Args:
            admission: how many calls are let in.
            metrics: where they are counted.
            slow_call_s: how long a `Predict` may take before it is logged; 0 logs none.
            tracer: what traces calls, if anything does.
            security: who may call, and how much.
        """
        self._admission = admission
        self._metrics = metrics
        self._slow = SlowCalls(slow_call_s)
        self._tracer = tracer
        self._gate = security.gate
        self._streams = security.streams

    def interceptors(self) -> tuple[grpc.aio.ServerInterceptor, ...]:
        """What must look at calls of all services, before anything of them is read."""
        return () if self._gate is None else (_EarlyGate(self._gate, self._refusing),)

    def registrar(self, server: grpc.aio.Server) -> grpc.aio.Server:
        """A stand-in for a server that generated code can register the methods with."""
        return cast(grpc.aio.Server, _Registrar(server, self._surround))

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
        if handler.request_streaming and self._streams:
            call = self._metered(call)
        limited = name not in _ALWAYS_ADMITTED
        if limited:
            call = self._admitted(call)
        if self._gate is not None:
            call = gated(_PREFIX + name, call, self._gate, limited=limited)
        return make(
            self._answered(name, call, self._metrics.methods[name]),
            request_deserializer=tolerant(cast(_Deserializer, handler.request_deserializer)),
            response_serializer=ready_made(cast(_Serializer, handler.response_serializer)),
        )

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
            abort if known is None else self._answered(name, refuse, known)
        )

    def _metered(self, behaviour: _Behaviour) -> _Behaviour:
        limits = self._streams

        async def call(request: Any, context: Context) -> Any:
            return await behaviour(request, cast(Context, MeteredContext(context, limits)))

        return call

    def _admitted(self, behaviour: _Behaviour) -> _Behaviour:
        admission = self._admission

        async def call(request: Any, context: Context) -> Any:
            admission.enter()
            try:
                return await behaviour(request, context)
            finally:
                admission.leave()

        return call

    def _answered(self, name: str, behaviour: _Behaviour, metrics: MethodMetrics) -> _Behaviour:
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
                answer = await behaviour(checked(request), context)
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


class _Registrar:
    """Hands methods on to a server, each surrounded."""

    def __init__(self, server: grpc.aio.Server, surround: _Surround) -> None:
        self._server = server
        self._surround = surround

    def add_generic_rpc_handlers(self, handlers: object) -> None:
        """They are made anew from the methods, which come by the other way."""

    def add_registered_method_handlers(
        self, service: str, methods: "Mapping[str, grpc.RpcMethodHandler[Any, Any]]"
    ) -> None:
        """Registers the methods of a service."""
        surrounded = {name: self._surround(name, handler) for name, handler in methods.items()}
        generic = grpc.method_handlers_generic_handler(service, surrounded)
        self._server.add_generic_rpc_handlers((generic,))


class _EarlyGate(grpc.aio.ServerInterceptor):
    """Turns away callers of any service whose call need not be read for it."""

    def __init__(self, gate: Gate, refusing: _Refusing) -> None:
        self._gate = gate
        self._refusing = refusing

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[_MethodHandler]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> _MethodHandler:
        """The method's handler, or one that refuses."""
        method = handler_call_details.method
        try:
            self._gate.check_early(method, handler_call_details.invocation_metadata or ())
        except RTPredictorError as error:
            return self._refusing(method, error)
        return await continuation(handler_call_details)


def _why_cancelled(context: Context) -> str:
    """gRPC cancels a call whose client has gone, and one whose deadline has passed."""
    remaining = context.time_remaining()
    return "DEADLINE_EXCEEDED" if remaining is not None and remaining <= 0 else "CANCELLED"
