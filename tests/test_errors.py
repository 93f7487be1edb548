"""The exception tree and its table."""

import grpc
import pytest

from rt_predictor import errors
from rt_predictor.errors import (
    EXIT_CANNOT_START,
    EXIT_FAILURE,
    EXIT_OK,
    EXIT_USAGE,
    InvalidJobError,
    OverloadedError,
    PortInUseError,
    RTPredictorError,
    TooLargeError,
    outcome_of,
)


def _all_errors(base: type[RTPredictorError] = RTPredictorError) -> list[type[RTPredictorError]]:
    found = [base]
    for cls in base.__subclasses__():
        if cls.__module__ == errors.__name__:
            found.extend(_all_errors(cls))
    return found


def _bare(cls: type[RTPredictorError]) -> RTPredictorError:
    """An error of the class, whatever its constructor takes."""
    return cls.__new__(cls)


def test_exit_codes_are_those_that_scripts_depend_on() -> None:
    assert (EXIT_OK, EXIT_FAILURE, EXIT_USAGE, EXIT_CANNOT_START) == (0, 1, 2, 3)


@pytest.mark.parametrize("name", ["StartupError", "SettingsError", "BundleError", "PortInUseError"])
def test_what_keeps_the_program_from_starting_exits_3(name: str) -> None:
    assert outcome_of(_bare(getattr(errors, name))).exit_code == EXIT_CANNOT_START


@pytest.mark.parametrize("name", ["UsageError", "InvalidJobError", "InvalidRequestError"])
def test_what_the_caller_got_wrong_is_invalid_argument_and_exits_2(name: str) -> None:
    outcome = outcome_of(_bare(getattr(errors, name)))
    assert (outcome.grpc_status, outcome.exit_code) == ("INVALID_ARGUMENT", EXIT_USAGE)


@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("TooLargeError", "RESOURCE_EXHAUSTED"),
        ("OverloadedError", "RESOURCE_EXHAUSTED"),
        ("DeadlineExceededError", "DEADLINE_EXCEEDED"),
        ("DrainingError", "UNAVAILABLE"),
        ("ClientLimitError", "RESOURCE_EXHAUSTED"),
        ("IdleStreamError", "ABORTED"),
        ("UnauthenticatedError", "UNAUTHENTICATED"),
        ("ForbiddenError", "PERMISSION_DENIED"),
        ("TraceError", "INTERNAL"),
        ("TrainingError", "INTERNAL"),
        ("ParityError", "INTERNAL"),
        ("ServiceError", "INTERNAL"),
    ],
)
def test_everything_else_exits_1_with_its_own_status(name: str, status: str) -> None:
    outcome = outcome_of(_bare(getattr(errors, name)))
    assert (outcome.grpc_status, outcome.exit_code) == (status, EXIT_FAILURE)


@pytest.mark.parametrize("error", [ValueError("x"), KeyboardInterrupt(), RuntimeError("y")])
def test_unforeseen_errors_are_internal_and_exit_1(error: BaseException) -> None:
    outcome = outcome_of(error)
    assert (outcome.grpc_status, outcome.exit_code) == ("INTERNAL", EXIT_FAILURE)


def test_every_status_in_the_table_is_one_that_grpc_knows() -> None:
    statuses = {outcome_of(_bare(cls)).grpc_status for cls in _all_errors()}
    assert statuses <= {code.name for code in grpc.StatusCode}


def test_the_drawn_tree_is_the_tree() -> None:
    drawn = errors.__doc__ or ""
    for cls in _all_errors():
        assert cls.__name__ in drawn


def test_invalid_job_names_field_value_and_rule() -> None:
    error = InvalidJobError("nodes_req", 0, "must be a whole number from 1 to 1,000,000 (nodes)")
    assert str(error) == "nodes_req = 0: must be a whole number from 1 to 1,000,000 (nodes)"
    assert (error.field, error.value) == ("nodes_req", 0)


def test_invalid_job_says_missing_where_there_is_no_value() -> None:
    assert str(InvalidJobError("qos", None, "required")) == "qos is missing: required"


@pytest.mark.parametrize(
    "value", ["two\nlines", "carriage\rreturn", "\x1b[31mred"], ids=["line", "return", "escape"]
)
def test_an_invalid_value_cannot_break_the_line(value: str) -> None:
    assert str(InvalidJobError("user", value, "rule")).isprintable()


def test_errors_say_how_to_mend_them() -> None:
    assert str(PortInUseError("server.port", 50051)) == (
        "port 50051 (server.port) is already in use: stop what listens there or choose another "
        "with server.port"
    )
    assert str(TooLargeError("jobs in one batch:", 9, 8, "server.max_batch_jobs")) == (
        "jobs in one batch: 9 is over the limit of 8 (server.max_batch_jobs): split the request"
    )
    overloaded = OverloadedError(0.25)
    assert str(overloaded) == "the queue is full: try again in 0.25 s"
    assert overloaded.retry_after_s == 0.25
    assert "deadline" in str(errors.DeadlineExceededError())
    assert "shutting down" in str(errors.DrainingError())


def test_times_of_a_broken_rule_have_their_dates() -> None:
    rule = "must not be before submit_time = 1735689600.0 (Unix s)"
    assert str(InvalidJobError("as_of", 1735689540.5, rule)) == (
        "as_of = 1735689540.5 (2024-12-31T23:59:00Z): must not be before submit_time = "
        "1735689600.0 (2025-01-01T00:00:00Z, Unix s)"
    )
    assert str(InvalidJobError("as_of", 100.0, "x")) == "as_of = 100.0: x"
    assert str(InvalidJobError("mem_req", 1735689600.0, "x")) == "mem_req = 1735689600.0: x"
    assert str(InvalidJobError("end_time", 1e12, "x")) == "end_time = 1000000000000.0: x"
    assert str(InvalidJobError("end_time", "1735689600x", "x")) == "end_time = '1735689600x': x"
