"""Bytes of a log: decompression, blocks, and what is wrong with a file."""

import bz2
import gzip
import lzma
import os
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rt_predictor.errors import TraceError
from rt_predictor.traces import source

Log = Callable[[str, str | bytes], Path]


def lines_of(path: Path) -> list[tuple[int, str]]:
    return pl.concat(list(source.line_frames(path, None))).rows()


@pytest.mark.parametrize("compress", [bytes, gzip.compress, bz2.compress, lzma.compress])
def test_lines_are_read_whatever_the_compression(
    log: Log, compress: Callable[[bytes], bytes]
) -> None:
    assert lines_of(log("log", compress(b"one\r\n\ntwo\nthree"))) == [
        (1, "one"),
        (2, ""),
        (3, "two"),
        (4, "three"),
    ]


def test_glued_gzip_files_are_one_log(log: Log) -> None:
    path = log("log.gz", gzip.compress(b"one\n") + gzip.compress(b"two\n"))
    assert lines_of(path) == [(1, "one"), (2, "two")]


def test_a_byte_order_mark_is_not_part_of_the_first_line(log: Log) -> None:
    assert lines_of(log("log", b"\xef\xbb\xbfone\n")) == [(1, "one")]
    assert source.read_head(log("log", b"\xef\xbb\xbfone\n")) == b"one\n"


def test_bytes_that_are_not_utf8_are_replaced(log: Log) -> None:
    assert lines_of(log("log", "J\xf6rg\n".encode("latin-1"))) == [(1, "J\ufffdrg")]


@settings(deadline=None, max_examples=60)
@given(st.lists(st.text("ab\u00e9 ", max_size=12), min_size=1, max_size=40), st.integers(1, 30))
def test_blocks_of_any_size_give_the_same_lines(
    tmp_path_factory: pytest.TempPathFactory, lines: list[str], block_bytes: int
) -> None:
    path = tmp_path_factory.mktemp("log") / "log"
    path.write_text("\n".join([*lines, "end"]), encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(source, "BLOCK_BYTES", block_bytes)
        assert lines_of(path) == list(enumerate([*lines, "end"], 1))


@pytest.mark.parametrize(
    ("data", "whole"),
    [
        (b'a,b\n"c', b"a,b\n"),
        (b'a,"b\nc"\nd', b'a,"b\nc"\n'),
        (b'"a\nb\nc', b""),
        (b"no end", b""),
        (b'a,"b ""x""\ny"\nz\n"', b'a,"b ""x""\ny"\nz\n'),
    ],
)
def test_csv_records_are_not_cut_inside_quotes(data: bytes, whole: bytes) -> None:
    assert data[: source.last_quoted_record_end(data)] == whole


def test_progress_rises_to_the_whole_file(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "BLOCK_BYTES", 1000)
    shares: list[float] = []
    path = log("log.gz", gzip.compress(os.urandom(20_000).hex().encode() + b"\n"))
    list(source.text_blocks(path, cut=source.last_line_end, progress=shares.append))
    assert shares == sorted(shares)
    assert shares[-1] == 1.0


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match=r"none\.swf does not exist"):
        source.read_head(tmp_path / "none.swf")


def test_a_folder_is_no_log(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match=r"cannot read .*: Is a directory"):
        source.read_head(tmp_path)


@pytest.mark.parametrize("content", [b"", b" \n\n", gzip.compress(b"")], ids=["", "blank", "gzip"])
def test_an_empty_file_is_said_to_be_empty(log: Log, content: bytes) -> None:
    with pytest.raises(TraceError, match="log is empty"):
        source.read_head(log("log", content))


def test_a_name_that_promises_a_compression_is_held_to_it(log: Log) -> None:
    with pytest.raises(TraceError, match=r"is named \.gz but is not compressed so"):
        source.read_head(log("log.swf.gz", "1 2 3\n"))


@pytest.mark.parametrize("compress", [gzip.compress, bz2.compress, lzma.compress])
def test_cut_compressed_data_is_said_to_be_cut(
    log: Log, compress: Callable[[bytes], bytes]
) -> None:
    whole = compress(os.urandom(5000).hex().encode())
    with pytest.raises(TraceError, match="is cut short"):
        lines_of(log("log", whole[: len(whole) // 2]))


def test_damaged_compressed_data_is_said_to_be_damaged(log: Log) -> None:
    data = bytearray(gzip.compress(os.urandom(5000).hex().encode()))
    data[len(data) // 2] ^= 0xFF
    with pytest.raises(TraceError, match="is damaged"):
        lines_of(log("log.gz", bytes(data)))


def test_zstd_says_how_to_go_on(log: Log) -> None:
    with pytest.raises(TraceError, match="decompress it first"):
        source.read_head(log("log.zst", b"\x28\xb5\x2f\xfd\x00\x00"))


def test_binary_junk_is_refused(log: Log) -> None:
    with pytest.raises(TraceError, match=r"is not UTF-8 text \(byte 3 is zero\)"):
        lines_of(log("log", b"abc\0def\n" * 10))


def test_text_in_another_encoding_is_refused(log: Log) -> None:
    with pytest.raises(TraceError, match="another encoding"):
        lines_of(log("log", "1 2 3\n".encode("utf-16")))


def test_a_record_without_end_is_refused(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "BLOCK_BYTES", 100)
    monkeypatch.setattr(source, "MAX_RECORD_BYTES", 1000)
    with pytest.raises(TraceError, match="no record's end within"):
        lines_of(log("log", b"x" * 5000))


@pytest.mark.parametrize(
    ("name", "suffix"),
    [("a.swf", ".swf"), ("a.swf.gz", ".swf"), ("a.CSV.BZ2", ".csv"), ("a.gz", ""), ("a", "")],
)
def test_the_suffix_is_that_of_the_log_not_of_its_compression(name: str, suffix: str) -> None:
    assert source.plain_suffix(Path(name)) == suffix
