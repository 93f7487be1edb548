"""Files that were being answered when the process ended without a word, and how often that was.

A file that takes all memory takes its process with it, and would do so again after each restart,
and keep all others waiting. So the names of files that are begun are written down, and taken out
again when the round is over, however it ended.
"""

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from rt_predictor.durable_files import replace_file, staged

MOST: Final = 5
"""Attempts after which a file is set aside."""


class Attempts:
    """The attempts that were not ended, in a file."""

    def __init__(self, path: Path) -> None:
        """Read what an earlier process has left; nothing where it left nothing that can be read."""
        self._path = path
        try:
            found = json.loads(path.read_bytes())
            self._counts = {str(name): int(count) for name, count in found.items()}
        except (OSError, ValueError, TypeError, AttributeError):
            self._counts = {}

    def of(self, file: Path) -> int:
        """Return how many attempts at a file were not ended."""
        return self._counts.get(file.name, 0)

    @contextmanager
    def begun(self, files: Iterable[Path]) -> Iterator[None]:
        """Count one more attempt at files until the context ends. Raises OSError."""
        names = [file.name for file in files]
        before = dict(self._counts)
        self._write(before | {name: before.get(name, 0) + 1 for name in names})
        try:
            yield
        finally:
            self._write({name: count for name, count in before.items() if name not in names})

    def clear(self) -> None:
        """Forget all attempts: there is no file left. Raises OSError."""
        self._counts = {}
        for path in (self._path, staged(self._path)):
            path.unlink(missing_ok=True)

    def _write(self, counts: dict[str, int]) -> None:
        self._counts = counts
        if counts:
            replace_file(self._path, json.dumps(counts).encode())
        else:
            self._path.unlink(missing_ok=True)
