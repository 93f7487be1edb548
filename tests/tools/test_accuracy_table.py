"""The tables of accuracy, and the tool that evaluates and fills them."""

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest

from rt_predictor.training.beside import Beside
from rt_predictor.training.evaluate import Evaluation
from tests.waiting import PATIENCE_S


@pytest.fixture
def tool(load_tool: Callable[[str], ModuleType]) -> ModuleType:
    return load_tool("accuracy_table")


@pytest.fixture
def tables(load_tool: Callable[[str], ModuleType]) -> ModuleType:
    return load_tool("accuracy_tables")


def errors(ensemble: float, **others: float) -> dict[str, object]:
    """The figures that the tables of errors look at."""
    baselines = {"request": 400.0, "last2": 300.0, "user_median5": 290.0, "backoff_median5": 200.0}
    points = {name: {"mae": mae} for name, mae in {**baselines, **others}.items()}
    return {
        "jobs_test": 1000,
        "models": {"ensemble": {"mae": ensemble}},
        "baselines": points,
        "user_mae": {"ensemble": None, **dict.fromkeys(points)},
    }


@pytest.fixture(scope="session")
def measured(evaluation: Evaluation) -> dict[str, object]:
    """A real document, with edition 1.0 beside."""
    beside = Beside(
        jobs=300, mae_ratio=0.9, crps_s=80.0, their_crps_s=100.0, crps_ratio=0.8, brier=0.02,
        their_brier=0.03, equal_cuts=None, freed_ratio=1.5,
    )  # fmt: skip
    return replace(evaluation, beside=beside).to_json()


@pytest.fixture
def traces(tool: ModuleType, tmp_path: Path) -> Path:
    """A folder with a file for every log."""
    folder = tmp_path / "traces"
    folder.mkdir()
    for log in tool.PUBLIC_LOGS:
        (folder / log.file).write_text("a log")
    return folder


@pytest.fixture
def page(tool: ModuleType, tmp_path: Path) -> Path:
    """A text with a place for every table."""
    path = tmp_path / "accuracy.md"
    path.write_text("".join(f"<!-- {name} -->\n<!-- end -->\n" for name in tool.TABLES))
    return path


@pytest.fixture
def arguments(traces: Path, page: Path, tmp_path: Path) -> list[str]:
    """What the tool is called with: nothing of the project is touched."""
    readme = tmp_path / "README.md"
    readme.write_text("<!-- accuracy: summary -->\n<!-- end -->\n")
    places = ("--page", page, "--readme", readme, "--cache", tmp_path / "cache")
    options = ("--traces", traces, *places, "--beside", tmp_path / "none")
    return [str(option) for option in options]


@pytest.fixture
def commands(
    tool: ModuleType, measured: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> list[list[str]]:
    """Trains and evaluates in no time; gives the commands."""
    found: list[list[str]] = []

    def run(command: list[str], **_: object) -> None:
        found.append(command)
        if "--json" in command:
            Path(command[command.index("--json") + 1]).write_text(json.dumps(measured))
        else:
            Path(command[command.index("-o") + 1]).mkdir()

    monkeypatch.setattr(tool.subprocess, "run", run)
    return found


def cells(table: str) -> dict[str, list[str]]:
    """The rows of a table by their first cell; later ones win."""
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]
    return {row[0]: row[1:] for row in rows}


def test_ratios_are_to_the_least_error_and_their_mean_is_geometric(tables: ModuleType) -> None:
    both = {
        "A": {"zero-shot": errors(200.0), "fine-tuned": errors(100.0)},
        "B": {"zero-shot": errors(800.0), "fine-tuned": errors(1600.0, user_ratio5=150.0)},
    }
    found = cells(tables.mae_table(both))
    assert found["A"] == [
        "1,000", "backoff_median5", "200", "–", "200", "100", "1.000", "0.500"
    ]  # fmt: skip
    assert found["B"][-2:] == ["4.000", "8.000"]
    assert found["geometric mean"][-2:] == ["2.000", "2.000"]
    assert found["worst"][-2:] == ["4.000", "8.000"]


