"""Programs of Slurm, run for what they print."""

import asyncio
import os
import shlex
import shutil
import signal
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from typing import IO

from rt_predictor.errors import FeedError, StartupError

TIMEOUT_S = 120.0
_MAX_WORDS_BYTES = 4096


def is_there(command: Sequence[str]) -> bool:
    """Return whether the program of a command is installed."""
    return bool(command) and shutil.which(command[0]) is not None


def check_is_there(command: Sequence[str], instead: str) -> None:
    """Raise StartupError where the program is not installed; `instead` says what to do."""
    if not is_there(command):
        raise StartupError(f"there is no program {shlex.join(command[:1])}: {instead}")


async def run(command: Sequence[str], output: int, called: str) -> None:
    """Run a program whose output goes to a file; `called` is its name in messages.

    Raises FeedError where it fails, or does not end within `TIMEOUT_S`.
    """
    with tempfile.TemporaryFile() as stderr:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            # A file, and no pipe: whoever keeps a pipe open could not be waited for.
            stderr=stderr,
            # Times in UTC: local ones are ambiguous for an hour every autumn.
            env={**os.environ, "TZ": "UTC", "SLURM_TIME_FORMAT": "standard"},
            start_new_session=True,
        )
        try:
            async with asyncio.timeout(TIMEOUT_S):
                await process.wait()
        except TimeoutError:
            raise FeedError(f"{called} did not end within {TIMEOUT_S:g} s") from None
        finally:
            if process.returncode is None:
                await _end(process)
        if process.returncode:
            raise FeedError(f"{called} failed with {process.returncode}: {_words(stderr)}")


async def _end(process: asyncio.subprocess.Process) -> None:
    """End a program and all that it has started: it may be a script around Slurm's."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    await process.wait()


def _words(stderr: IO[bytes]) -> str:
    stderr.seek(0)
    words = stderr.read(_MAX_WORDS_BYTES).decode(errors="replace").split()
    return " ".join(words)[:300] or "without a word"
