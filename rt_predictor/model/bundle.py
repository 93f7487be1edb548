"""A bundle on disk: one folder, written whole or not at all, read with everything checked."""

import hashlib
import json
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from rt_predictor.errors import BundleError
from rt_predictor.model.documents import (
    SCHEMA_VERSION,
    Document,
    FeaturesDocument,
    Manifest,
    ModelInfo,
    RecalibrationDocument,
    TrainingMetrics,
)
from rt_predictor.model.files import (
    CARD_FILE,
    FEATURES_FILE,
    GRAPH_FILE,
    MANIFEST_FILE,
    METRICS_FILE,
    MODEL_FILE,
    RECALIBRATION_FILE,
    WEIGHTS_FILE,
)

_RETRAIN = "make a new one with `rt-predictor train TRACE -o DIR` or restore the folder"

Sums = Mapping[str, str] | None
"""File name -> SHA-256; None leaves the sums unchecked."""

_D = TypeVar("_D", bound=Document)


@dataclass(frozen=True)
class Bundle:
    """Everything a predictor needs."""

    graph: bytes
    """Serialised ONNX model."""
    info: ModelInfo
    recalibration: RecalibrationDocument
    features: FeaturesDocument
    metrics: TrainingMetrics
    card: str
    """Model card for people, Markdown."""
    weights: bytes = b""
    """What training can go on from, as NumPy's npz; answers need it not."""


def write_bundle(folder: Path, bundle: Bundle, libraries: Mapping[str, str]) -> Manifest:
    """Write a bundle in full beside `folder`, then put it in place of the bundle that is there.

    Args:
        folder: where to; its parent is created.
        bundle: all of it.
        libraries: name -> version of what trained and exported the model.

    Raises BundleError where the folder holds something that is not a bundle.
    """
    check_replaceable(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    contents = {
        GRAPH_FILE: bundle.graph,
        WEIGHTS_FILE: bundle.weights,
        MODEL_FILE: _to_json(bundle.info),
        RECALIBRATION_FILE: _to_json(bundle.recalibration),
        FEATURES_FILE: _to_json(bundle.features),
        METRICS_FILE: _to_json(bundle.metrics),
        CARD_FILE: bundle.card.encode(),
    }
    manifest = Manifest(
        schema_version=SCHEMA_VERSION,
        sha256={name: hashlib.sha256(data).hexdigest() for name, data in sorted(contents.items())},
        libraries=libraries,
    )
    contents[MANIFEST_FILE] = _to_json(manifest)
    staging = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        new = staging / "new"
        new.mkdir(mode=0o755)
        for name, data in contents.items():
            (new / name).write_bytes(data)
        if folder.exists():
            folder.replace(staging / "old")
        new.replace(folder)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return manifest


def check_replaceable(folder: Path) -> None:
    """Raise BundleError where the folder holds something that is not a bundle."""
    if folder.exists() and any(folder.iterdir()) and not (folder / MANIFEST_FILE).exists():
        raise BundleError(f"{folder} is not empty and holds no bundle: choose another folder")


def read_bundle(folder: Path, *, verify_hashes: bool = True) -> Bundle:
    """Read a bundle and check all of it.

    Raises BundleError saying which file is wrong, how, and how to mend it.
    """
    if not folder.is_dir():
        raise BundleError(
            f"no model bundle at {folder}: set model.path (or --bundle) to a bundle's folder, or "
            "make one with `rt-predictor train TRACE -o DIR`"
        )
    manifest = _read(folder, MANIFEST_FILE, Manifest, None)
    if manifest.schema_version != SCHEMA_VERSION:
        raise BundleError(
            f"{folder / MANIFEST_FILE}: schema version {manifest.schema_version}, this program "
            f"reads {SCHEMA_VERSION}: {_of_another_edition(manifest.schema_version)}"
        )
    sums = manifest.sha256 if verify_hashes else None
    return Bundle(
        graph=_read_bytes(folder, GRAPH_FILE, sums),
        info=_read(folder, MODEL_FILE, ModelInfo, sums),
        recalibration=_read(folder, RECALIBRATION_FILE, RecalibrationDocument, sums),
        features=_read(folder, FEATURES_FILE, FeaturesDocument, sums),
        metrics=_read(folder, METRICS_FILE, TrainingMetrics, sums),
        card=_read_bytes(folder, CARD_FILE, sums).decode(errors="replace"),
        weights=_read_bytes(folder, WEIGHTS_FILE, sums),
    )


def _of_another_edition(schema_version: int) -> str:
    if schema_version < SCHEMA_VERSION:
        return (
            "it is of an earlier edition; make it anew from its log with `rt-predictor train TRACE "
            "-o DIR`, or serve the base model that comes with this program"
        )
    return "it is of a later one; update the program"


def _read(folder: Path, name: str, document: type[_D], sums: Sums) -> _D:
    path = folder / name
    data = _load(path)
    try:
        parsed = document.model_validate_json(data)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        _check_sum(path, data, sums)
        raise BundleError(
            f"{path} is not valid{f' at {where}' if where else ''}: {first['msg']}; {_RETRAIN}"
        ) from None
    _check_sum(path, data, sums)
    return parsed


def _read_bytes(folder: Path, name: str, sums: Sums) -> bytes:
    data = _load(folder / name)
    _check_sum(folder / name, data, sums)
    return data


def _load(path: Path) -> bytes:
    try:
        if path.exists() and not path.is_file():
            raise BundleError(f"{path} cannot be read (it is no plain file): {_RETRAIN}")
        return path.read_bytes()
    except FileNotFoundError:
        raise BundleError(f"{path} is missing: {_RETRAIN}") from None
    except OSError as error:
        raise BundleError(f"{path} cannot be read ({error.strerror}): {_RETRAIN}") from None


def _check_sum(path: Path, data: bytes, sums: Sums) -> None:
    if sums is None:
        return
    expected = sums.get(path.name)
    if expected is None:
        raise BundleError(f"{path.parent / MANIFEST_FILE} has no sum for {path.name}: {_RETRAIN}")
    found = hashlib.sha256(data).hexdigest()
    if found != expected:
        raise BundleError(
            f"{path} is damaged: its SHA-256 is {found[:12]}…, the manifest says "
            f"{expected[:12]}…: {_RETRAIN}"
        )


def _to_json(document: Document) -> bytes:
    return json.dumps(document.model_dump(mode="json"), indent=1, allow_nan=False).encode() + b"\n"
