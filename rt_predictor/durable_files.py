"""Files that outlast a loss of power, and that lead nowhere else."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO


def sync(path: Path) -> None:
    """Have a file, or the names in a folder, on disk. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def new_file(path: Path) -> Iterator[IO[bytes]]:
    """Make a file to write into, in place of what has its name. Raises OSError.

    What was there is removed and not written to: it may be a link that somebody else has put there,
    to a file that this user alone may change.
    """
    path.unlink(missing_ok=True)
    with open(path, "xb", opener=_without_links) as file:
        yield file


def write_file(path: Path, data: bytes) -> None:
    """Write a file and have it on disk. Raises OSError."""
    with new_file(path) as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def staged(path: Path) -> Path:
    """Return where `replace_file` writes what will be at a path."""
    return path.with_name(f"{path.name}.new")


def replace_file(path: Path, data: bytes) -> None:
    """Put data in the place of a file: all of it, or nothing. Raises OSError."""
    beside = staged(path)
    write_file(beside, data)
    beside.replace(path)


def _without_links(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW, 0o666)
