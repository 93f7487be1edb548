import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from rt_predictor.errors import BundleError
from rt_predictor.model.bounds import GROUPS, LEVELS, QUANTILES, TAILS
from rt_predictor.model.bundle import (
    CALIBRATION_FILE,
    ENSEMBLE_FILE,
    GRAPH_FILE,
    MANIFEST_FILE,
    REFERENCE_FILE,
    Bundle,
    read_bundle,
    write_bundle,
)
from rt_predictor.model.documents import (
    CalibrationDocument,
    EnsembleConfig,
    FeaturesDocument,
    ModelEntry,
    ModelInfo,
    ReferenceDocument,
    TrainingMetrics,
)
from rt_predictor.model.reference import BINS, REQUEST


@pytest.fixture
def bundle() -> Bundle:
    return Bundle(
        graph=b"not a graph, but bytes",
        ensemble=EnsembleConfig(
            models={"xgboost": ModelEntry(weight=1.0, trees=3)},
            graph_inputs={"inputs": 1, "expert_losses": 2},
            graph_outputs={"prediction": 1},
        ),
        features=FeaturesDocument(inputs=("a",), features=(), categories=(), ranges={}),
        calibration=CalibrationDocument(
            method="online_conformal_quantiles",
            level=0.9,
            levels=LEVELS,
            quantiles=QUANTILES,
            jobs=10,
            limit_overrun=1.0,
            typical_runtime_s=60.0,
            offsets=((0.0,) * (TAILS + 2),) * GROUPS,
            timeout_base_rate=None,
        ),
        info=ModelInfo(
            model_version="v1",
            trained_at=1.0,
            training_span_start=0.0,
            training_span_end=1.0,
            training_samples=10,
            training_traces=("log",),
            settings={},
        ),
        metrics=TrainingMetrics(evaluation={}, parity={}, boosters={}, seconds={}),
    )


@pytest.fixture
def folder(tmp_path: Path, bundle: Bundle) -> Path:
    write_bundle(tmp_path / "b", bundle, {"onnx": "1"})
    return tmp_path / "b"


def a_column(**changes: object) -> dict[str, object]:
    shares = (0.25, 0.75) + (0.0,) * (BINS - 2)
    known = {"name": "time_req", "group": REQUEST, "edges": (60.0,), "shares": shares}
    return {**known, **changes}


def test_what_jobs_were_like_is_read_where_it_was_written(tmp_path: Path, bundle: Bundle) -> None:
    reference = ReferenceDocument.model_validate({"columns": (a_column(),)})
    with_reference = replace(bundle, reference=reference)
    write_bundle(tmp_path / "b", with_reference, {})
    assert read_bundle(tmp_path / "b") == with_reference
    (tmp_path / "b" / REFERENCE_FILE).unlink()
    with pytest.raises(BundleError, match=r"reference\.json is missing"):
        read_bundle(tmp_path / "b")


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"name": "queue"}, "does not watch queue under request"),
        ({"group": "history"}, "does not watch time_req under history"),
        ({"edges": (60.0, 60.0)}, "the edges of time_req do not ascend"),
        ({"shares": (0.5,) * BINS}, "not those of a whole"),
        ({"shares": (1.0,)}, "at least 13 items"),
    ],
)
def test_a_reference_that_makes_no_sense_is_refused(changes: dict[str, object], rule: str) -> None:
    with pytest.raises(ValueError, match=rule):
        ReferenceDocument.model_validate({"columns": (a_column(**changes),)})


def test_what_is_written_is_read(folder: Path, bundle: Bundle) -> None:
    assert read_bundle(folder) == bundle


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


@pytest.mark.parametrize("name", [GRAPH_FILE, CALIBRATION_FILE, MANIFEST_FILE])
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(BundleError, match=f"{name} is missing"):
        read_bundle(folder)


def test_a_flipped_bit_is_found(folder: Path) -> None:
    data = bytearray((folder / GRAPH_FILE).read_bytes())
    data[3] ^= 1
    (folder / GRAPH_FILE).write_bytes(bytes(data))
    with pytest.raises(BundleError, match=r"ensemble.onnx is damaged: its SHA-256"):
        read_bundle(folder)


def test_sums_can_be_left_unchecked(folder: Path) -> None:
    (folder / GRAPH_FILE).write_bytes(b"other")
    assert read_bundle(folder, verify_hashes=False).graph == b"other"


def edit(folder: Path, name: str, change: Callable[[dict[str, object]], None]) -> None:
    document = json.loads((folder / name).read_text())
    change(document)
    (folder / name).write_text(json.dumps(document))


def test_the_old_key_model_names_says_what_it_is_called_now(folder: Path) -> None:
    edit(folder, ENSEMBLE_FILE, lambda d: d.update(model_names=["xgboost"]))
    with pytest.raises(BundleError, match=r"old key `model_names`: the key is `models` now"):
        read_bundle(folder)


def test_weights_that_do_not_sum_to_one_are_refused(folder: Path) -> None:
    edit(folder, ENSEMBLE_FILE, lambda d: d["models"]["xgboost"].update(weight=0.5))  # type: ignore[index]
    with pytest.raises(BundleError, match=r"sum to 0.5"):
        read_bundle(folder, verify_hashes=False)


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"levels": [0.5, 0.8]}, "`levels` must be"),
        ({"quantiles": [0.1, 0.9]}, "`quantiles` must be"),
        ({"level": 0.8}, "`level` must be one of"),
        ({"offsets": [[0.0] * (TAILS + 2)]}, f"`offsets` must be {GROUPS} rows"),
        ({"offsets": [[0.0]] * GROUPS}, f"of {TAILS + 2} numbers"),
    ],
)
def test_calibration_that_does_not_fit_the_program_is_refused(
    folder: Path, change: dict[str, object], rule: str
) -> None:
    edit(folder, CALIBRATION_FILE, lambda d: d.update(change))
    with pytest.raises(BundleError, match=rule):
        read_bundle(folder, verify_hashes=False)


def test_another_schema_version_is_refused(folder: Path) -> None:
    edit(folder, MANIFEST_FILE, lambda d: d.update(schema_version=99))
    with pytest.raises(BundleError, match="schema version 99"):
        read_bundle(folder)


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
    with pytest.raises(BundleError, match=r"ensemble.onnx cannot be read"):
        read_bundle(folder)
