"""The call in progress, as lines of the log and traces name it."""

import secrets
from contextvars import ContextVar
from typing import Any

import grpc
from google.protobuf.message import Message

from rt_predictor.observability.logging import one_line
from rt_predictor.observability.spans import CallSpan, Tracer, use_span
from rt_predictor.security.peers import unnamed_client
from rt_predictor.security.role import Role
from rt_predictor.security.roles import Caller

ID_HEADER = "x-request-id"
"""Metadata in which a client may name a call whose messages do not."""
_MAX_ID_CHARS = 128
_ID_FIELDS = ("request_id", "batch_id")

_current: ContextVar["Call | None"] = ContextVar("call", default=None)


class Call:
    """A call; made for each one, so all that costs time is looked up when it is asked for."""

    __slots__ = ("_context", "_id", "caller", "method", "request", "roles", "span")

    def __init__(
        self, method: str, request: object, context: "grpc.aio.ServicerContext[Any, Any]"
    ) -> None:
        """`request` is the message of a call that has only one."""
        self.method = method
        self.caller = ""
        """Name of the token or certificate that was shown; "" where none is asked for."""
        self.roles: frozenset[Role] | None = None
        """Of the caller; None where callers have none."""
        self.span: CallSpan | None = None
        """Where the call is traced."""
        self.request = request
        self._context = context
        self._id = ""

    def begin(self, tracer: Tracer | None) -> None:
        """Makes it the call of this task, and of tasks and work on threads that begin in it."""
        _current.set(self)
        if tracer is None:
            return
        self.span = tracer.call(self.method, self._context.invocation_metadata() or ())
        if self.span is not None:
            use_span(self.span)

    def end(self, status: str) -> None:
        """The call has ended with a gRPC status, given by name."""
        if self.span is not None:
            self.span.end(status)

    @property
    def request_id(self) -> str:
        """The client's id, as one line of bounded length; one made where there is none."""
        if not self._id:
            self._id = _shown(self._said()) or secrets.token_hex(8)
        return self._id

    @property
    def client(self) -> str:
        """Who calls, as events keep it: the caller, or how it is connected, as `Unnamed` says."""
        return self.caller or unnamed_client(self._context.peer())

    def fields(self) -> dict[str, str]:
        """What a line of the log has of the call."""
        known = {"method": self.method, "request_id": self.request_id}
        if self.span is not None:
            known["trace_id"] = self.span.trace_id
        if isinstance(self.request, Message):
            known["user"] = getattr(self.request, "user", "")
        return {name: value for name, value in known.items() if value}

    def _said(self) -> str:
        if isinstance(self.request, Message):
            for field in _ID_FIELDS:
                if said := getattr(self.request, field, ""):
                    return str(said)
        for name, value in self._context.invocation_metadata() or ():
            if name == ID_HEADER and isinstance(value, str):
                return value
        return ""


def use_request(request: object) -> None:
    """Says what the message is of the call in progress, where it was not known at its begin."""
    call = _current.get()
    if call is not None:
        call.request = request


def use_caller(caller: Caller) -> None:
    """Says who makes the call in progress."""
    call = _current.get()
    if call is not None:
        call.caller, call.roles = caller.name, caller.roles


def may_explain() -> bool:
    """Return whether who makes the call in progress may be told where an answer comes from."""
    call = _current.get()
    return call is None or call.roles is None or Role.EXPLAIN in call.roles


def calling_client() -> str:
    """`Call.client` of the call in progress."""
    call = _current.get()
    return "" if call is None else call.client


def call_fields() -> dict[str, str]:
    """What a line of the log has of the call in progress; nothing outside of calls."""
    call = _current.get()
    return {} if call is None else call.fields()


def _shown(text: str) -> str:
    clipped = text if len(text) <= _MAX_ID_CHARS else f"{text[:_MAX_ID_CHARS]}..."
    # ASCII: it travels back in metadata, which takes nothing else.
    return one_line(clipped).encode("ascii", "backslashreplace").decode()
