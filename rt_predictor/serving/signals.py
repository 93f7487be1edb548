"""Signals of a process that serves, as events of its loop."""

import asyncio
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class StopRequest:
    """Whether this process was asked to stop, and whether it was asked again."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.insisted = asyncio.Event()

    def ask(self) -> None:
        """Asks to finish what is in progress and stop; a second time, to stop at once."""
        if self.asked.is_set():
            self.insisted.set()
        self.asked.set()


@contextmanager
def stop_signals(*, hangup: Callable[[], None], interrupt: bool = True) -> Iterator[StopRequest]:
    """SIGTERM, and SIGINT if `interrupt`, ask to stop; SIGHUP calls `hangup`.

    Without `interrupt` SIGINT is ignored: Ctrl-C reaches a supervisor's workers too, and it is
    the supervisor that tells them what to do.
    """
    loop = asyncio.get_running_loop()
    request = StopRequest()
    actions = {
        signal.SIGTERM: request.ask,
        signal.SIGINT: request.ask if interrupt else _nothing,
        signal.SIGHUP: hangup,
    }
    for number, action in actions.items():
        loop.add_signal_handler(number, action)
    try:
        yield request
    finally:
        for number in actions:
            loop.remove_signal_handler(number)


def _nothing() -> None:
    pass
