"""Finished jobs from a spool: a folder where Slurm's completion script puts a file for each."""

import asyncio
import os
import stat
import tempfile
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import polars as pl
from loguru import logger

from rt_predictor.errors import FeedError, StartupError, TraceError
from rt_predictor.follow.feed import Batch
from rt_predictor.follow.sacct import read_finished
from rt_predictor.jobs.schema import JOB_SCHEMA

SUFFIX = ".job"
"""Files of finished jobs; others are being written."""
REJECTED = "rejected"
"""Folder in the spool for files that cannot be read."""
MAX_FILES = 1000
_MAX_BYTES = 64 << 10
"""Size of one file at most: it holds one job."""

Texts = dict[Path, bytes]
_NO_JOBS = pl.DataFrame(schema=JOB_SCHEMA)


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
        """Deletes the files of the last batch. Raises FeedError."""
        try:
            for path in self._read:
                path.unlink(missing_ok=True)
        except OSError as error:
            raise FeedError(f"cannot delete {path}: {error.strerror or error}") from error
        self._read = ()

    def _batch(self) -> Batch:
        try:
            with os.scandir(self._folder) as entries:
                files = sorted(self._folder / e.name for e in entries if e.name.endswith(SUFFIX))
            texts, unread, more = self._texts(files)
        except OSError as error:
            raise FeedError(f"cannot read {self._folder}: {error.strerror or error}") from error
        parts = [*unread, *(self._jobs(alike) for alike in _by_header(texts))]
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
                unread.append(Batch(_NO_JOBS, (1, f"cannot read {path}: {error.strerror}")))
            except TraceError as error:
                unread.append(self._reject(path, str(error)))
        return texts, unread, False

    def _jobs(self, texts: Texts) -> Batch:
        """The jobs of files with the same header; halving finds those that cannot be read."""
        try:
            # The reader takes many at once, as one log whose header comes again and again.
            found = _read_text(b"".join(texts.values()))
        except TraceError as error:
            found = Batch(_NO_JOBS, (1, str(error)))
        unread, reason = found.unread
        if not unread:
            return found
        if len(texts) > 1:
            return _joined([self._jobs(half) for half in _halves(texts)])
        (path,) = texts
        return self._reject(path, reason)

    def _reject(self, path: Path, reason: str) -> Batch:
        """Sets a file aside that no try will make readable."""
        logger.warning("a file of the spool cannot be read", file=path.name, reason=reason)
        self._rejected.add(path)
        with suppress(OSError):
            (self._folder / REJECTED).mkdir(exist_ok=True)
            path.replace(self._folder / REJECTED / path.name)
        return Batch(_NO_JOBS, (1, reason))


def _text(path: Path) -> bytes:
    """What is in a file. Raises TraceError where it cannot be a job's."""
    # A pipe would never end, and a link may lead anywhere.
    if not stat.S_ISREG(path.lstat().st_mode):
        raise TraceError("it is no plain file")
    with path.open("rb") as file:
        text = file.read(_MAX_BYTES + 1)
    if len(text) > _MAX_BYTES:
        raise TraceError(f"it is larger than {_MAX_BYTES >> 10} kB")
    return text if text.endswith(b"\n") else text + b"\n"


def _read_text(text: bytes) -> Batch:
    with tempfile.NamedTemporaryFile(prefix="rt-predictor-", suffix=".sacct") as file:
        file.write(text)
        file.flush()
        return read_finished(Path(file.name), "it")


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
        pl.concat([_NO_JOBS, *(part.jobs for part in parts)]),
        (sum(part.unread[0] for part in parts), reason),
        skipped=dict(skipped),
    )
