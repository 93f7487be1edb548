import json
from collections.abc import Callable
from pathlib import Path

import pytest

from rt_predictor.errors import BundleError
from rt_predictor.model.bundle import Bundle, read_bundle, write_bundle
from rt_predictor.model.documents import SpanDocument
from rt_predictor.model.files import (
    BUNDLE_FILES,
    CARD_FILE,
    GRAPH_FILE,
    MANIFEST_FILE,
    MODEL_FILE,
    RECALIBRATION_FILE,
)
from tests.model.bundles import LEARNED, a_base, a_bundle, a_tuned


@pytest.fixture
def bundle() -> Bundle:
    return a_bundle()


@pytest.fixture
def folder(tmp_path: Path, bundle: Bundle) -> Path:
    write_bundle(tmp_path / "b", bundle, {"onnx": "1"})
    return tmp_path / "b"


def test_what_is_written_is_read(folder: Path, bundle: Bundle) -> None:
    assert read_bundle(folder) == bundle
    assert {path.name for path in folder.iterdir()} == set(BUNDLE_FILES)


def test_a_bundle_knows_which_jobs_it_learned_from(folder: Path) -> None:
    assert read_bundle(folder).info.fingerprints().hold(LEARNED).all()
    assert not a_base().fingerprints().hold(LEARNED).any()


@pytest.mark.parametrize(
    "changes",
    [{"training_span": SpanDocument(start=0, end=1)}, {"base_version": "v0"}],
)
def test_a_base_model_knows_no_site(changes: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="a base model has no training span"):
        a_base(**changes)


@pytest.mark.parametrize("missing", ["training_span", "learned_from"])
def test_a_fine_tuned_model_tells_what_it_learned_from(missing: str) -> None:
    with pytest.raises(ValueError, match="has a training span and fingerprints"):
        a_tuned(**{missing: None})


def test_a_span_does_not_end_before_it_starts() -> None:
    with pytest.raises(ValueError, match="ends before it starts"):
        SpanDocument(start=2, end=1)


def test_samples_are_those_of_all_logs() -> None:
    assert a_base().training_samples == 10


def test_writing_again_replaces_the_bundle_and_leaves_nothing_behind(
    folder: Path, bundle: Bundle
) -> None:
    write_bundle(folder, bundle, {"onnx": "2"})
    assert json.loads((folder / MANIFEST_FILE).read_text())["libraries"] == {"onnx": "2"}
    assert [path.name for path in folder.parent.iterdir()] == ["b"]


def test_a_folder_that_holds_something_else_is_left_alone(tmp_path: Path, bundle: Bundle) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(BundleError, match="holds no bundle"):
        write_bundle(tmp_path, bundle, {})
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_a_missing_folder_says_how_to_get_a_bundle(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"no model bundle at .*rt-predictor train"):
        read_bundle(tmp_path / "nothing")


@pytest.mark.parametrize("name", [GRAPH_FILE, RECALIBRATION_FILE, CARD_FILE, MANIFEST_FILE])
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(BundleError, match=f"{name} is missing"):
        read_bundle(folder)


def test_a_flipped_bit_is_found(folder: Path) -> None:
    data = bytearray((folder / GRAPH_FILE).read_bytes())
    data[3] ^= 1
    (folder / GRAPH_FILE).write_bytes(bytes(data))
    with pytest.raises(BundleError, match=r"graph.onnx is damaged: its SHA-256"):
        read_bundle(folder)


def test_sums_can_be_left_unchecked(folder: Path) -> None:
    (folder / GRAPH_FILE).write_bytes(b"other")
    assert read_bundle(folder, verify_hashes=False).graph == b"other"


def edit(folder: Path, name: str, change: Callable[[dict[str, object]], None]) -> None:
    document = json.loads((folder / name).read_text())
    change(document)
    (folder / name).write_text(json.dumps(document))


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"kind": "site"}, r"at kind: Input should be 'base' or 'fine-tuned'"),
        ({"members": []}, r"at members: Extra inputs are not permitted"),
        ({"learned_from": {"jobs": 1, "bits": "?"}}, r"at learned_from: .*no base64"),
    ],
)
def test_a_model_that_makes_no_sense_is_refused(
    folder: Path, change: dict[str, object], rule: str
) -> None:
    edit(folder, MODEL_FILE, lambda d: d.update(change))
    with pytest.raises(BundleError, match=rule):
        read_bundle(folder, verify_hashes=False)


@pytest.mark.parametrize(
    ("version", "words"),
    [(4, "of an earlier edition; make it anew"), (99, "of a later one; update the program")],
)
def test_a_bundle_of_another_edition_says_what_to_do(
    folder: Path, version: int, words: str
) -> None:
    edit(folder, MANIFEST_FILE, lambda d: d.update(schema_version=version))
    with pytest.raises(BundleError, match=f"schema version {version}, .*{words}") as raised:
        read_bundle(folder)
    assert "\n" not in str(raised.value)


def test_a_file_without_a_sum_is_refused(folder: Path) -> None:
    edit(folder, MANIFEST_FILE, lambda d: d["sha256"].pop(GRAPH_FILE))  # type: ignore[attr-defined]
    with pytest.raises(BundleError, match=f"no sum for {GRAPH_FILE}"):
        read_bundle(folder)


def test_text_that_is_not_json_is_refused(folder: Path) -> None:
    (folder / MANIFEST_FILE).write_text("{")
    with pytest.raises(BundleError, match=r"manifest.json is not valid"):
        read_bundle(folder)


def test_a_file_that_cannot_be_read_is_named(folder: Path) -> None:
    (folder / GRAPH_FILE).unlink()
    (folder / GRAPH_FILE).mkdir()
    with pytest.raises(BundleError, match=r"graph.onnx cannot be read"):
        read_bundle(folder)


@pytest.mark.parametrize("name", ["manifest.json", "graph.onnx"])
def test_a_device_in_place_of_a_file_is_not_read(folder: Path, name: str) -> None:
    (folder / name).unlink()
    (folder / name).symlink_to("/dev/zero")
    with pytest.raises(BundleError, match=f"{name} cannot be read .it is no plain file"):
        read_bundle(folder)
