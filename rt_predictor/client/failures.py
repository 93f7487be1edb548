"""Calls that failed: whether to make them again and when, and what went wrong in plain words."""

import random
import re

import grpc

from rt_predictor.client.access import trouble_of
from rt_predictor.errors import (
    RETRY_PUSHBACK_KEY,
    InvalidRequestError,
    RTPredictorError,
    ServiceError,
)

_ENDED_EARLY = "Internal error from Core"
"""Text of grpc.aio, under INTERNAL, for a stream that ended while the client was still writing: a
service that drains, a connection that was lost. What the service said of it is not to be had."""
_NO_CONNECTION = re.compile(r"failed to connect|connection refused|dns", re.IGNORECASE)


def retry_wait_s(error: grpc.aio.AioRpcError, backoff_s: float) -> float | None:
    """Return the pause before another attempt, in s; None where another one cannot help."""
    least_s = _pushback_s(error)
    match error.code():
        case grpc.StatusCode.UNAVAILABLE:
            least_s = least_s or 0.0
        case _ if was_ended(error):
            least_s = 0.0
        case grpc.StatusCode.RESOURCE_EXHAUSTED if least_s is not None:
            pass
        case _:
            return None
    # Jitter, so that clients that were turned away together do not come back together.
    return max(least_s, backoff_s) * random.uniform(1.0, 1.5)


def was_ended(error: grpc.aio.AioRpcError) -> bool:
    """Return whether a call ended without an answer, and without a word of why.

    A service that stops cancels what reaches it in its last moment. That a caller of ours cancelled
    it is another exception.
    """
    code = error.code()
    ended_early = code is grpc.StatusCode.INTERNAL and error.details() == _ENDED_EARLY
    return ended_early or code is grpc.StatusCode.CANCELLED


def _pushback_s(error: grpc.aio.AioRpcError) -> float | None:
    """Return after how many s the service says to try again; None where it does not say."""
    pushback_ms = str(dict(error.trailing_metadata() or ()).get(RETRY_PUSHBACK_KEY, ""))
    return float(pushback_ms) / 1000 if pushback_ms.isdecimal() else None


def service_error(error: grpc.aio.AioRpcError, target: str, timeout_s: float) -> RTPredictorError:
    """Return the meaning of a failed call, in one line."""
    code = error.code()
    details = " ".join((error.details() or "").split())
    if code is grpc.StatusCode.INVALID_ARGUMENT:
        return InvalidRequestError(details)
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        return late_error(target, timeout_s)
    if code is grpc.StatusCode.UNIMPLEMENTED:
        return ServiceError(f"{target} does not know this call: is it RT Predictor, and as new?")
    if was_ended(error):
        return ServiceError(f"{target} ended the call before it was answered: try again")
    if code is grpc.StatusCode.UNAVAILABLE and _NO_CONNECTION.search(details):
        return _no_connection(details, target)
    return ServiceError(f"{target}: {details or 'no details'} ({code.name})")


def late_error(target: str, timeout_s: float) -> ServiceError:
    """For a call that had no answer by its deadline."""
    return ServiceError(f"{target} did not answer within {timeout_s:g} s")


def _no_connection(details: str, target: str) -> ServiceError:
    trouble = trouble_of(details)
    if trouble is not None:
        return ServiceError(f"no secure connection to {target}: {trouble}")
    reason = details.rpartition(": ")[2]
    return ServiceError(
        f"no service answers at {target} ({reason}): check the address, or start one with "
        "`rt-predictor serve`"
    )
