"""Watches the folder of a bundle: when does it hold another one that is whole?

A bundle is whole when every file has the sum that the manifest says, so it does not matter in what
order its files are written, or whether the folder is put in place of another.
"""

import asyncio
import hashlib
import json
import time
from collections.abc import Callable
from pathlib import Path

from rt_predictor.model.files import MANIFEST_FILE
from rt_predictor.processes.served_model import digest_of

TOO_LONG_S = 60.0
"""After which a bundle that is not whole is told of: nobody writes one for so long."""


class BundleWatch:
    """What was seen of one folder."""

    def __init__(self, folder: Path, served: str, clock: Callable[[], float] = time.monotonic):
        """A watch that knows the digest of the bundle that is served."""
        self._folder = folder
        self._clock = clock
        self._told_whole = served
        self._told_broken = ""
        self._last = served
        self._since_s = clock()

    def look(self) -> bool:
        """Whether there is a bundle to load that was not told of yet.

        One that has just come is left alone until the next look; one that is not whole until it
        is, or has been there for `TOO_LONG_S`: loading it says what is wrong with it.
        """
        digest = digest_of(self._folder)
        if digest != self._last:
            self._last, self._since_s = digest, self._clock()
            return False
        if digest in ("", self._told_whole):
            return False
        if is_whole(self._folder):
            self._told_whole = digest
            return True
        if digest == self._told_broken or self._clock() - self._since_s < TOO_LONG_S:
            return False
        self._told_broken = digest
        return True


def is_whole(folder: Path) -> bool:
    """Whether all files that the manifest names have the sums that it says."""
    try:
        sums = json.loads((folder / MANIFEST_FILE).read_bytes())["sha256"].items()
        return all(
            hashlib.sha256((folder / name).read_bytes()).hexdigest() == expected
            for name, expected in sums
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False


async def watch(bundle: BundleWatch, interval_s: float, changed: Callable[[], None]) -> None:
    """Looks every `interval_s`, for ever; calls `changed` when there is a bundle to load."""
    while True:
        await asyncio.sleep(interval_s)
        if await asyncio.to_thread(bundle.look):
            changed()
