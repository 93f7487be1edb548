"""The tool that makes edition 1.0's answers again: with an edition of a few lines in its place."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import polars as pl
import pytest

JOBS = {
    "job_id": ["7", None, "9"],
    "submit_time": [10.0, 20.0, 20.0],
    "end_time": [110.0, 220.0, 20.5],
    "processors_req": [4.0, None, 1.0],
    "time_req": [3600.0, None, 60.0],
    "runtime": [100.0, 200.0, 0.5],
    "user": ["ann", "bob", None],
}
COLUMNS = [
    "job_id", "submit_time", "end_time", "processors_req", "time_req", "runtime",
    "predicted_s", "lower_50_s", "upper_50_s", "lower_90_s", "upper_90_s", "lower_95_s",
    "upper_95_s", "timeout_probability", "recommended_90_s", "recommended_95_s", "user_runs",
]  # fmt: skip

FAKE = {
    "errors": "class RTPredictorError(Exception): pass",
    "settings": """
from types import SimpleNamespace

class Settings:
    prediction = SimpleNamespace(confidence_level=0.9, limit_granularity_s=300.0)

    def with_overrides(self, overrides):
        assert overrides == {"training.threads": 1}
        return self
""",
    "traces/reader": """
import os
from types import SimpleNamespace
import polars as pl
from rt_predictor.errors import RTPredictorError

def read_trace(path):
    assert os.environ["POLARS_MAX_THREADS"] == "1"
    assert not [name for name in os.environ if name.startswith("RT_PREDICTOR_")]
    if not path.read_text().startswith("["):
        raise RTPredictorError(f"{path.name} is no job log")
    return SimpleNamespace(jobs=pl.read_json(path))
""",
    "features/rules": "null_invalid = lambda jobs: jobs",
    "training/split": "scorable = lambda jobs: jobs.filter(runtime=2.0)",
    "training/replay": """
import numpy as np
from types import SimpleNamespace

def replay(jobs, settings, retrain_every_days, progress):
    assert retrain_every_days is None
    progress("fitting", 0.0)
    progress("fitting", 1.0)
    n = len(jobs)
    ends = np.arange(3) + np.ones((n, 1))
    return SimpleNamespace(
        jobs=jobs, predicted_s=np.full(n, 2.5), levels=(0.5, 0.9, 0.95), lower_s=-ends,
        upper_s=ends, timeout_probability=np.full(n, np.nan), user_runs=np.zeros(n))
""",
    "model/bounds": """
upper_quantile_s = lambda upper_s, point_s, confidence: point_s + confidence
recommended_time_req_s = lambda reached_s, granularity_s: reached_s * granularity_s
""",
    "training/evaluate": """
from types import SimpleNamespace

def evaluate(name, jobs, replayed, level):
    errors = dict(request=9.0, last2=4.0, user_median5=5.0, backoff_median5=6.0, request_only=1.0)
    points = {"mae": 3.0, "median_ae": 1.0, "accuracy": 0.5}
    interval = {"level": 0.9, "coverage": 0.88, "winkler": 1.0, "winkler_constant_width": 2.0}
    return SimpleNamespace(to_json=lambda: {
        "jobs_train": 5, "jobs_test": len(jobs), "models": {"ensemble": points},
        "baselines": {name: {"mae": mae} for name, mae in errors.items()},
        "intervals": [interval], "timeouts": None})
