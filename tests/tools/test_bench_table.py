"""The tables of speed in README.md and docs/performance.md."""

import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

DOCUMENT = {
    "rounds": 3,
    "scale": 1.0,
    "machine": {"cores": 2, "processor": "x86_64", "system": "Linux", "python": "3.11.7"},
    "figures": {
        "calls.service.alone_p50_ms": {"median": 1.25, "min": 1, "max": 2, "unit": "ms"},
        "mlserver.alone_p50_ms": {"skipped": "not there"},
        "growth.batch_1_us": {"median": 250.4, "min": 1, "max": 2, "unit": "us"},
        "growth.batch_10_us": {"median": 50.44, "min": 1, "max": 2, "unit": "us"},
    },
    "promises": [
        {
            "promise": "fast",
            "limit": 2.0,
            "measured": {"median": 1.5, "min": 1.25, "max": 1234.5, "unit": "x"},
            "holds": True,
        },
        {"promise": "small", "limit": 1, "measured": {"skipped": "no room"}, "holds": None},
    ],
}
README = "<!-- bench summary -->\n| stale |\n<!-- end -->\n"
PERFORMANCE = (
    "before\n<!-- bench -->\nstale\n\n| stale |\n<!-- end -->\nafter\n<!-- bench beside -->\n"
    "stale\n<!-- end -->\nmore\n<!-- bench growth -->\n<!-- end -->\nlast\n<!-- end -->\n"
)


@pytest.fixture
def bench_table(load_tool: Callable[[str], ModuleType]) -> ModuleType:
    return load_tool("bench_table")


def test_the_tables_take_the_places_of_the_old_ones(bench_table: ModuleType) -> None:
    tables = bench_table._PAGES["docs/performance.md"]
    text = bench_table.filled(PERFORMANCE, tables, DOCUMENT)
    assert "| fast | 1.5 x | 1.25 to 1,234 | yes |\n" in text
    assert "| small | - | no room | not measured |\n<!-- end -->\nafter" in text
    assert "2 cores (x86_64, Linux)" in text
    assert "| one call at a time, p50, ms | 1.25 | - | - |\n" in text
    assert "10,000 and 100,000 jobs | 250, 50.4, -, -, -, - |\n" in text
    assert "<!-- end -->\nlast\n<!-- end -->\n" in text
    assert "stale" not in text
    assert bench_table.filled(text, tables, DOCUMENT) == text


def test_a_newcomer_gets_the_few_figures_with_their_units(bench_table: ModuleType) -> None:
    text = bench_table.filled(README, bench_table._PAGES["README.md"], DOCUMENT)
    assert "| one call at a time: time of half of the calls | 1.25 ms |\n" in text
    assert "| memory of a worker | - MiB |\n<!-- end -->" in text
    assert "stale" not in text


def test_a_page_without_a_place_is_an_error(bench_table: ModuleType) -> None:
    with pytest.raises(SystemExit, match="no place"):
        bench_table.filled("nothing", bench_table._PAGES["README.md"], DOCUMENT)


def test_every_table_has_a_place_in_the_project(bench_table: ModuleType) -> None:
    for name, tables in bench_table._PAGES.items():
        text = (bench_table.PROJECT / name).read_text()
        assert bench_table.filled(text, tables, DOCUMENT) != text


@pytest.mark.parametrize(("scale", "code"), [(1.0, 0), (0.1, 1)])
def test_figures_of_a_quick_look_are_not_written(
    bench_table: ModuleType,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    scale: float,
    code: int,
) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "README.md").write_text(README)
    (tmp_path / "docs/performance.md").write_text(PERFORMANCE)
    (tmp_path / "bench.json").write_text(json.dumps({**DOCUMENT, "scale": scale}))
    monkeypatch.setattr(bench_table, "PROJECT", tmp_path)
    monkeypatch.setattr("sys.argv", ["bench_table.py", str(tmp_path / "bench.json")])
    assert bench_table.main() == code
    for page, row in (("README.md", "| speed |"), ("docs/performance.md", "| fast |")):
        assert (row in (tmp_path / page).read_text()) is (code == 0)
