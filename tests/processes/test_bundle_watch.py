"""When a folder is said to hold another bundle that is whole."""

import hashlib
import json
import shutil
from pathlib import Path

import pytest

from rt_predictor.model.files import GRAPH_FILE, MANIFEST_FILE
from rt_predictor.processes.bundle_watch import TOO_LONG_S, BundleWatch, is_whole
from rt_predictor.processes.served_model import digest_of


class Clock:
    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "bundle"
    folder.mkdir()
    write_manifest(folder, b"graph 1")
    (folder / GRAPH_FILE).write_bytes(b"graph 1")
    return folder


@pytest.fixture
def watch(folder: Path, clock: Clock) -> BundleWatch:
    return BundleWatch(folder, digest_of(folder), clock)


def write_manifest(folder: Path, graph: bytes) -> None:
    sums = {GRAPH_FILE: hashlib.sha256(graph).hexdigest()}
    (folder / MANIFEST_FILE).write_text(json.dumps({"sha256": sums}))


def test_what_is_served_is_not_told_of(watch: BundleWatch) -> None:
    assert not watch.look()
    assert not watch.look()


def test_another_bundle_is_told_of_once_at_the_second_look(
    watch: BundleWatch, folder: Path
) -> None:
    write_manifest(folder, b"graph 2")
    (folder / GRAPH_FILE).write_bytes(b"graph 2")
    assert [watch.look() for _ in range(4)] == [False, True, False, False]


def test_one_that_is_being_written_is_left_alone_until_it_is_whole(
    watch: BundleWatch, folder: Path
) -> None:
    write_manifest(folder, b"graph 2")
    assert not any(watch.look() for _ in range(5))
    (folder / GRAPH_FILE).write_bytes(b"grap")
    assert not any(watch.look() for _ in range(5))
    (folder / GRAPH_FILE).write_bytes(b"graph 2")
    assert [watch.look(), watch.look()] == [True, False]


def test_one_that_is_not_whole_for_long_is_told_of_once_and_again_when_it_is(
    watch: BundleWatch, folder: Path, clock: Clock
) -> None:
    write_manifest(folder, b"graph 2")
    assert not watch.look()
    clock.now_s = TOO_LONG_S
    assert [watch.look() for _ in range(3)] == [True, False, False]
    (folder / GRAPH_FILE).write_bytes(b"graph 2")
    assert [watch.look(), watch.look()] == [True, False]


def test_the_old_one_is_told_of_when_it_comes_back_after_another(
    watch: BundleWatch, folder: Path
) -> None:
    write_manifest(folder, b"graph 2")
    (folder / GRAPH_FILE).write_bytes(b"graph 2")
    assert [watch.look(), watch.look()] == [False, True]
    write_manifest(folder, b"graph 1")
    (folder / GRAPH_FILE).write_bytes(b"graph 1")
    assert [watch.look(), watch.look()] == [False, True]


def test_a_folder_that_is_gone_for_a_moment_is_no_news(watch: BundleWatch, folder: Path) -> None:
    away = folder.with_name("away")
    folder.rename(away)
    assert not any(watch.look() for _ in range(3))
    away.rename(folder)
    assert not any(watch.look() for _ in range(3))
    shutil.rmtree(folder)
    assert not any(watch.look() for _ in range(3))


@pytest.mark.parametrize(
    "manifest",
    [b"", b"{", b"[]", b"{}", b'{"sha256": 3}', b'{"sha256": {"none": "x"}}', b"\xff\xfe"],
)
def test_what_is_no_manifest_is_not_whole(folder: Path, manifest: bytes) -> None:
    assert is_whole(folder)
    (folder / MANIFEST_FILE).write_bytes(manifest)
    assert not is_whole(folder)
