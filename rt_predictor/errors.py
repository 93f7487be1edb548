"""The exception tree, and the one table from error to gRPC status and exit code.

RTPredictorError
├── StartupError            the program cannot start as asked; one line says how to mend it
│   ├── SettingsError       a settings file or variable is wrong
│   ├── BundleError         a model bundle is missing, damaged or of another version
│   ├── CertificateError    a certificate, its key or a CA cannot be used
│   └── PortInUseError      something else listens on the port
├── UsageError              the command line asks for something that makes no sense
├── TraceError              a job log cannot be read
│   └── NoJobsError         it can, and has no finished job
├── FeedError               a source of finished jobs does not give them
├── TrainingError           a model cannot be trained on the jobs given
│   └── ParityError         the exported graph does not equal the native boosters
├── RenewalError            a model cannot be renewed now
├── HistoryError            the outcome log cannot be read or written
│   ├── DamagedLogError     its file is damaged
│   └── HistoryOffError     history is switched off
├── InvalidJobError         a job breaks a rule: field, value, rule
│   └── ExplainRoleError    it asks for an explanation, and its caller lacks the role
├── InvalidRequestError     a request that is not about one job breaks a rule
├── TooLargeError           a request is over a limit
├── OverloadedError         the queue is full; try again later
│   └── ClientLimitError    one client asks more than its share
├── IdleStreamError         a stream brings nothing, or takes no answer, for too long
├── UnauthenticatedError    a call without a token or certificate that is known
├── ForbiddenError          a caller who is known, but lacks the role
├── DeadlineExceededError   the caller's deadline passed before the job was scored
├── DrainingError           the service is shutting down
├── ReloadError             another model cannot be loaded; the old one is still served
├── AdminOffError           a call that administers the service is switched off
└── ServiceError            a service answered with an error (raised by clients)
"""

import re
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

EXIT_OK = 0
EXIT_FAILURE = 1
EXIT_USAGE = 2
EXIT_CANNOT_START = 3


class RTPredictorError(Exception):
    """Base of every error this package raises on purpose."""


class StartupError(RTPredictorError):
    """The program cannot start as asked."""


class SettingsError(StartupError):
    """A settings file, variable or value is wrong."""


class BundleError(StartupError):
    """A model bundle is missing, damaged or of another version."""


class CertificateError(StartupError):
    """A certificate, its key or a CA cannot be used."""


class PortInUseError(StartupError):
    """Something else already listens on a port."""

    def __init__(self, setting: str, port: int) -> None:
        super().__init__(
            f"port {port} ({setting}) is already in use: stop what listens there or choose "
            f"another with {setting}"
        )


class UsageError(RTPredictorError):
    """The command line asks for something that makes no sense."""


class TraceError(RTPredictorError):
    """A job log cannot be read."""


class NoJobsError(TraceError):
    """A job log can be read, and has no finished job.

    `malformed` records are broken; `skipped` says why the others are no finished jobs -> how many.
    """

    def __init__(
        self, message: str, malformed: int = 0, skipped: Mapping[str, int] | None = None
    ) -> None:
        super().__init__(message)
        self.malformed = malformed
        self.skipped = dict(skipped or {})


class FeedError(RTPredictorError):
    """A source of finished jobs that is followed does not give them; it may later."""


class TrainingError(RTPredictorError):
    """A model cannot be trained on the jobs given."""


class ParityError(TrainingError):
    """The exported graph does not equal the native boosters."""


class RenewalError(RTPredictorError):
    """A model that is in service cannot be renewed now; it may be later."""


class HistoryError(RTPredictorError):
    """The outcome log cannot be read or written."""


class DamagedLogError(HistoryError):
    """The file of the outcome log is damaged."""


class HistoryOffError(HistoryError):
    """History is switched off."""

    def __init__(self) -> None:
        super().__init__("history is switched off (history.enabled): outcomes are not recorded")


_MAX_SHOWN_CHARS = 80


def _clipped(text: str) -> str:
    """A value may be as long as a message: an error shows its beginning."""
    return text if len(text) <= _MAX_SHOWN_CHARS else f"{text[:_MAX_SHOWN_CHARS]}…"


_TIMES = frozenset({"submit_time", "start_time", "end_time", "event_time", "as_of"})
_TIME = re.compile(r"\b(\d{9,10}(?:\.\d+)?)$")
_TIME_IN_RULE = re.compile(r"\b(\d{9,10}(?:\.\d+)?) \(Unix s")
"""Times of the years from 1973 on: nobody reads them in Unix s."""


def _date(unix_s: str) -> str:
    moment = datetime.fromtimestamp(float(unix_s), UTC)
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")


class InvalidJobError(RTPredictorError):
    """A job breaks a rule. The message names field, value and rule; `reason` is for counting.

    Times are in Unix s, with their dates.
    """

    def __init__(self, field: str, value: object, rule: str, reason: str = "") -> None:
        self.field = field
        self.value = value
        self.rule = rule
        self.reason = reason or (f"no {field}" if value is None else f"invalid {field}")
        shown = "is missing" if value is None else f"= {_clipped(repr(value))}"
        if field in _TIMES:
            shown = _TIME.sub(lambda found: f"{found[1]} ({_date(found[1])})", shown)
        dated = _TIME_IN_RULE.sub(lambda found: f"{found[1]} ({_date(found[1])}, Unix s", rule)
        super().__init__(f"{field} {shown}: {dated}")


class ExplainRoleError(InvalidJobError):
    """A job asks for an explanation, and its caller lacks the role."""

    def __init__(self) -> None:
        super().__init__("explain", value=True, rule="takes a caller with the role explain")


