"""The tool that trains the base model, and the logs that it knows."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture
def tool(load_tool: Callable[[str], ModuleType]) -> ModuleType:
    return load_tool("base")


@pytest.fixture
def logs(load_tool: Callable[[str], ModuleType]) -> ModuleType:
    return load_tool("public_logs")


def test_every_log_names_whom_to_thank_and_none_is_a_copy(logs: ModuleType) -> None:
    assert len(logs.JUDGED) == 11
    assert len({log.file for log in logs.PUBLIC_LOGS}) == len(logs.PUBLIC_LOGS)
    for log in logs.PUBLIC_LOGS:
        assert log.acknowledgement, log.name
        assert "pyss" not in log.file
        assert "first" not in log.file


def test_waits_and_spans_become_times(logs: ModuleType, tmp_path: Path) -> None:
    (log,) = (log for log in logs.PUBLIC_LOGS if log.name == "ThetaGPU")
    heads = "job,user,project,gpu_num,cpu_num,node_num,submit_time,wait_time,run_time,wall_time"
    text = f"{heads},new_status\n7,0.0,9.0,1.0,0,1.0,100.0,5.0,50.5,3600.0,Pass\n"
    (tmp_path / log.file).write_bytes(gzip.compress(text.encode()))
    (job,) = log.read(tmp_path).to_dicts()
    assert (job["start_time"], job["end_time"], job["runtime"]) == (105.0, 155.5, 50.5)
    assert (job["user"], job["account"], job["state"]) == (None, "9.0", "COMPLETED")
    assert (job["time_req"], job["gpus_req"]) == (3600.0, 1.0)


def test_logs_that_are_not_there_are_named(tool: ModuleType, tmp_path: Path, capsys) -> None:
    assert tool.main(["--traces", str(tmp_path), "-o", str(tmp_path / "x")]) == 1
    assert "lacks drac-graham-2021.sacct.gz" in capsys.readouterr().err


def test_a_base_is_trained_on_what_is_left(
    tool: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    learned: list[str] = []

    def train_base(logs: list, folder: Path, *_: object, **__: object) -> object:
        learned.extend(log.log.name for log in logs)
        info = type("Info", (), {"model_version": "v7"})
        return type("Bundle", (), {"info": info})

    monkeypatch.setattr(tool, "train_base", train_base)
    names = ["KTH-SP2", "ThetaGPU", "Theta"]
    few = [log for log in tool.PUBLIC_LOGS if log.name in names]
    monkeypatch.setattr(tool, "PUBLIC_LOGS", few)
    (tmp_path / few[0].file).write_bytes(
        gzip.compress(b"".join(b"%d %d 0 60 4 -1 -1 4 600 -1 1 3 1 -1 1 1 -1 -1\n" % (n, n * 90)
                               for n in range(1, 60)))
    )  # fmt: skip
    options = ["--traces", str(tmp_path), "-o", str(tmp_path / "x"), "--without", "ALCF"]
    assert tool.main(options) == 0, capsys.readouterr().err
    assert learned == ["KTH-SP2"]
    assert "wrote model v7" in capsys.readouterr().out


def test_the_sizes_of_the_production_model_are_small(project: Path) -> None:
    folder = project / "artifacts" / "production"
    if not (folder / "model.json").exists():
        pytest.skip("no base model has been trained yet")
    assert json.loads((folder / "model.json").read_text())["kind"] == "base"
    assert sum(path.stat().st_size for path in folder.iterdir()) < 8e6
