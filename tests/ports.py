"""A port for what a test starts later."""

import random
import socket

_BELOW_THOSE_GIVEN_OUT = range(20_000, 30_000)
"""Systems take ports from further up for connections and for who asks for any port."""


def free_port() -> int:
    """A port that nobody listens on, and that is given to nobody else meanwhile.

    A port that a system has given out and that is closed again may go to the next connection, even
    to one that is tried to that very port.
    """
    chance = random.SystemRandom()  # a seed would have tests side by side choose alike
    for port in chance.sample(_BELOW_THOSE_GIVEN_OUT, 100):
        with socket.socket() as probe:
            try:
                probe.bind(("0.0.0.0", port))
            except OSError:
                continue
            return port
    raise AssertionError("no port is free")