def test_figures_that_a_log_does_not_have_are_left_out(tables: ModuleType) -> None:
    found = cells(tables.user_table({"A": {"zero-shot": errors(100.0)}}))
    assert found["A"][1:] == ["–"] * 5
    assert found["geometric mean"][-1] == "–"
    bare = {"timeouts": None, "usefulness": {}, "regular": []}
    for table in (tables.timeout_table, tables.usefulness_table, tables.regular_table):
        assert "A" not in cells(table({"A": {"zero-shot": bare}}))


def test_tables_show_what_was_measured(tables: ModuleType, measured: dict) -> None:
    documents = {name: {"zero-shot": measured, "fine-tuned": measured} for name in ("A", "B")}
    ensemble, interval = measured["models"]["ensemble"], measured["intervals"][-1]
    median = cells(tables.median_table(documents))
    assert median["A"][0] == f"{ensemble['median_ae']:,.0f}"
    assert median["A"][4] == f"{ensemble['accuracy']:.3f}"
    intervals = cells(tables.interval_table(documents))
    ratio = interval["winkler_s"] / interval["constant_width_winkler_s"]
    assert intervals["B"][:2] == ["fine-tuned", "0.95"]
    assert intervals["B"][2] == f"{100 * interval['coverage']:.1f} %"
    assert intervals["B"][-1] == intervals["geometric mean"][-1] == f"{ratio:.3f}"
    timeouts = cells(tables.timeout_table(documents))
    assert timeouts["A"][2] == f"{measured['timeouts']['ece']:.3f}"
    assert timeouts["A"][-1] == "0.0300"
    assert cells(tables.distribution_table(documents))["geometric mean"][2] == "0.800"
    freed = measured["usefulness"]["0.95"]["freed"]
    assert cells(tables.usefulness_table(documents))["A"][4] == f"{100 * freed:.1f} %"
    again = ["50.0 %", "100.0 %", "80.0 %", "100.0 %", "80.0 %"]
    assert cells(tables.again_table(documents))["A"] == again * 2
    summary = cells(tables.summary_table(documents))
    assert summary["fine-tuned"][-1] == "0.800"


def test_every_table_has_a_place_in_the_project(
    tool: ModuleType, project: Path, measured: dict
) -> None:
    page, readme = project / "docs" / "accuracy.md", project / "README.md"
    texts = {path: path.read_text() for path in (page, readme)}
    both = {"zero-shot": measured, "fine-tuned": measured}
    tool.filled(texts, page, readme, dict.fromkeys(tool.NAMES, both))
    assert texts[page].count("| geometric mean |") >= 3
    assert "| fine-tuned | " in texts[readme]


def test_models_are_trained_once_and_every_log_is_answered_in_both_ways(
    tool: ModuleType, arguments: list[str], page: Path, commands: list[list[str]], capsys
) -> None:
    assert tool.main([*arguments, "--check"]) == 1
    assert "not evaluated with this program: Graham (zero-shot)" in capsys.readouterr().err
    assert tool.main(arguments) == 0
    trained = [command for command in commands if "--json" not in command]
    assert len(trained) == len(tool.FOLDS)
    judged = [command for command in commands if "--json" in command]
    assert len(judged) == 2 * len(tool.NAMES)
    assert sum("--bundle" in command for command in judged) == len(tool.NAMES)
    assert "| geometric mean |" in page.read_text()
    assert tool.main([*arguments, "--check"]) == 0
    assert len(commands) == len(trained) + len(judged), "figures at hand are measured again"
    page.write_text(page.read_text().replace("| Graham |", "| Graham | 1"))
    assert tool.main([*arguments, "--check"]) == 1
    assert "accuracy.md shows other figures" in capsys.readouterr().err


