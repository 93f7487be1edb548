"""A folder in the place of another, in one step where the system can."""

import os
from pathlib import Path

import pytest

from rt_predictor.model.files import BUNDLE_FILES
from rt_predictor.processes.served_model import digest_of
from rt_predictor.renew import put_in_place as module
from rt_predictor.renew.put_in_place import copy_bundle, finish, put_in_place, remove
from tests.model.plain_bundle import write_plain_bundle
from tests.renew.sites import version_of


@pytest.fixture(params=["at once", "in two steps"])
def exchanging(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "in two steps":
        monkeypatch.setattr(module, "_exchanged", lambda *_: False)


@pytest.mark.usefixtures("exchanging")
def test_what_was_there_goes_aside_in_place_of_what_lies_there(tmp_path: Path) -> None:
    new, folder, aside = (
        write_plain_bundle(tmp_path / name, version=name) for name in ("new", "folder", "aside")
    )
    put_in_place(new, folder, aside)
    assert (version_of(folder), version_of(aside)) == ("new", "folder")
    assert not new.exists()


@pytest.mark.usefixtures("exchanging")
def test_there_need_be_nothing_yet(tmp_path: Path) -> None:
    put_in_place(
        write_plain_bundle(tmp_path / "new", version="new"), tmp_path / "a", tmp_path / "b"
    )
    assert version_of(tmp_path / "a") == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


@pytest.mark.usefixtures("exchanging")
def test_a_link_is_put_aside_and_what_it_names_left_alone(tmp_path: Path) -> None:
    release = write_plain_bundle(tmp_path / "release", version="old")
    link, aside = tmp_path / "served", tmp_path / "aside"
    link.symlink_to("release")
    new = write_plain_bundle(tmp_path / "new", version="new")
    put_in_place(new, link, aside)
    assert (version_of(link), version_of(release), version_of(aside)) == ("new", "old", "old")
    assert aside.is_symlink()
    remove(aside)
    assert version_of(release) == "old"


def test_names_are_exchanged_where_the_system_can(tmp_path: Path) -> None:
    one, other = (write_plain_bundle(tmp_path / name, version=name) for name in ("1", "2"))
    if not module._exchanged(one, other):
        pytest.skip("this system exchanges no names")
    assert (version_of(one), version_of(other)) == ("2", "1")
    with pytest.raises(OSError, match="No such file"):
        module._exchanged(one, tmp_path / "3")


def test_a_copy_has_all_files_of_a_bundle_and_its_digest(tmp_path: Path) -> None:
    bundle = write_plain_bundle(tmp_path / "bundle")
    (tmp_path / "copy").mkdir()
    (tmp_path / "copy" / "rest").write_text("of a copy that was cut off")
    copy_bundle(bundle, tmp_path / "copy")
    assert set(os.listdir(tmp_path / "copy")) == set(BUNDLE_FILES)  # noqa: PTH208
    assert digest_of(tmp_path / "copy") == digest_of(bundle)


def test_a_copy_that_never_got_in_place_is_removed(tmp_path: Path) -> None:
    new = write_plain_bundle(tmp_path / "new", version="new")
    folder = write_plain_bundle(tmp_path / "folder", version="old")
    finish(new, folder, tmp_path / "aside", digest_of(new))
    assert version_of(folder) == "old"
    assert {path.name for path in tmp_path.iterdir()} == {"folder"}


def test_half_a_copy_is_put_nowhere(tmp_path: Path) -> None:
    new = write_plain_bundle(tmp_path / "new", version="new")
    finish(new, tmp_path / "folder", tmp_path / "aside", "another digest")
    assert list(tmp_path.iterdir()) == []