""",
}
"""Modules of an edition that knows nothing, and checks what it is called with."""


@pytest.fixture
def tool(load_tool: Callable[[str], ModuleType]) -> ModuleType:
    return load_tool("edition1")


@pytest.fixture
def answers(load_tool: Callable[[str], ModuleType]) -> ModuleType:
    return load_tool("edition1_answers")


@pytest.fixture
def build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A build folder with the fake edition as its source."""
    package = tmp_path / "build" / "source" / "rt_predictor"
    for name, text in FAKE.items():
        module = package / f"{name}.py"
        module.parent.mkdir(parents=True, exist_ok=True)
        module.write_text(text)
        for folder in (package, module.parent):
            (folder / "__init__.py").touch()
    monkeypatch.setenv("RT_PREDICTOR_TRAINING__SEED", "1")
    return package.parents[1]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """A log of two jobs that the fake edition scores, and one that it does not."""
    path = tmp_path / "a.log-2.1-cln.swf.gz"
    runtimes = {"runtime": [2.0, 1.0, 2.0], "job_id": ["a", "b", "c"]}
    pl.DataFrame({**JOBS, **runtimes}).write_json(path)
    return path


@pytest.fixture
def run(tool: ModuleType, build: Path, tmp_path: Path) -> Callable[..., int]:
    """Call the tool on logs with the fake edition and this Python; answers go to `out`."""

    def called(*logs: Path) -> int:
        options = ("-o", tmp_path / "out", "--build", build, "--python", sys.executable)
        return tool.main([str(part) for part in (*logs, *options)])

    return called


def test_each_scored_job_has_a_row_with_all_that_was_answered(answers: ModuleType) -> None:
    ends = np.array([[1.0, 2.0, 3.0]] * 3)
    replayed = SimpleNamespace(
        jobs=pl.DataFrame(JOBS), predicted_s=np.array([5.0, 6.0, 7.0]), levels=(0.5, 0.9, 0.95),
        lower_s=ends, upper_s=ends * 10, timeout_probability=np.array([0.1, np.nan, 0.3]),
        user_runs=np.array([0.0, 1.0, 10.0]),
    )  # fmt: skip
    limits = {0.9: np.array([300.0] * 3), 0.95: np.array([600.0] * 3)}
    frame = answers.answers_frame(replayed, limits)
    assert frame.columns == COLUMNS
    assert frame.row(1, named=True) == {
        **{name: values[1] for name, values in JOBS.items() if name != "user"},
        "predicted_s": 6.0, "lower_50_s": 1.0, "upper_50_s": 10.0, "lower_90_s": 2.0,
        "upper_90_s": 20.0, "lower_95_s": 3.0, "upper_95_s": 30.0, "timeout_probability": None,
        "recommended_90_s": 300.0, "recommended_95_s": 600.0, "user_runs": 1.0,
    }  # fmt: skip


def test_columns_are_those_that_the_tool_tells_of(tool: ModuleType) -> None:
    told = tool.__doc__.replace(
        "; the same for 90, 95", ", `lower_90_s`, `upper_90_s`, `lower_95_s`, `upper_95_s`"
    )
    assert [name for name in told.split("`") if name in COLUMNS] == COLUMNS


