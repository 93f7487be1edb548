"""What a worker and its supervisor say to each other."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Ready:
    """A worker serves."""

    model_version: str


@dataclass(frozen=True)
class CannotStart:
    """A worker cannot start, and ends."""

    reason: str


@dataclass(frozen=True)
class ReloadAsked:
    """A client asks for a reload; `ReloadAnswer` has the same number."""

    number: int


@dataclass(frozen=True)
class Reloaded:
    """All workers answer with a model; the versions are equal if it was served before."""

    old_version: str
    new_version: str


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


FromWorker = Ready | CannotStart | ReloadAsked | Pong
ToWorker = ReloadAnswer | ReloadNote | Ping
