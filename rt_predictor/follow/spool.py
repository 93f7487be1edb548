"""Jobs from a spool: a folder where scripts of Slurm put a file for each start and each end."""

import asyncio
import os
import stat
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import polars as pl
from loguru import logger

from rt_predictor.errors import FeedError, StartupError, TraceError
from rt_predictor.follow.feed import NO_JOBS, Batch
from rt_predictor.follow.sacct import read_finished
from rt_predictor.follow.squeue import read_queue

SUFFIX = ".job"
"""Files of jobs that are over, as `sacct -P` prints them."""
STARTED_SUFFIX = ".started"
"""Files of jobs that have started, as `squeue --json` prints them. Others are being written."""
REJECTED = "rejected"
"""Folder in the spool for files that cannot be read."""
MAX_FILES = 1000
_MAX_BYTES = 64 << 10
"""Size of one file at most: it holds one job."""

Texts = dict[Path, bytes]


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
        self._rejected: set[Path] = set()
        """Files that are bad, and could not be moved out of the way."""

    async def read(self) -> Batch:
        """The jobs of the files that lie there. Raises FeedError."""
        return await asyncio.to_thread(self._batch)

    def recorded(self, batch: Batch) -> None:  # noqa: ARG002
        """Delete the files of the last batch. Raises FeedError."""
        try:
            for path in self._read:
                path.unlink(missing_ok=True)
        except OSError as error:
            raise FeedError(f"cannot delete {path}: {error.strerror or error}") from error
        self._read = ()

    def _batch(self) -> Batch:
        try:
            with os.scandir(self._folder) as entries:
                suffixes = SUFFIX, STARTED_SUFFIX
                files = sorted(self._folder / e.name for e in entries if e.name.endswith(suffixes))
            texts, unread, more = self._texts(files)
        except OSError as error:
            raise FeedError(f"cannot read {self._folder}: {error.strerror or error}") from error
        over = {path: text for path, text in texts.items() if path.suffix == SUFFIX}
        started = (self._started(path, text) for path, text in texts.items() if path not in over)
        parts = [*unread, *started, *(self._jobs(alike) for alike in _by_header(over))]
        self._read = [path for path in texts if path not in self._rejected]
        self._rejected = {path for path in self._rejected if os.path.lexists(path)}
        return replace(_joined(parts), more=more)

    def _texts(self, files: Sequence[Path]) -> tuple[Texts, list[Batch], bool]:
        """Contents of the first files, what could not be read, and whether there are more."""
        texts: Texts = {}
        unread: list[Batch] = []
        for path in files:
            if path in self._rejected:
                continue
            if len(texts) == MAX_FILES:
                return texts, unread, True
            try:
                texts[path] = _text(path)
            except FileNotFoundError:
                continue
            except PermissionError as error:
                # Whoever mends that wants to find it in its place.
                unread.append(Batch(NO_JOBS, (1, f"cannot read {path}: {error.strerror}")))
            except TraceError as error:
                unread.append(self._reject(path, str(error)))
        return texts, unread, False

    def _jobs(self, texts: Texts) -> Batch:
        """The jobs of files with the same header; halving finds those that cannot be read."""
        try:
            # The reader takes many at once, as one log whose header comes again and again.
            found = _read_text(b"".join(texts.values()), read_finished)
        except TraceError as error:
            found = Batch(NO_JOBS, (1, str(error)))
        unread, reason = found.unread
        if not unread:
            return found
        if len(texts) > 1:
            return _joined([self._jobs(half) for half in _halves(texts)])
        (path,) = texts
        return self._reject(path, reason)

    def _started(self, path: Path, text: bytes) -> Batch:
        """The job of a file that says that it has started."""
        try:
            found = _read_text(text, read_queue)
        except TraceError as error:
            return self._reject(path, str(error))
        unread, reason = found.unread
        return self._reject(path, reason) if unread else found

    def _reject(self, path: Path, reason: str) -> Batch:
        """Set a file aside that no try will make readable."""
        logger.warning("a file of the spool cannot be read", file=path.name, reason=reason)
        self._rejected.add(path)
        with suppress(OSError):
            (self._folder / REJECTED).mkdir(exist_ok=True)
            path.replace(self._folder / REJECTED / path.name)
        return Batch(NO_JOBS, (1, reason))


def _text(path: Path) -> bytes:
    """Read the job in a file. Raises TraceError where it cannot be one."""
    # A pipe would never end, and a link may lead anywhere.
    if not stat.S_ISREG(path.lstat().st_mode):
        raise TraceError("it is no plain file")
    with path.open("rb") as file:
        text = file.read(_MAX_BYTES + 1)
    if len(text) > _MAX_BYTES:
        raise TraceError(f"it is larger than {_MAX_BYTES >> 10} kB")
    return text if text.endswith(b"\n") else text + b"\n"


def _read_text(text: bytes, read: Callable[[Path, str], Batch]) -> Batch:
    with tempfile.NamedTemporaryFile(prefix="rt-predictor-") as file:
        file.write(text)
        file.flush()
        return read(Path(file.name), "it")


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


def _joined(parts: Sequence[Batch]) -> Batch:
    reason = next((part.unread[1] for part in parts if part.unread[1]), "")
    skipped: Counter[str] = Counter()
    for part in parts:
        skipped.update(part.skipped)
    return Batch(
        pl.concat([NO_JOBS, *(part.jobs for part in parts)]),
        (sum(part.unread[0] for part in parts), reason),
        skipped=dict(skipped),
        cancelled=pl.concat([NO_JOBS, *(part.cancelled for part in parts)]),
        open=pl.concat([NO_JOBS, *(part.open for part in parts)]),
    )
