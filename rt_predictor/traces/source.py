"""Bytes of a job log: decompressed, cut into blocks of whole records, with errors in plain words.

Blocks bound the memory: a log of ten million jobs is never in memory as text.
"""

import bz2
import gzip
import lzma
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, cast

import polars as pl

from rt_predictor.errors import TraceError

Progress = Callable[[float], None]
"""Told the share of the file (0 to 1) that has been read."""

BLOCK_BYTES = 16 << 20
MAX_RECORD_BYTES = 64 << 20
HEAD_BYTES = 64 << 10

_COMPRESSIONS: dict[bytes, tuple[str, Callable[[IO[bytes]], IO[bytes]]]] = {
    b"\x1f\x8b": (".gz", cast(Callable[[IO[bytes]], IO[bytes]], gzip.open)),
    b"BZh": (".bz2", cast(Callable[[IO[bytes]], IO[bytes]], bz2.open)),
    b"\xfd7zXZ\x00": (".xz", cast(Callable[[IO[bytes]], IO[bytes]], lzma.open)),
}
_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
_BOM = b"\xef\xbb\xbf"
_DAMAGED = (gzip.BadGzipFile, zlib.error, lzma.LZMAError)


def plain_suffix(path: Path) -> str:
    """The suffix of a file's name without the compression's: ".swf" of "kth.swf.gz"."""
    packed = {suffix for suffix, _ in _COMPRESSIONS.values()}
    name = path.with_suffix("") if path.suffix.lower() in packed else path
    return name.suffix.lower()


def read_head(path: Path) -> bytes:
    """The first 64 kB of a log, decompressed.

    Raises TraceError where the file cannot be read, is empty or damaged.
    """
    with _reading(path), _open(path) as (stream, _):
        head = stream.read(HEAD_BYTES)
    if not head.strip():
        raise TraceError(f"{path} is empty")
    return head.removeprefix(_BOM)


def check_unpacked(path: Path, most_bytes: int) -> None:
    """Read a file through, no more of it than is allowed, and keep nothing.

    A compressed file can be a thousand times as large as it looks. Raises TraceError where it is
    too large, cannot be read or is damaged.
    """
    left = most_bytes
    with _reading(path), _open(path) as (stream, _):
        while piece := stream.read(min(BLOCK_BYTES, left + 1)):
            left -= len(piece)
            if left < 0:
                raise TraceError(f"it is larger than {most_bytes >> 20} MB unpacked: split it")


def written_s(path: Path) -> float:
    """Return when a log was written, Unix s. Raises TraceError where it is not there."""
    with _reading(path):
        return path.stat().st_mtime


def last_line_end(data: bytes) -> int:
    """Return where the last whole line of `data` ends; 0 where there is none."""
    return data.rfind(b"\n") + 1


def last_quoted_record_end(data: bytes) -> int:
    """Return where the last whole CSV record of `data` ends: a line end that no quotes enclose."""
    end = last_line_end(data)
    quotes = data.count(b'"', 0, end)
    while end and quotes % 2:
        previous = data.rfind(b"\n", 0, end - 1) + 1
        quotes -= data.count(b'"', previous, end)
        end = previous
    return end


def text_blocks(
    path: Path, *, cut: Callable[[bytes], int], progress: Progress | None
) -> Iterator[bytes]:
    """The log's text as UTF-8 blocks of whole records; bytes that are not UTF-8 become U+FFFD.

    `cut` says where the last whole record of a piece ends.
    Raises TraceError where the file cannot be read, is damaged, or is not text.
    """
    with _reading(path), _open(path) as (stream, position):
        carry = b""
        first = True
        while piece := stream.read(BLOCK_BYTES):
            if first:
                _check_is_text(path, piece)
                piece = piece.removeprefix(_BOM)
                first = False
            piece = carry + piece
            end = cut(piece)
            carry = piece[end:]
            if len(carry) > MAX_RECORD_BYTES:
                raise TraceError(
                    f"{path} has no record's end within {MAX_RECORD_BYTES >> 20} MB: it is not a "
                    "job log, or a quote is never closed"
                )
            if end:
                yield _as_utf8(piece[:end])
            if progress is not None:
                progress(position())
        if carry:
            yield _as_utf8(carry)


def line_frames(path: Path, progress: Progress | None) -> Iterator[pl.DataFrame]:
    """The log's lines as frames with `line` (Int64, from 1) and `text` (String, no line end)."""
    seen = 0
    for block in text_blocks(path, cut=last_line_end, progress=progress):
        texts = block.decode().removesuffix("\n").split("\n")
        frame = pl.DataFrame({"text": pl.Series(texts, dtype=pl.String)})
        yield frame.select(
            pl.int_range(seen + 1, seen + 1 + pl.len(), dtype=pl.Int64).alias("line"),
            pl.col("text").str.strip_chars_end("\r"),
        )
        seen += frame.height


def _as_utf8(block: bytes) -> bytes:
    return block if block.isascii() else block.decode("utf-8", "replace").encode()


def _check_is_text(path: Path, piece: bytes) -> None:
    at = piece.find(b"\0", 0, HEAD_BYTES)
    if at >= 0:
        raise TraceError(
            f"{path} is not UTF-8 text (byte {at} is zero): it is binary, or in another encoding"
        )


@contextmanager
def _open(path: Path) -> Iterator[tuple[IO[bytes], Callable[[], float]]]:
    """The decompressed stream, and a function that gives the share of the file read so far."""
    with path.open("rb") as raw:
        size = max(path.stat().st_size, 1)
        magic = raw.read(8)
        raw.seek(0)
        if magic.startswith(_ZSTD_MAGIC):
            raise TraceError(f"{path} is compressed with zstd: decompress it first (unzstd)")
        for start, (_, open_stream) in _COMPRESSIONS.items():
            if magic.startswith(start):
                with open_stream(raw) as stream:
                    yield stream, lambda: raw.tell() / size
                return
        if magic and path.suffix.lower() in {suffix for suffix, _ in _COMPRESSIONS.values()}:
            raise TraceError(
                f"{path} is named {path.suffix} but is not compressed so: rename it or fetch it "
                "again"
            )
        yield raw, lambda: raw.tell() / size


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise TraceError(f"{path} does not exist") from error
    except EOFError as error:
        raise TraceError(
            f"{path} is cut short (its compressed data ends early): fetch it again"
        ) from error
    except _DAMAGED as error:
        raise TraceError(f"{path} is damaged ({error}): fetch it again") from error
    except OSError as error:
        raise TraceError(f"cannot read {path}: {error.strerror or error}") from error
