"""The copy that workers load, and the first worker that makes it."""

from pathlib import Path

import pytest

from rt_predictor.errors import BundleError
from rt_predictor.history.history import History
from rt_predictor.model.files import GRAPH_FILE, MANIFEST_FILE
from rt_predictor.predict.port import PredictorPort
from rt_predictor.processes import worker as module
from rt_predictor.processes.served_model import ServedModel, digest_of
from rt_predictor.processes.worker import Start, WorkerTask
from rt_predictor.settings import ModelSettings, Settings
from tests.predict.fakes import FakePredictor


@pytest.fixture
def model(tmp_path: Path) -> ServedModel:
    source = tmp_path / "source"
    source.mkdir()
    (source / GRAPH_FILE).write_bytes(b"graph")
    (source / MANIFEST_FILE).write_bytes(b"manifest")
    (source / "notes.txt").write_bytes(b"no part of a bundle")
    return ServedModel.beside(source, tmp_path)


def test_the_copy_holds_the_files_of_a_bundle_and_no_others(model: ServedModel) -> None:
    model.take()
    assert {file.name for file in model.copy.iterdir()} == {GRAPH_FILE, MANIFEST_FILE}
    assert model.digest == digest_of(model.source) != ""


def test_devices_are_neither_copied_nor_read(model: ServedModel) -> None:
    (model.source / MANIFEST_FILE).unlink(missing_ok=True)
    (model.source / MANIFEST_FILE).symlink_to("/dev/zero")
    model.take()
    assert not (model.copy / MANIFEST_FILE).exists()
    assert digest_of(model.source) == ""


def test_taking_it_again_leaves_nothing_of_what_was_there_before(model: ServedModel) -> None:
    model.take()
    (model.source / GRAPH_FILE).unlink()
    model.take()
    assert {file.name for file in model.copy.iterdir()} == {MANIFEST_FILE}


def test_of_a_folder_that_is_not_there_nothing_is_copied(model: ServedModel) -> None:
    nowhere = ServedModel(model.source / "none", model.copy)
    nowhere.take()
    assert not model.copy.exists()
    assert nowhere.digest == ""


def test_a_copy_that_is_dropped_is_gone_with_its_folder(model: ServedModel) -> None:
    model.take()
    model.drop()
    assert not model.copy.parent.exists()
    model.drop()


class Factory:
    """Loads bundles whose graph is as it should be."""

    def __init__(self) -> None:
        self.loaded: list[Path] = []

    def __call__(self, settings: Settings, history: History) -> PredictorPort:
        del history
        path = settings.model.path
        self.loaded.append(path)
        if (path / GRAPH_FILE).read_bytes() != b"graph":
            raise BundleError(f"{path / GRAPH_FILE} is damaged")
        return FakePredictor()


def _task(model: ServedModel, factory: Factory, *, takes: bool) -> WorkerTask:
    settings = Settings(model=ModelSettings(path=model.source))
    return WorkerTask(settings, factory, 0, 1, model.copy.parent, Start(model, takes=takes))


def test_workers_load_the_copy_whatever_the_folder_holds(model: ServedModel) -> None:
    model.take()
    (model.source / GRAPH_FILE).write_bytes(b"half")
    factory = Factory()
    module._load(_task(model, factory, takes=False), History.off())
    assert factory.loaded == [model.copy]


def test_a_bundle_that_was_replaced_while_it_was_copied_is_copied_again(
    model: ServedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    (model.source / GRAPH_FILE).write_bytes(b"half")

    def replaced_meanwhile(pause_s: float) -> None:
        assert pause_s == module.RETAKE_S
        (model.source / GRAPH_FILE).write_bytes(b"graph")

    monkeypatch.setattr(module.time, "sleep", replaced_meanwhile)
    module._load(_task(model, Factory(), takes=True), History.off())
    assert (model.copy / GRAPH_FILE).read_bytes() == b"graph"


def test_what_is_wrong_is_said_of_the_folder_that_the_settings_name(
    model: ServedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "RETAKE_S", 0.0)
    (model.source / GRAPH_FILE).write_bytes(b"half")
    with pytest.raises(BundleError) as raised:
        module._load(_task(model, Factory(), takes=True), History.off())
    assert str(raised.value) == f"{model.source / GRAPH_FILE} is damaged"
