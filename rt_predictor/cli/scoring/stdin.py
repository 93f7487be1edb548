"""Standard input, for readers that want a file, and for those that want its lines as they come."""

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from rt_predictor.errors import TraceError

_HEAD_BYTES = 64 << 10


def read_head() -> bytes:
    """What stdin begins with: a line that is not blank, or all there is; waits for no more."""
    head = b""
    while b"\n" not in head.lstrip() and len(head) < _HEAD_BYTES:
        piece = os.read(sys.stdin.fileno(), _HEAD_BYTES)
        if not piece:
            break
        head += piece
    return head


@contextmanager
def as_file(head: bytes) -> Iterator[Path]:
    """All of stdin as a file, for as long as the context lasts; `head` was read already.

    TraceErrors that name the file say "stdin" instead.
    """
    with TemporaryDirectory(prefix="rt-predictor-") as folder:
        path = Path(folder, "stdin")
        with path.open("wb") as file, open(sys.stdin.fileno(), "rb", closefd=False) as rest:
            file.write(head)
            shutil.copyfileobj(rest, file)
        try:
            yield path
        except TraceError as error:
            raise TraceError(str(error).replace(str(path), "stdin")) from error
