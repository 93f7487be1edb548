"""The program as a whole: its commands, its help, its errors and exit codes."""

import os
import subprocess
import sys

import pytest

from rt_predictor import __version__, errors
from rt_predictor.cli import app as program
from tests.waiting import PATIENCE_S

COMMANDS = (
    "serve", "agent", "predict", "score", "train", "evaluate", "info", "health", "reload", "bench",
    "token", "version", "history",
)  # fmt: skip
HEAVY = ("polars", "grpc", "onnxruntime", "numpy", "pydantic_settings", "xgboost", "lightgbm")


def test_the_version_is_told_both_ways(run) -> None:
    for argument in ("version", "--version"):
        result = run(argument)
        assert (result.code, result.out) == (0, f"rt-predictor {__version__}\n")


def test_help_lists_what_there_is_and_nothing_more(run) -> None:
    result = run("--help")
    assert result.code == 0
    lines = result.out.partition("Commands")[2].splitlines()
    # A text of two lines goes on under itself.
    listed = [line.split()[1] for line in lines if line.startswith("│ ") and line[2] != " "]
    assert tuple(listed) == COMMANDS


@pytest.mark.parametrize("command", [c for c in COMMANDS if c != "version"])
def test_each_command_explains_itself_with_an_example(run, command: str) -> None:
    result = run(command, "--help")
    assert result.code == 0
    assert f"rt-predictor {command}" in result.out.partition("Example")[2]


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys; from rt_predictor.cli import main\n"
        "assert main(['predict', '--help']) == 0\n"
        f"heavy = sorted(sys.modules.keys() & set({HEAVY!r}))\n"
        "assert not heavy, heavy"
    )
    subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, timeout=PATIENCE_S
    )


def test_no_command_shows_the_help_and_is_a_usage_error(run) -> None:
    result = run()
    assert result.code == 2
    assert "Usage: rt-predictor" in result.out


@pytest.mark.parametrize(
    "arguments", [["predict", "--nodes", "four"], ["nonsense"], ["train"], ["info", "--nonsense"]]
)
def test_what_the_command_line_gets_wrong_exits_2(run, arguments: list[str]) -> None:
    result = run(*arguments)
    assert result.code == 2
    assert result.out == ""
    assert "error" in result.err.lower()


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.BundleError("no bundle at x"), 3),
        (errors.SettingsError("port = 'x'"), 3),
        (errors.PortInUseError("server.port", 1), 3),
        (errors.UsageError("give one"), 2),
        (errors.InvalidJobError("nodes_req", 0, "rule"), 2),
        (errors.InvalidRequestError("qos is missing"), 2),
        (errors.TraceError("line 3"), 1),
        (errors.TrainingError("too few jobs"), 1),
        (errors.ServiceError("away"), 1),
        (errors.ServiceError("two\n  lines"), 1),
    ],
)
def test_an_error_is_one_line_on_stderr_and_its_exit_code(
    run, monkeypatch: pytest.MonkeyPatch, error: Exception, code: int
) -> None:
    _raise_in_health(monkeypatch, error)
    result = run("health")
    assert (result.code, result.out) == (code, "")
    assert result.err == f"error: {' '.join(str(error).split())}\n"


def test_an_unexpected_error_is_one_line_that_says_how_to_see_more(
    run, monkeypatch: pytest.MonkeyPatch
) -> None:
    _raise_in_health(monkeypatch, KeyError("nodes"))
    result = run("health")
    assert (result.code, result.out) == (1, "")
    assert result.err.startswith("error: unexpected KeyError: 'nodes' (")
    assert "rt-predictor --debug" in result.err
    assert result.err.count("\n") == 1


def test_debug_shows_where_it_comes_from(run, monkeypatch: pytest.MonkeyPatch) -> None:
    _raise_in_health(monkeypatch, KeyError("nodes"))
    result = run("--debug", "health")
    assert result.code == 1
    assert "Traceback (most recent call last)" in result.err
    assert result.err.splitlines()[-1].startswith("error: unexpected KeyError")


def test_an_interrupt_exits_130_without_a_traceback(run, monkeypatch: pytest.MonkeyPatch) -> None:
    _raise_in_health(monkeypatch, KeyboardInterrupt())
    result = run("health")
    assert (result.code, result.out, result.err) == (130, "", "")


def test_an_interrupt_before_the_command_exits_130_too(
    run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(**_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(program, "app", interrupted)
    assert run("health").code == 130


@pytest.mark.parametrize(("status", "code"), [(None, 0), (5, 5), ("gone", 1)])
def test_an_exit_has_the_code_that_python_gives_it(
    run, monkeypatch: pytest.MonkeyPatch, status: object, code: int
) -> None:
    def leave(**_: object) -> None:
        sys.exit(status)

    monkeypatch.setattr(program, "app", leave)
    assert run("health").code == code


def test_a_program_that_just_returns_is_done(run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(program, "app", lambda **_: None)
    assert run("health").code == 0


def test_the_module_is_the_program() -> None:
    result = subprocess.run(
        [sys.executable, "-m", "rt_predictor", "--version"],
        check=True, capture_output=True, text=True, timeout=PATIENCE_S,
    )  # fmt: skip
    assert result.stdout == f"rt-predictor {__version__}\n"


def _raise_in_health(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    async def fail(*_: object) -> bool:
        raise error

    monkeypatch.setattr("rt_predictor.cli.health._state", fail)


def test_a_folder_for_metrics_of_other_programs_is_ignored(
    run, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("PROMETHEUS_MULTIPROC_DIR", "prometheus_multiproc_dir"):
        monkeypatch.setenv(name, "/none/of/ours")
    assert run("version").code == 0
    assert not {name for name in os.environ if name.lower() == "prometheus_multiproc_dir"}