class InvalidRequestError(RTPredictorError):
    """A request that is not about one job breaks a rule."""


class TooLargeError(RTPredictorError):
    """A request is over a limit."""

    def __init__(self, what: str, size: int, limit: int, setting: str) -> None:
        super().__init__(
            f"{what} {size} is over the limit of {limit} ({setting}): split the request"
        )


RETRY_PUSHBACK_KEY = "grpc-retry-pushback-ms"
"""Trailing metadata of a refused call that may be made again: when. gRFC A6."""


class OverloadedError(RTPredictorError):
    """The queue is full; the caller may try again after `retry_after_s` seconds."""

    def __init__(self, retry_after_s: float, why: str = "the queue is full") -> None:
        self.retry_after_s = retry_after_s
        super().__init__(f"{why}: try again in {retry_after_s:.2g} s")


class ClientLimitError(OverloadedError):
    """One client asks more than its share; it may try again after `retry_after_s` seconds."""

    def __init__(self, retry_after_s: float, what: str) -> None:
        super().__init__(retry_after_s, f"this client {what}")


class IdleStreamError(RTPredictorError):
    """A stream brings nothing, or takes no answer, for too long."""

    def __init__(self, limit_s: float) -> None:
        super().__init__(
            f"the stream was idle for {limit_s:g} s (security.stream_idle_timeout_s): open another"
        )


class UnauthenticatedError(RTPredictorError):
    """A call without a token or certificate that is known. Says no more than that."""

    def __init__(self) -> None:
        super().__init__(
            "no token that is known: send one as `authorization: Bearer TOKEN` (--token-file); it "
            "may have expired"
        )


class ForbiddenError(RTPredictorError):
    """A caller who is known, but lacks the role."""

    def __init__(self, caller: str, roles: Sequence[str]) -> None:
        super().__init__(f"{caller} lacks the role for this call: {' or '.join(roles)}")


class DeadlineExceededError(RTPredictorError):
    """The caller's deadline passed before the job was scored."""

    def __init__(self) -> None:
        super().__init__("the deadline passed before the job was scored")


class DrainingError(RTPredictorError):
    """The service is shutting down."""

    def __init__(self) -> None:
        super().__init__("the service is shutting down: ask another instance")


class ReloadError(RTPredictorError):
    """Another model cannot be loaded; the one that was served still is."""


class AdminOffError(RTPredictorError):
    """A call that administers the service is switched off."""

    def __init__(self) -> None:
        super().__init__("calls that administer this service are switched off (server.admin)")


class ServiceError(RTPredictorError):
    """A service answered with an error."""


@dataclass(frozen=True)
class Outcome:
    """Meaning of an error outside: the name of a gRPC status code, and an exit code."""

    grpc_status: str
    exit_code: int


_OUTCOMES: dict[type[RTPredictorError], Outcome] = {
    StartupError: Outcome("FAILED_PRECONDITION", EXIT_CANNOT_START),
    UsageError: Outcome("INVALID_ARGUMENT", EXIT_USAGE),
    InvalidJobError: Outcome("INVALID_ARGUMENT", EXIT_USAGE),
    ExplainRoleError: Outcome("PERMISSION_DENIED", EXIT_FAILURE),
    InvalidRequestError: Outcome("INVALID_ARGUMENT", EXIT_USAGE),
    TooLargeError: Outcome("RESOURCE_EXHAUSTED", EXIT_FAILURE),
    OverloadedError: Outcome("RESOURCE_EXHAUSTED", EXIT_FAILURE),
    IdleStreamError: Outcome("ABORTED", EXIT_FAILURE),
    UnauthenticatedError: Outcome("UNAUTHENTICATED", EXIT_FAILURE),
    ForbiddenError: Outcome("PERMISSION_DENIED", EXIT_FAILURE),
    DeadlineExceededError: Outcome("DEADLINE_EXCEEDED", EXIT_FAILURE),
    DrainingError: Outcome("UNAVAILABLE", EXIT_FAILURE),
    ReloadError: Outcome("FAILED_PRECONDITION", EXIT_FAILURE),
    AdminOffError: Outcome("PERMISSION_DENIED", EXIT_FAILURE),
    HistoryError: Outcome("UNAVAILABLE", EXIT_FAILURE),
    HistoryOffError: Outcome("FAILED_PRECONDITION", EXIT_FAILURE),
}
_UNFORESEEN = Outcome("INTERNAL", EXIT_FAILURE)


def outcome_of(error: BaseException) -> Outcome:
    """Status and exit code of an error; anything that is not in the table is INTERNAL, exit 1."""
    for cls in type(error).__mro__:
        if cls in _OUTCOMES:
            return _OUTCOMES[cls]
    return _UNFORESEEN


def shown_reason(error: BaseException) -> str:
    """Return the text of an error that may be shown: its own words only if they are ours.

    Words of other errors can hold what a client sent.
    """
    return str(error) if isinstance(error, RTPredictorError) else type(error).__qualname__


def traceback_text(error: BaseException) -> str:
    """Types, files, lines and functions of an error and its causes, without its own words."""
    parts = []
    cause: BaseException | None = error
    while cause is not None:
        frames = traceback.format_tb(cause.__traceback__)
        parts.append("".join(frames) + type(cause).__qualname__)
        cause = cause.__cause__ or (None if cause.__suppress_context__ else cause.__context__)
    return "\ncaused by:\n".join(parts)


def grpc_statuses() -> tuple[str, ...]:
    """Names of all statuses that errors have, sorted."""
    return tuple(sorted({outcome.grpc_status for outcome in (*_OUTCOMES.values(), _UNFORESEEN)}))
