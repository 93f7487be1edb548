"""The port: is it free, may several processes share it, how is it written."""

import errno
import socket
import sys

from rt_predictor.errors import PortInUseError, StartupError

PORT_SETTING = "server.port"


def shares_ports() -> bool:
    """Whether the system spreads connections over processes that share a port.

    Other systems know SO_REUSEPORT too, but give all connections to one of the processes.
    """
    return sys.platform == "linux" and hasattr(socket, "SO_REUSEPORT")


def address_of(host: str, port: int) -> str:
    """Host and port as gRPC and people write them."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def check_port_free(host: str, port: int) -> None:
    """Binds the port (0: any free one) for a moment, without sharing it.

    gRPC alone would not do: it may share a port, and so start unseen beside another server.

    Raises PortInUseError, or StartupError where the address cannot be listened on.
    """
    _bound(host, port).close()


def reserve_port(host: str, port: int) -> socket.socket:
    """A socket that keeps a port (0: any free one) for processes that share it.

    It does not listen, so it is given no connections. Raises as `check_port_free`.
    """
    check_port_free(host, port)
    return _bound(host, port, socket.SO_REUSEPORT)


def _bound(host: str, port: int, *options: int) -> socket.socket:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        bound = socket.socket(family, kind, protocol)
        try:
            # Without SO_REUSEADDR, connections of the last run that still close keep the port.
            for option in (socket.SO_REUSEADDR, *options):
                bound.setsockopt(socket.SOL_SOCKET, option, 1)
            bound.bind(address)
        except OSError:
            bound.close()
            raise
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise PortInUseError(PORT_SETTING, port) from error
        raise StartupError(
            f"cannot listen on {address_of(host, port)}: {error.strerror or error}; change "
            f"server.host or {PORT_SETTING}"
        ) from error
    return bound
