"""Who is at the other end of a Unix socket."""

import asyncio
import os
import socket
import struct

_CREDENTIALS = struct.Struct("3i")
"""Process, user and group, as Linux has them."""
NOBODY = -1
"""Stands for a user that the system does not tell."""


def user_of(transport: asyncio.BaseTransport) -> int:
    """Return the id of the user that has opened a connection, as the kernel says it."""
    connection = transport.get_extra_info("socket")
    if connection is None or not hasattr(socket, "SO_PEERCRED"):
        return NOBODY
    try:
        with socket.socket(fileno=os.dup(connection.fileno())) as same:
            told = same.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    except OSError:
        return NOBODY
    user: int = _CREDENTIALS.unpack(told)[1]
    return user
