"""Waiting for what another thread or process brings about."""

import time
from collections.abc import Callable

PATIENCE_S = 240.0
"""Far more than anything takes, on a machine that does much else: it bounds what hangs."""


def until(met: Callable[[], bool], *, within_s: float = PATIENCE_S, pause_s: float = 0.005) -> None:
    """Waits, looking again after each pause. Fails once it takes longer than `within_s`."""
    deadline_s = time.monotonic() + within_s
    while not met():
        assert time.monotonic() < deadline_s, f"it did not come true within {within_s:g} s"
        time.sleep(pause_s)
