"""A first look at an Arrow IPC stream, before the decoder sees it.

A decoder trusts what a stream says of itself: how many rows there are, how large a compressed
buffer becomes, that a thousand strings are all the same megabyte. So the headers (FlatBuffers) are
walked here, and only flat, uncompressed tables within the limits go on. Every read is bounded by
the bytes that are there.

Format: https://arrow.apache.org/docs/format/Columnar.html#ipc-streaming-format
"""

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum

import numpy as np

from rt_predictor.errors import InvalidRequestError, TooLargeError
from rt_predictor.jobs.bounds import MAX_TEXT_CHARS

MAX_TEXT_BYTES = 4 * MAX_TEXT_CHARS
"""Bytes of the longest text that a rule can admit, in UTF-8."""
_CONTINUATION = b"\xff\xff\xff\xff"
_ALIGNMENT = 8
_SCHEMA, _RECORD_BATCH = 1, 3
_OTHER_MESSAGES = {2: "dictionaries", 4: "tensors", 5: "sparse tensors"}
_UTF8_VIEW = 24
_VIEW_BYTES = 16
_NODE_BYTES = 16
"""A column's length and number of nulls, or a buffer's offset and length: two int64."""

_CHEAP_BYTES = 1 << 24
"""Text that is looked through in no time, however few rows it is for."""


class ColumnKind(Enum):
    """What a column holds, as far as jobs are concerned."""

    NUMBER = "a number"
    TEXT = "a string"
    MISSING = "null"
    OTHER = "of another type"


_KINDS = {
    1: ColumnKind.MISSING,
    2: ColumnKind.NUMBER,
    3: ColumnKind.NUMBER,
    5: ColumnKind.TEXT,
    20: ColumnKind.TEXT,
    _UTF8_VIEW: ColumnKind.TEXT,
}
"""Arrow's number of a type -> its kind: null, integer, floating point, three forms of strings."""
_BUFFERS = {1: 0, 2: 2, 3: 2, 5: 3, 20: 3, _UTF8_VIEW: 2}
"""Arrow's number of a type -> the buffers of a column, but for the texts that views point to."""


@dataclass(frozen=True)
class _Column:
    name: str
    type_number: int
    dictionary: bool

    @property
    def kind(self) -> ColumnKind:
        if self.dictionary:
            return ColumnKind.OTHER
        return _KINDS.get(self.type_number, ColumnKind.OTHER)


@dataclass(frozen=True)
class _Message:
    """One message of a stream: its header, and where its body begins and ends."""

    position: int
    kind: int
    header: "_Table"
    start: int
    end: int


def column_kinds(stream: bytes) -> Mapping[str, ColumnKind]:
    """The columns of a stream, from its schema.

    Raises InvalidRequestError where that cannot be read.
    """
    return {column.name: column.kind for column in _columns(next(_messages(stream)))}


def check_stream(stream: bytes, *, max_rows: int, max_rows_setting: str) -> None:
    """Checks that a stream with columns of numbers and texts can be decoded within bounds.

    Raises InvalidRequestError where it is malformed or holds what is not taken, and TooLargeError
    where it has more rows than `max_rows`, or texts larger than the stream.
    """
    messages = _messages(stream)
    columns = _columns(next(messages))
    rows = 0
    for message in messages:
        if message.kind != _RECORD_BATCH:
            raise _malformed(message.position, f"{_what(message.kind)} are not taken")
        try:
            rows += _batch_rows(stream, message, columns)
        except (struct.error, OverflowError, ValueError) as error:
            problem = "the header of the record batch is damaged"
            raise _malformed(message.position, problem) from error
        if rows > max_rows:
            raise TooLargeError("the number of jobs,", rows, max_rows, max_rows_setting)


def _messages(stream: bytes) -> Iterator[_Message]:
    """The messages in order; the first one is the schema."""
    position, first = 0, True
    while position < len(stream) or first:
        message = _message(stream, position)
        if message is None:
            break
        if first != (message.kind == _SCHEMA):
            wanted = "the schema must come first" if first else "the schema comes twice"
            raise _malformed(position, wanted)
        yield message
        position, first = message.end, False
    if first:
        raise _malformed(0, "it ends before the schema")


def _message(stream: bytes, position: int) -> _Message | None:
    """The message at a position; None at the mark that ends a stream."""
    if stream[position : position + 4] != _CONTINUATION:
        raise _malformed(position, "a message must begin with ff ff ff ff")
    try:
        (size,) = struct.unpack_from("<i", stream, position + 4)
        if not size:
            return None
        start = position + 8 + size
        if size < 0 or start > len(stream) or size % _ALIGNMENT:
            raise _malformed(position, f"a header of {size} bytes does not fit")
        table = _Table.root(stream, position + 8)
        body_bytes = table.number(3, "<q")
        header = table.table(2)
        kind = table.number(1, "<B")
    except (struct.error, OverflowError) as error:
        raise _malformed(position, "the header of the message is damaged") from error
    if header is None or not 0 <= body_bytes <= len(stream) - start:
        raise _malformed(position, f"a body of {body_bytes} bytes does not fit")
    return _Message(position, kind, header, start, start + body_bytes)


