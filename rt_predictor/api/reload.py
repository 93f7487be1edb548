"""Reloads of the model, as a server asks for one."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from rt_predictor.errors import AdminOffError, ReloadError


@dataclass(frozen=True)
class Reloaded:
    """All workers answer with a model; the versions are equal if it was served before."""

    old_version: str
    new_version: str


ReloadModel = Callable[[], Awaitable[Reloaded]]
"""Has all workers load the bundle that the settings name. Raises ReloadError."""


async def cannot_reload() -> Reloaded:
    """Where there is no supervisor. Raises ReloadError."""
    raise ReloadError(
        "this service is one process, which cannot load another model (its system does not share "
        "ports between processes): restart it"
    )


async def administration_is_off() -> Reloaded:
    """Where the setting `server.admin` is off. Raises AdminOffError."""
    raise AdminOffError
