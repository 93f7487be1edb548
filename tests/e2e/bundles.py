"""Bundles that are good under another version, and ones that are not good."""

import hashlib
import json
import shutil
from pathlib import Path

from rt_predictor.model.files import BUNDLE_FILES, GRAPH_FILE, MANIFEST_FILE, MODEL_FILE


def copy_bundle(bundle: Path, folder: Path) -> Path:
    """A copy of a bundle."""
    folder.mkdir(parents=True)
    for name in BUNDLE_FILES:
        if (bundle / name).exists():
            shutil.copyfile(bundle / name, folder / name)
    return folder


def renamed(bundle: Path, folder: Path, version: str) -> Path:
    """A copy of a bundle that is whole, and says another version of itself."""
    copy_bundle(bundle, folder)
    info = json.loads((folder / MODEL_FILE).read_text())
    (folder / MODEL_FILE).write_text(json.dumps({**info, "model_version": version}))
    rehash(folder, MODEL_FILE)
    return folder


def rehash(folder: Path, name: str) -> None:
    """Has the manifest say what a file is like now."""
    manifest = json.loads((folder / MANIFEST_FILE).read_text())
    manifest["sha256"][name] = hashlib.sha256((folder / name).read_bytes()).hexdigest()
    (folder / MANIFEST_FILE).write_text(json.dumps(manifest))


def put_in_place(new: Path, folder: Path) -> None:
    """Moves a bundle to where another one is, as `rt-predictor train -o` does."""
    folder.rename(folder.with_name(f"{folder.name}.old"))
    new.rename(folder)
    shutil.rmtree(folder.with_name(f"{folder.name}.old"))


def version_of(bundle: Path) -> str:
    """The version that a bundle says of itself."""
    return str(json.loads((bundle / MODEL_FILE).read_text())["model_version"])


def flip_a_bit(bundle: Path) -> None:
    """Damages the graph."""
    data = bytearray((bundle / GRAPH_FILE).read_bytes())
    data[len(data) // 2] ^= 1
    (bundle / GRAPH_FILE).write_bytes(data)


def cut_short(bundle: Path) -> None:
    """Leaves half of the graph."""
    data = (bundle / GRAPH_FILE).read_bytes()
    (bundle / GRAPH_FILE).write_bytes(data[: len(data) // 2])


def spoil(bundle: Path) -> None:
    """Puts something that is no graph in its place, and has the manifest say so: it is whole."""
    (bundle / GRAPH_FILE).write_bytes(b"no graph")
    rehash(bundle, GRAPH_FILE)


def write_half(bundle: Path) -> None:
    """Leaves half of the files, and the manifest."""
    for name in BUNDLE_FILES[: len(BUNDLE_FILES) // 2]:
        (bundle / name).unlink()
