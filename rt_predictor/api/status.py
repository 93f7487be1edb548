"""What an error means to a client: a gRPC status and a message."""

import math
import secrets
from dataclasses import dataclass

import grpc
from loguru import logger

from rt_predictor.api.call import call_fields
from rt_predictor.errors import (
    RETRY_PUSHBACK_KEY,
    OverloadedError,
    RTPredictorError,
    outcome_of,
    traceback_text,
)

_MAX_MESSAGE_CHARS = 500
"""A status travels in HTTP headers, which are small; a client's text can be long."""


@dataclass(frozen=True)
class Status:
    """A gRPC status with its message and trailing metadata."""

    code: grpc.StatusCode
    message: str
    metadata: tuple[tuple[str, str], ...] = ()

    @property
    def number(self) -> int:
        """The code as its number on the wire."""
        number: int = self.code.value[0]
        return number


def status_of(error: BaseException, *, jobs: int = 0) -> Status:
    """The status of an error, by the one table in `errors`.

    An unforeseen error is logged under a new id, with the call and how many of its `jobs` it met;
    the client is told the id and nothing else.
    """
    code = grpc.StatusCode[outcome_of(error).grpc_status]
    if isinstance(error, RTPredictorError) and code is not grpc.StatusCode.INTERNAL:
        return Status(code, clipped(str(error)), _metadata(error))
    error_id = secrets.token_hex(8)
    fields: dict[str, object] = {**call_fields(), **({"jobs": jobs} if jobs else {})}
    logger.error("internal error", error_id=error_id, **fields, traceback=traceback_text(error))
    return Status(code, f"internal error {error_id}: the service's log tells more under this id")


def clipped(text: str) -> str:
    """The text, its middle left out where it is too long for a status."""
    if len(text) <= _MAX_MESSAGE_CHARS:
        return text
    half = _MAX_MESSAGE_CHARS // 2
    return f"{text[:half]} … {text[-half:]}"


def _metadata(error: RTPredictorError) -> tuple[tuple[str, str], ...]:
    if not isinstance(error, OverloadedError):
        return ()
    return (
        ("retry-after", str(math.ceil(error.retry_after_s))),
        (RETRY_PUSHBACK_KEY, str(math.ceil(error.retry_after_s * 1000))),
    )