def test_answers_and_figures_of_the_edition_are_written(
    run: Callable[..., int], tool: ModuleType, log: Path, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    assert run(log) == 0
    frame = pl.read_parquet(tmp_path / "out" / "a.log-2.1-cln.parquet")
    assert frame.columns == COLUMNS
    assert frame["job_id"].to_list() == ["a", "c"]
    assert frame["recommended_95_s"].to_list() == [3.45 * 300] * 2
    document = json.loads((tmp_path / "out" / "a.log-2.1-cln.json").read_text())
    assert (document["commit"], document["log"]) == (tool.COMMIT, log.name)
    found = document["headline"]
    assert (found["best_baseline"], found["mae_over_best_baseline"]) == ("last2", 0.75)
    assert found["coverage"] == {"0.9": 0.88}
    assert found["timeout_ece"] is None
    out = capsys.readouterr().out
    assert out.startswith("a.log-2.1-cln: 2 jobs, MAE 3 s, 0.750 of last2; coverage 88.0% at 0.9; ")


def test_a_log_is_answered_once_whatever_it_is_called(
    run: Callable[..., int], tool: ModuleType, log: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    assert run(log) == 0
    copy = log.rename(tmp_path / "copy.swf.gz")
    monkeypatch.setattr(tool.Edition1, "answer", lambda *_: pytest.fail("answered again"))
    assert run(copy) == 0
    frames = [
        pl.read_parquet(tmp_path / "out" / f"{name}.parquet") for name in ("copy", "a.log-2.1-cln")
    ]
    assert frames[0].equals(frames[1])


def test_a_log_that_cannot_be_answered_leaves_nothing_and_does_not_stop_the_others(
    run: Callable[..., int], log: Path, build: Path, tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    bad = tmp_path / "bad.txt"
    bad.write_text("what is this")
    assert run(bad, log) == 1
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "a.log-2.1-cln.json",
        "a.log-2.1-cln.parquet",
    ]
    assert len(list((build / "kept").iterdir())) == 2
    err = capfd.readouterr().err
    assert "error: bad.txt is no job log\n" in err
    assert f"error: {bad}: edition 1.0 gave no answers, see above\n" in err


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("CEA-Curie-2011-2.1-cln.swf.gz", "CEA-Curie-2011-2.1-cln"),
        ("drac-graham-2021.sacct.gz", "drac-graham-2021"),
        ("jobs.parquet", "jobs"),
        ("KTH-SP2-1996-2", "KTH-SP2-1996-2"),
    ],
)
def test_answers_are_called_as_the_log(tool: ModuleType, name: str, expected: str) -> None:
    assert tool.log_name(Path("somewhere") / name) == expected


@pytest.mark.parametrize(
    ("logs", "told"),
    [
        (("gone.swf",), "no such file"),
        (("one/log.swf", "two/log.swf.gz"), "several logs are called log"),
        (("out/log.parquet",), "answers would lie among the logs"),
    ],
)
def test_what_would_lose_something_is_refused_before_any_work(
    run: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str],
    logs: tuple[str, ...], told: str,
) -> None:  # fmt: skip
    for name in logs:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        if "gone" not in name:
            (tmp_path / name).write_text("")
    with pytest.raises(SystemExit) as stopped:
        run(*(tmp_path / name for name in logs))
    assert stopped.value.code == 2
    assert told in capsys.readouterr().err


def test_the_source_is_that_of_the_commit_and_its_own_tool_makes_the_environment(
    tool: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = a_project(tmp_path / "project")
    monkeypatch.setattr(tool, "PROJECT", project)
    monkeypatch.setattr(tool, "COMMIT", git(project, "rev-parse", "HEAD"))
    (project / "tools" / "setup_env.py").write_text("raise SystemExit('of a later edition')")
    edition = tool.prepare(tmp_path / "build", None)
    assert edition.python == tmp_path / "build" / "source" / ".venv" / "bin" / "python"
    assert (edition.source / "made").read_text() == "train"
    assert tool.prepare(tmp_path / "build", Path("other")).python == Path("other")


def test_a_clone_without_the_commit_is_told(
    tool: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, log: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setattr(tool, "PROJECT", a_project(tmp_path / "project"))
    assert tool.main([str(log), "--build", str(tmp_path / "new")]) == 1
    assert "git fetch --unshallow" in capsys.readouterr().err
    assert not (tmp_path / "new").exists()


def a_project(folder: Path) -> Path:
    """Make a repository of one commit, whose environment is a file that says its level."""
    (folder / "tools").mkdir(parents=True)
    (folder / "tools" / "setup_env.py").write_text(
        "import sys, pathlib\n"
        "pathlib.Path(__file__).parents[1].joinpath('made').write_text(sys.argv[1])\n"
    )
    git(folder, "init", "--quiet")
    git(folder, "add", ".")
    who = ("-c", "user.name=a", "-c", "user.email=a@b")
    git(folder, *who, "commit", "--quiet", "--no-gpg-sign", "--message", "one")
    return folder


def git(folder: Path, *arguments: str) -> str:
    """Run git in a folder and return what it prints."""
    done = subprocess.run(
        ["git", *arguments], cwd=folder, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()
