"""Finished jobs from a spool: a folder where Slurm's completion script puts a file for each."""

import asyncio
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import polars as pl
from loguru import logger

from rt_predictor.errors import FeedError, StartupError, TraceError
from rt_predictor.features.jobs import JOB_SCHEMA
from rt_predictor.follow.feed import Batch
from rt_predictor.follow.sacct import read_finished

SUFFIX = ".job"
"""Files of finished jobs; others are being written."""
REJECTED = "rejected"
"""Folder in the spool for files that cannot be read."""
MAX_FILES = 1000
_MAX_BYTES = 64 << 10
"""Size of one file at most: it holds one job."""

Texts = dict[Path, bytes]
Found = tuple[pl.DataFrame, tuple[int, str]]
"""Jobs, and how many records could not be read and why."""
_NOTHING: Found = (pl.DataFrame(schema=JOB_SCHEMA), (0, ""))


class SpoolFeed:
    """Reads files of `sacct -P` text, and deletes them when their jobs are recorded.

    Raises StartupError where there is no such folder.
    """

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            raise StartupError(
                f"there is no folder {folder}: make it, or name another with --spool"
            )
        self._folder = folder
        self._read: Sequence[Path] = ()

    async def read(self) -> Batch:
        """The jobs of the files that lie there. Raises FeedError."""
        return await asyncio.to_thread(self._batch)

    def recorded(self, batch: Batch) -> None:  # noqa: ARG002
        """Deletes the files of the last batch. Raises FeedError."""
        try:
            for path in self._read:
                path.unlink(missing_ok=True)
        except OSError as error:
            raise FeedError(f"cannot delete {path}: {error.strerror or error}") from error
        self._read = ()

    def _batch(self) -> Batch:
        try:
            files = sorted(self._folder.glob(f"*{SUFFIX}"))
            texts = {path: _text(path) for path in files[:MAX_FILES]}
        except OSError as error:
            raise FeedError(f"cannot read {self._folder}: {error.strerror or error}") from error
        parts = [self._jobs(alike) for alike in _by_header(texts)] or [_NOTHING]
        self._read = [path for path in texts if path.exists()]
        return Batch(*_joined(parts), more=len(files) > MAX_FILES)

    def _jobs(self, texts: Texts) -> Found:
        """The jobs of files with the same header; halving finds those that cannot be read."""
        try:
            # The reader takes many at once, as one log whose header comes again and again.
            jobs, (unread, reason) = _read_text(b"".join(texts.values()))
        except TraceError as error:
            unread, reason = 1, str(error)
        if not unread:
            return jobs, (0, "")
        if len(texts) > 1:
            return _joined([self._jobs(half) for half in _halves(texts)])
        (path,) = texts
        self._reject(path, reason)
        return _NOTHING[0], (1, reason)

    def _reject(self, path: Path, reason: str) -> None:
        """Sets a file aside that no try will make readable."""
        logger.warning("a file of the spool cannot be read", file=path.name, reason=reason)
        with suppress(OSError):
            (self._folder / REJECTED).mkdir(exist_ok=True)
            path.replace(self._folder / REJECTED / path.name)


def _text(path: Path) -> bytes:
    with path.open("rb") as file:
        text = file.read(_MAX_BYTES)
    return text if text.endswith(b"\n") else text + b"\n"


def _read_text(text: bytes) -> Found:
    with tempfile.NamedTemporaryFile(prefix="rt-predictor-", suffix=".sacct") as file:
        file.write(text)
        file.flush()
        return read_finished(Path(file.name))


def _by_header(texts: Texts) -> list[Texts]:
    """Scripts of several versions may have filled the spool."""
    groups: dict[bytes, Texts] = {}
    for path, text in texts.items():
        groups.setdefault(text.partition(b"\n")[0], {})[path] = text
    return list(groups.values())


def _halves(texts: Texts) -> tuple[Texts, Texts]:
    half = len(texts) // 2
    items = list(texts.items())
    return dict(items[:half]), dict(items[half:])


def _joined(parts: Sequence[Found]) -> Found:
    unread = sum(count for _, (count, _) in parts)
    reason = next((reason for _, (_, reason) in parts if reason), "")
    return pl.concat([jobs for jobs, _ in parts]), (unread, reason)
