"""The agent's Unix socket: taken over from an agent that is gone, never from one that listens."""

import errno
import fcntl
import os
import shutil
import socket
import stat
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import IO

from rt_predictor.errors import StartupError

BACKLOG = 1024
"""Connections that may wait to be accepted; the kernel may allow fewer (net.core.somaxconn)."""
_MAX_PATH_BYTES = 100
"""The kernel takes 107; the rest is for the suffix of the socket that is being made."""
_PATIENCE_S = 1.0


@contextmanager
def listening(path: Path, mode: int, group: str) -> Iterator[socket.socket]:
    """A socket that listens at `path` with these permissions; the file is gone afterwards.

    It is made beside `path` and renamed, so that it is never there with other permissions or
    without anyone who listens. Raises StartupError where that cannot be, or another agent listens.
    """
    if len(os.fsencode(path)) > _MAX_PATH_BYTES:
        raise StartupError(
            f"the path of the socket is longer than {_MAX_PATH_BYTES} bytes: choose another with "
            f"--socket ({path})"
        )
    with ExitStack() as open_files:
        try:
            open_files.enter_context(_lock(path))
            made = open_files.enter_context(closing(_made(path, mode, group)))
            ours = path.lstat()
        except OSError as error:
            raise StartupError(
                f"cannot listen at {path}: {error.strerror or error}; does the folder exist, and "
                "may this user write there?"
            ) from error
        try:
            yield made
        finally:
            _remove(path, ours)


def _lock(path: Path) -> IO[str]:
    """Keep a second agent from taking the same path over at the same moment."""
    file = path.with_name(f"{path.name}.lock").open("w")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        raise _in_use(path) from None
    return file


def _made(path: Path, mode: int, group: str) -> socket.socket:
    _check_unused(path)
    beside = path.with_name(f"{path.name}.{os.getpid()}")
    beside.unlink(missing_ok=True)
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        made.bind(str(beside))
        if group:
            _give(beside, group)
        beside.chmod(mode)
        made.listen(BACKLOG)
        made.setblocking(False)
        beside.rename(path)
    except BaseException:
        made.close()
        beside.unlink(missing_ok=True)
        raise
    return made


def _check_unused(path: Path) -> None:
    """Raise StartupError where something is that is no socket, or that listens."""
    with suppress(FileNotFoundError):
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise StartupError(f"{path} is there and is no socket: choose another with --socket")
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)) as probe:
        probe.settimeout(_PATIENCE_S)
        try:
            probe.connect(str(path))
        except (FileNotFoundError, ConnectionRefusedError):
            return
        except TimeoutError:
            pass
        except OSError as error:
            # Its queue is full: somebody listens, however slowly.
            if error.errno != errno.EAGAIN:
                raise
    raise _in_use(path)


def _in_use(path: Path) -> StartupError:
    return StartupError(
        f"another agent listens at {path}: stop it, or choose another path with --socket"
    )


def _give(path: Path, group: str) -> None:
    try:
        shutil.chown(path, group=group)
    except LookupError:
        raise StartupError(f"there is no group {group!r} (agent.group)") from None
    except PermissionError:
        raise StartupError(
            f"this user may not give {path} to the group {group!r} (agent.group): make it a member"
        ) from None


def _remove(path: Path, ours: os.stat_result) -> None:
    """Remove the file, unless somebody has put another there."""
    with suppress(OSError):
        if path.lstat().st_ino == ours.st_ino:
            path.unlink()
