"""Writes the table of figures in README.md from what `rt-predictor bench --json FILE` wrote.

python tools/bench_table.py bench.json
"""

import argparse
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parents[1]
_WORDS = {True: "yes", False: "no", None: "not measured"}
_PLACE = re.compile(r"(<!-- bench -->\n)(?:.*\n)*?(<!-- end -->)")


def table(document: dict[str, Any]) -> str:
    """What was promised and what was measured, and on what."""
    machine = document["machine"]
    lines = [
        f"{machine['cores']} cores ({machine['processor']}, {machine['system']}), Python "
        f"{machine['python']}, medians of {document['rounds']} rounds:",
        "",
        "| promise | measured | range | holds |",
        "|---|---|---|---|",
        *_rows(document["promises"]),
    ]
    return "\n".join(lines)


def _rows(promises: list[dict[str, Any]]) -> Iterator[str]:
    for promise in promises:
        measured = promise["measured"]
        if "skipped" in measured:
            amount, spread = "-", measured["skipped"]
        else:
            amount = f"{_amount(measured['median'])} {measured['unit']}"
            spread = f"{_amount(measured['min'])} to {_amount(measured['max'])}"
        yield f"| {promise['promise']} | {amount} | {spread} | {_WORDS[promise['holds']]} |"


def _amount(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def filled(text: str, document: dict[str, Any]) -> str:
    """The README with the table in its place."""
    if not _PLACE.search(text):
        raise SystemExit("README.md has no place for the table: <!-- bench -->")
    return _PLACE.sub(lambda found: f"{found[1]}{table(document)}\n{found[2]}", text)


def main() -> int:
    """Writes the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path, help="what `rt-predictor bench --json FILE` wrote")
    document = json.loads(parser.parse_args().file.read_text())
    if document["scale"] < 1:
        print("measured at less than full scale: not figures to quote", file=sys.stderr)
        return 1
    readme = PROJECT / "README.md"
    readme.write_text(filled(readme.read_text(), document))
    return 0


if __name__ == "__main__":
    sys.exit(main())