def test_no_model_has_seen_the_centre_of_a_log_that_it_answers(tool: ModuleType) -> None:
    left_out = [centre for fold in tool.FOLDS for centre in fold]
    assert len(set(left_out)) == len(left_out)
    assert {log.centre for log in tool.JUDGED} == set(left_out)
    setup = tool.Setup(Path("/t"), None, None, Path("/c"), Path("/b"))
    for log in tool.JUDGED:
        replaced = next(fold for fold in tool.FOLDS if log.centre in fold)
        tool.Setup.base = lambda _self, _log: Path("base")
        command = setup.base_command(log)
        assert command[command.index("--without") + 1] in replaced
        assert log.centre in command


def test_figures_of_another_configuration_are_not_shown(
    tool: ModuleType, traces: Path, tmp_path: Path
) -> None:
    kth = next(log for log in tool.JUDGED if log.name == "KTH-SP2")
    config = tmp_path / "a.toml"
    config.write_text("[training]\nseed = 1\n")
    plain = tool.Setup(traces, None, None, tmp_path, tmp_path)
    places = {plain.cached(kth, "fine-tuned"), plain.cached(kth, "zero-shot")}
    places.add(replace(plain, renew_every_days=7.0).cached(kth, "fine-tuned"))
    configured = replace(plain, config=config)
    places.add(configured.cached(kth, "fine-tuned"))
    config.write_text("[training]\nseed = 2\n")
    places.add(configured.cached(kth, "fine-tuned"))
    (tmp_path / "KTH-SP2-1996-2.parquet").write_text("answers")
    places.add(plain.cached(kth, "fine-tuned"))
    (traces / kth.file).write_text("another log")
    places.add(plain.cached(kth, "fine-tuned"))
    assert len(places) == 7
    command = replace(configured, renew_every_days=7.0).command(kth, "renewed", tmp_path / "o")
    assert command[-2:] == ["--config", str(config)]
    assert command[command.index("--retrain-every") + 1] == "7"
    assert command[command.index("--beside") + 1].endswith("KTH-SP2-1996-2.parquet")


def test_a_run_that_fails_leaves_the_page_alone(
    tool: ModuleType, arguments: list[str], page: Path, monkeypatch: pytest.MonkeyPatch, capfd
) -> None:
    before = page.read_text()
    failing = [sys.executable, "-c", "raise SystemExit('no such log')"]
    monkeypatch.setattr(tool.Setup, "base_command", lambda _self, _log: failing)
    assert tool.main([*arguments, "--only", "KTH-SP2"]) == 1
    said = capfd.readouterr().err
    assert "no such log" in said
    assert "this failed, see above" in said
    assert page.read_text() == before
    assert not list((page.parent / "cache").glob("*.json"))


def test_a_log_that_was_not_measured_has_a_row_that_says_so(
    tool: ModuleType, arguments: list[str], page: Path, commands: list[list[str]]
) -> None:
    assert tool.main([*arguments, "--only", "KTH-SP2"]) == 0
    done = len(commands)
    assert tool.main([*arguments, "--measured"]) == 0
    assert len(commands) == done
    rows = cells(page.read_text())
    assert rows["Graham"][0] == "not measured yet"
    assert "not measured yet" not in rows["KTH-SP2"]
    widths = {line.count("|") for line in page.read_text().split("<!--")[1].splitlines()[1:]}
    assert len(widths) == 1


def test_logs_that_are_not_there_are_named(tool: ModuleType, tmp_path: Path, capsys) -> None:
    assert tool.main(["--traces", str(tmp_path), "--only", "KTH-SP2"]) == 1
    assert "lacks drac-graham-2021.sacct.gz" in capsys.readouterr().err


def test_it_says_how_it_is_used(project: Path) -> None:
    ran = subprocess.run(
        [sys.executable, project / "tools" / "accuracy_table.py", "--help"],
        capture_output=True, text=True, timeout=PATIENCE_S, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    assert "--check" in ran.stdout
