"""Clients of events that are no callers by name: none has credentials, or it is an import."""

from enum import StrEnum
from typing import Final

UNNAMED: Final = "@"
"""Prefix of them; no token or certificate of the settings has such a name."""


class Unnamed(StrEnum):
    """The ways in that events come from where nobody is named."""

    IMPORT = "@import"
    """Written straight into the log, by who may write its file."""
    LOCAL = "@local"
    """A caller on the host of the service itself: over its loopback interface."""
    IPV4 = "@ipv4"
    IPV6 = "@ipv6"
    UNIX = "@unix"
