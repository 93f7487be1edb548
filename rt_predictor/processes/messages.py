"""What a worker and its supervisor say to each other."""

from dataclasses import dataclass

from rt_predictor.api.reload import Reloaded


@dataclass(frozen=True)
class Ready:
    """A worker serves."""

    model_version: str


@dataclass(frozen=True)
class ReadingHistory:
    """A worker that is not ready yet reads the log."""

    read: int
    """Events that it has read"""
    left: int
    """Events that it has not read yet"""


@dataclass(frozen=True)
class CannotStart:
    """A worker cannot start, and ends."""

    reason: str


@dataclass(frozen=True)
class ReloadAsked:
    """A client asks for a reload; `ReloadAnswer` has the same number."""

    number: int


@dataclass(frozen=True)
class ReloadFailed:
    """The model that was served still is."""

    reason: str


@dataclass(frozen=True)
class ReloadAnswer:
    """What became of it."""

    number: int
    result: Reloaded | ReloadFailed


@dataclass(frozen=True)
class ReloadNote:
    """What the health of the service says of the last reload; "" if it went well."""

    text: str


@dataclass(frozen=True)
class Ping:
    """The supervisor asks for a sign of life; once until it is answered, so that none pile up."""


@dataclass(frozen=True)
class Pong:
    """A worker's event loop turns."""


FromWorker = Ready | ReadingHistory | CannotStart | ReloadAsked | Pong
ToWorker = ReloadAnswer | ReloadNote | Ping
