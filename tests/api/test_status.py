"""Errors to statuses."""

import grpc
import pytest
from loguru import logger

from rt_predictor.api.status import status_of
from rt_predictor.errors import (
    DeadlineExceededError,
    DrainingError,
    InvalidJobError,
    InvalidRequestError,
    OverloadedError,
    RTPredictorError,
    TooLargeError,
    TraceError,
)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (InvalidJobError("nodes_req", 0, "must be more"), grpc.StatusCode.INVALID_ARGUMENT),
        (InvalidRequestError("no"), grpc.StatusCode.INVALID_ARGUMENT),
        (TooLargeError("jobs", 2, 1, "server.x"), grpc.StatusCode.RESOURCE_EXHAUSTED),
        (DrainingError(), grpc.StatusCode.UNAVAILABLE),
        (DeadlineExceededError(), grpc.StatusCode.DEADLINE_EXCEEDED),
    ],
)
def test_an_error_of_the_table_gets_its_status_and_its_own_message(
    error: RTPredictorError, code: grpc.StatusCode
) -> None:
    status = status_of(error)
    assert (status.code, status.message, status.metadata) == (code, str(error), ())


def test_who_is_turned_away_is_told_when_to_try_again() -> None:
    status = status_of(OverloadedError(1.5))
    assert status.code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert dict(status.metadata) == {"retry-after": "2", "grpc-retry-pushback-ms": "1500"}


@pytest.mark.parametrize("error", [ValueError("alice's secret"), TraceError("alice's secret")])
def test_an_unforeseen_error_is_logged_under_the_id_that_the_client_is_told(
    error: Exception,
) -> None:
    lines: list[str] = []
    sink = logger.add(lines.append, format="{message} {extra}")
    try:
        raise error
    except Exception as raised:
        status = status_of(raised)
    logger.remove(sink)
    assert status.code is grpc.StatusCode.INTERNAL
    assert status.number == 13
    error_id = status.message.removeprefix("internal error ").split(":")[0]
    assert len(error_id) == 16
    assert error_id in lines[0]
    assert "test_status.py" in lines[0]
    assert type(error).__name__ in lines[0]
    assert "secret" not in status.message + "".join(lines)


def test_two_errors_have_two_ids() -> None:
    assert status_of(ValueError()).message != status_of(ValueError()).message


def test_a_long_message_keeps_its_beginning_and_its_end() -> None:
    status = status_of(InvalidRequestError("begin" + "x" * 10_000 + "end"))
    assert len(status.message) < 600
    assert status.message.startswith("begin")
    assert status.message.endswith("end")
