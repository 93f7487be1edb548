"""The tables of accuracy in the README, and the tool that fills them."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from rt_predictor.training.evaluate import Evaluation
from tests.waiting import PATIENCE_S


@pytest.fixture
def tool(load_tool: Callable[[str], ModuleType], project: Path, monkeypatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(project / "tools"))
    return load_tool("accuracy_table")


def document(ensemble: float, **others: float) -> dict[str, object]:
    """The figures that the tables of errors look at."""
    errors = {"request": 400.0, "backoff_median5": 200.0, "request_only": 250.0, **others}
    points = {name: {"mae": mae} for name, mae in errors.items()}
    return {
        "models": {"ensemble": {"mae": ensemble}},
        "baselines": points,
        "user_mae": {"ensemble": None, **dict.fromkeys(errors)},
    }


@pytest.fixture(scope="session")
def measured(evaluation: Evaluation) -> dict[str, object]:
    """A real document."""
    return evaluation.to_json()


@pytest.fixture
def traces(tool: ModuleType, tmp_path: Path) -> Path:
    """A folder with a file for every log."""
    folder = tmp_path / "traces"
    folder.mkdir()
    for name in tool.TRACES.values():
        (folder / name).write_text("a log")
    return folder


@pytest.fixture
def readme(tool: ModuleType, tmp_path: Path) -> Path:
    """A text with a place for every table."""
    path = tmp_path / "README.md"
    path.write_text("".join(f"<!-- {name} -->\n<!-- end -->\n" for name in tool.TABLES))
    return path


@pytest.fixture
def arguments(traces: Path, readme: Path, tmp_path: Path) -> list[str]:
    """What the tool is called with: nothing of the project is touched."""
    options = ("--traces", traces, "--readme", readme, "--cache", tmp_path / "cache")
    return [str(option) for option in options]


@pytest.fixture
def evaluations(
    tool: ModuleType, measured: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> list[str]:
    """Evaluates in no time; gives the logs that were evaluated."""
    found: list[str] = []

    def run(command: list[str], **_: object) -> None:
        found.append(Path(command[4]).name)
        output = Path(command[command.index("--json") + 1])
        output.write_text(json.dumps(measured))

    monkeypatch.setattr(tool.subprocess, "run", run)
    return found


def cells(table: str) -> dict[str, list[str]]:
    """The rows of a table by their first cell; later ones win."""
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]
    return {row[0]: row[1:] for row in rows}


def test_ratios_are_to_the_least_error_and_their_mean_is_geometric(tool: ModuleType) -> None:
    found = cells(tool.mae_table({"A": document(100.0), "B": document(1600.0, request=800.0)}))
    assert found["ensemble"] == ["100", "1,600", ""]
    assert found["request"] == ["400", "800", ""]
    assert found["ensemble / best baseline"] == ["0.500", "8.000", "2.000"]
    assert found["ensemble / request_only"] == ["0.400", "6.400", "1.600"]


def test_figures_that_a_log_does_not_have_are_left_out(tool: ModuleType) -> None:
    found = cells(tool.user_table({"A": document(100.0)}))
    assert found["ensemble"] == ["–", ""]
    assert found["ensemble / best baseline"] == ["–", "–"]
    assert "A" not in cells(tool.timeout_table({"A": {"timeouts": None}}))


def test_tables_show_what_was_measured(tool: ModuleType, measured: dict) -> None:
    documents = {"A": measured, "B": measured}
    ensemble, interval = measured["models"]["ensemble"], measured["intervals"][-1]
    median = cells(tool.median_table(documents))
    assert median["A"][0] == f"{ensemble['median_ae']:,.0f}"
    assert median["A"][3] == median["mean"][3] == f"{ensemble['accuracy']:.3f}"
    intervals = cells(tool.interval_table(documents))
    ratio = interval["winkler"] / interval["winkler_constant_width"]
    assert intervals["B"][0] == "0.95"
    assert intervals["B"][1] == f"{100 * interval['coverage']:.1f} %"
    assert intervals["B"][-1] == intervals["geometric mean"][-1] == f"{ratio:.3f}"
    timeouts = cells(tool.timeout_table(documents))
    assert timeouts["A"][1] == f"{measured['timeouts']['ece']:.3f}"


def test_every_table_has_a_place_in_the_readme(
    tool: ModuleType, project: Path, measured: dict
) -> None:
    text = tool.filled((project / "README.md").read_text(), dict.fromkeys(tool.TRACES, measured))
    assert text.count("| ensemble / best baseline |") == 2


def test_tables_are_written_and_then_in_step(
    tool: ModuleType, arguments: list[str], readme: Path, evaluations: list[str], capsys
) -> None:
    assert tool.main([*arguments, "--check"]) == 1
    assert "not evaluated with this program: Graham, Curie" in capsys.readouterr().err
    assert tool.main(arguments) == 0
    assert evaluations == list(tool.TRACES.values())
    assert "| ensemble / best baseline |" in readme.read_text()
    assert tool.main([*arguments, "--check"]) == 0
    assert len(evaluations) == len(tool.TRACES), "figures at hand are measured again"
    readme.write_text(readme.read_text().replace("| ensemble |", "| ensemble | 1"))
    assert tool.main([*arguments, "--check"]) == 1
    assert "README.md shows other figures" in capsys.readouterr().err


def test_figures_of_another_configuration_are_not_shown(
    tool: ModuleType, traces: Path, tmp_path: Path
) -> None:
    config = tmp_path / "a.toml"
    config.write_text("[training]\nseed = 1\n")
    plain = tool.Setup(traces, None, None, tmp_path)
    places = {plain.cached("KTH-SP2"), tool.Setup(traces, None, 7.0, tmp_path).cached("KTH-SP2")}
    places.add(tool.Setup(traces, config, None, tmp_path).cached("KTH-SP2"))
    config.write_text("[training]\nseed = 2\n")
    places.add(tool.Setup(traces, config, None, tmp_path).cached("KTH-SP2"))
    (traces / tool.TRACES["KTH-SP2"]).write_text("another log")
    places.add(plain.cached("KTH-SP2"))
    assert len(places) == 5
    command = tool.Setup(traces, config, 7.0, tmp_path).command("KTH-SP2", tmp_path / "o")
    assert command[-4:] == ["--config", str(config), "--retrain-every", "7.0"]


def test_an_evaluation_that_fails_leaves_the_readme_alone(
    tool: ModuleType, arguments: list[str], readme: Path, tmp_path: Path, capfd
) -> None:
    before = readme.read_text()
    # The file is no archive: the real program fails at once.
    assert tool.main([*arguments, "--only", "KTH-SP2"]) == 1
    assert "this failed, see above" in capfd.readouterr().err
    assert readme.read_text() == before
    assert not list((tmp_path / "cache").glob("*.json"))


def test_logs_that_are_not_there_are_named(tool: ModuleType, tmp_path: Path, capsys) -> None:
    assert tool.main(["--traces", str(tmp_path), "--only", "KTH-SP2"]) == 1
    assert "lacks KTH-SP2-1996-2.swf.gz: say --traces DIR" in capsys.readouterr().err


def test_it_says_how_it_is_used(project: Path) -> None:
    ran = subprocess.run(
        [sys.executable, project / "tools" / "accuracy_table.py", "--help"],
        capture_output=True, text=True, timeout=PATIENCE_S, check=False,
    )  # fmt: skip
    assert ran.returncode == 0
    assert "--check" in ran.stdout
