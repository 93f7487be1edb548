"""The units of systemd: the program knows what it is told, and systemd what it is."""

import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from rt_predictor.cli import main
from tests.waiting import PATIENCE_S

UNITS = sorted((Path(__file__).resolve().parents[2] / "deploy" / "systemd").glob("*.service"))


def settings(unit: Path) -> list[tuple[str, str]]:
    """Names and values, in order; a line that ends with a backslash goes on."""
    lines = unit.read_text().replace("\\\n", " ").splitlines()
    pairs = (line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))
    return [(name, value) for name, value in pairs]


def command(unit: Path) -> list[str]:
    """What a unit runs, as systemd would: ${NAME} is one word, $NAME as many as are in it."""
    said = settings(unit)
    variables = dict(
        shlex.split(value)[0].split("=", 1) for name, value in said if name == "Environment"
    )
    words: list[str] = []
    for word in dict(said)["ExecStart"].split():
        if word.startswith("$") and not word.startswith("${"):
            words += variables[word[1:]].split()
        else:
            words.append(variables[word[2:-1]] if word.startswith("${") else word)
    return words


def test_there_are_units() -> None:
    named = {unit.stem.removeprefix("rt-predictor") for unit in UNITS}
    assert named == {"", "-agent", "-follow", "-renew"}


def test_every_timer_is_of_a_unit_that_is_there() -> None:
    timers = sorted(UNITS[0].parent.glob("*.timer"))
    assert [timer.stem for timer in timers] == ["rt-predictor-renew"]
    for timer in timers:
        assert timer.with_suffix(".service") in UNITS
        assert {"OnCalendar", "Persistent", "WantedBy"} <= dict(settings(timer)).keys()


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_the_program_knows_what_it_is_told(unit: Path, capsys: pytest.CaptureFixture[str]) -> None:
    program, *arguments = command(unit)
    assert program == "/opt/rt-predictor/bin/rt-predictor"
    # Options that do not exist are refused before help is given.
    assert main([*arguments, "--help"]) == 0, capsys.readouterr().err


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd-analyze")
@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_systemd_has_nothing_to_say_of_it(unit: Path, tmp_path: Path) -> None:
    # The program need not be installed here for its unit to be right.
    copy = tmp_path / unit.name
    text = unit.read_text().replace("/opt/rt-predictor/bin/rt-predictor", "/bin/true")
    copy.write_text(text.replace("User=rt-predictor", "User=root").replace("=slurm", "=root"))
    found = subprocess.run(
        ["systemd-analyze", "verify", copy],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    about_it = [line for line in found.stderr.splitlines() if copy.name in line]
    assert (found.returncode, about_it) == (0, [])


@pytest.mark.parametrize("page", ["install.md", "renewal.md", "slurm.md"])
def test_the_pages_name_files_that_are_there(page: str) -> None:
    root = UNITS[0].parents[2]
    lines = (root / "docs" / page).read_text().splitlines()
    commands = [line for line in lines if line.startswith("    ")]
    named = set(
        re.findall(
            r"(?<![\w/.])(?:tools|deploy|config|requirements)/[\w./*-]+", "\n".join(commands)
        )
    )
    assert named
    assert not [name for name in named if not list(root.glob(name))]