def _columns(message: _Message) -> list[_Column]:
    try:
        fields = message.header.tables(1)
        columns = [
            _Column(field.text(0), field.number(2, "<B"), field.table(4) is not None)
            for field in fields
        ]
    except (struct.error, OverflowError, UnicodeDecodeError) as error:
        raise _malformed(message.position, "the schema is damaged") from error
    names = [column.name for column in columns]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise InvalidRequestError(f"jobs: the column {twice!r} is there twice")
    return columns


def _batch_rows(stream: bytes, message: _Message, columns: list[_Column]) -> int:
    """Rows of a record batch. What its header says of columns and buffers is checked on the way."""
    header = message.header
    rows: int = header.number(0, "<q")
    if header.table(3) is not None:
        raise _malformed(message.position, "compression is not taken: send it uncompressed")
    lengths = [length for length, _ in header.pairs(1)]
    if len(lengths) != len(columns) or any(length != rows for length in lengths) or rows < 0:
        raise _malformed(message.position, f"not every column has the {rows} rows of its batch")
    buffers = header.pairs(2)
    body_bytes = message.end - message.start
    if any(start < 0 or size < 0 or start + size > body_bytes for start, size in buffers):
        raise _malformed(message.position, "a buffer lies outside the body")
    text_buffers = iter(header.numbers(4, "<q"))
    position = 0
    for column in columns:
        if column.type_number == _UTF8_VIEW and rows:
            _check_views(stream, message, rows, buffers[position : position + 2])
            position += next(text_buffers, 0)
        position += _BUFFERS[column.type_number]
    if position != len(buffers):
        raise _malformed(message.position, f"{len(buffers)} buffers, expected {position}")
    return rows


def _check_views(
    stream: bytes, message: _Message, rows: int, buffers: list[tuple[int, int]]
) -> None:
    """Many views may point at one large text, and a decoder looks through it for each of them."""
    if len(buffers) < 2 or buffers[1][1] < rows * _VIEW_BYTES:
        raise _malformed(message.position, "a buffer is too small for its rows")
    start = message.start + buffers[1][0]
    views = np.frombuffer(stream, "<i4", rows * _VIEW_BYTES // 4, start)
    total = int(views[:: _VIEW_BYTES // 4].astype(np.int64).clip(min=0).sum())
    limit = max(len(stream), rows * MAX_TEXT_BYTES, _CHEAP_BYTES)
    if total > limit:
        what = "the size of the texts of one column, in bytes,"
        raise TooLargeError(what, total, limit, f"{MAX_TEXT_BYTES} a job")


def _what(kind: int) -> str:
    return _OTHER_MESSAGES.get(kind, f"messages of kind {kind}")


def _malformed(position: int, problem: str) -> InvalidRequestError:
    return InvalidRequestError(
        f"jobs: not an Arrow IPC stream that is taken: byte {position}: {problem}"
    )


class _Table:
    """A FlatBuffers table. Reading outside the bytes raises struct.error."""

    def __init__(self, data: bytes, position: int) -> None:
        self._data = data
        self._position = position
        (back,) = struct.unpack_from("<i", data, position)
        self._slots = _at_least_0(position - back)
        (self._slots_bytes,) = struct.unpack_from("<H", data, self._slots)

    @classmethod
    def root(cls, data: bytes, position: int) -> "_Table":
        """The table that a header begins with."""
        (offset,) = struct.unpack_from("<I", data, position)
        return cls(data, position + offset)

    def number(self, field: int, code: str) -> int:
        """A number; 0 where it is left out."""
        position = self._field(field)
        return 0 if position is None else int(struct.unpack_from(code, self._data, position)[0])

    def text(self, field: int) -> str:
        """A text; "" where it is left out."""
        start, size = self._vector(field, 1)
        return self._data[start : start + size].decode()

    def table(self, field: int) -> "_Table | None":
        """A table."""
        position = self._field(field)
        return None if position is None else _Table(self._data, self._follow(position))

    def tables(self, field: int) -> "list[_Table]":
        """A vector of tables."""
        start, count = self._vector(field, 4)
        return [_Table(self._data, self._follow(start + 4 * n)) for n in range(count)]

    def pairs(self, field: int) -> list[tuple[int, int]]:
        """A vector of pairs of int64."""
        start, count = self._vector(field, _NODE_BYTES)
        return list(struct.iter_unpack("<qq", self._data[start : start + count * _NODE_BYTES]))

    def numbers(self, field: int, code: str) -> list[int]:
        """A vector of numbers."""
        size = struct.calcsize(code)
        start, count = self._vector(field, size)
        return [n for (n,) in struct.iter_unpack(code, self._data[start : start + count * size])]

    def _field(self, field: int) -> int | None:
        slot = 4 + 2 * field
        if slot + 2 > self._slots_bytes:
            return None
        (offset,) = struct.unpack_from("<H", self._data, self._slots + slot)
        return self._position + offset if offset else None

    def _follow(self, position: int) -> int:
        (offset,) = struct.unpack_from("<I", self._data, position)
        return position + int(offset)

    def _vector(self, field: int, item_bytes: int) -> tuple[int, int]:
        """Where a vector's items begin, and how many there are."""
        position = self._field(field)
        if position is None:
            return 0, 0
        start = self._follow(position)
        (count,) = struct.unpack_from("<I", self._data, start)
        if start + 4 + count * item_bytes > len(self._data):
            raise struct.error("a vector is longer than the data")
        return start + 4, count


def _at_least_0(position: int) -> int:
    """`unpack_from` would count a negative position from the end."""
    if position < 0:
        raise struct.error("a position before the data")
    return position
