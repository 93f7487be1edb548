"""Writes the tables of figures in README.md from what `rt-predictor bench --json FILE` wrote.

python tools/bench_table.py bench.json
"""

import argparse
import json
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parents[1]
_WORDS = {True: "yes", False: "no", None: "not measured"}

_BESIDE: Mapping[str, Sequence[str]] = {
    "one call at a time, p50, ms": ("calls.service.alone_p50_ms", "mlserver.alone_p50_ms", ""),
    "the same, p99, ms": ("calls.service.alone_p99_ms", "mlserver.alone_p99_ms", ""),
    "64 in flight, calls/s": ("calls.service.many_per_s", "mlserver.many_per_s", ""),
    "10,000 jobs in one call, jobs/s": ("bulk.batch_per_s", "mlserver.batch_per_s", ""),
    "in process, one job, us": ("inside.one_us", "", "native.one_us"),
    "in process, 20,000 jobs, jobs/s": ("inside.bulk_per_s", "", "native.bulk_per_s"),
}
"""What others are compared in: figures of the service, of MLServer, and of one of each library."""

_GROWTH: Mapping[str, Sequence[str]] = {
    "us a job, in process, in batches of 1, 10, 100, 1,000, 10,000 and 100,000 jobs": [
        f"growth.batch_{10**power}_us" for power in range(6)
    ],
    "us a job, one at a time, with a history of 1,000, 10,000, 100,000 and 1,000,000 keys": [
        f"growth.history_{10**power}_keys_us" for power in range(3, 7)
    ],
    "calls a second, 64 in flight, of one worker and of two": [
        f"growth.workers_{workers}_per_s" for workers in (1, 2)
    ],
}


def promises(document: dict[str, Any]) -> Iterator[str]:
    """What was promised and what was measured, and on what."""
    machine = document["machine"]
    yield (
        f"{machine['cores']} cores ({machine['processor']}, {machine['system']}), Python "
        f"{machine['python']}, medians of {document['rounds']} rounds:"
    )
    yield from ("", "| promise | measured | range | holds |", "|---|---|---|---|")
    for promise in document["promises"]:
        measured = promise["measured"]
        if "skipped" in measured:
            amount, spread = "-", measured["skipped"]
        else:
            amount = f"{_amount(measured['median'])} {measured['unit']}"
            spread = f"{_amount(measured['min'])} to {_amount(measured['max'])}"
        yield f"| {promise['promise']} | {amount} | {spread} | {_WORDS[promise['holds']]} |"


def beside(document: dict[str, Any]) -> Iterator[str]:
    """What others do, in the same run."""
    yield "| beside it, in the same run | RT Predictor | MLServer | one of each library |"
    yield "|---|---:|---:|---:|"
    for what, names in _BESIDE.items():
        yield f"| {what} | {' | '.join(_figure(document, name) for name in names)} |"


def growth(document: dict[str, Any]) -> Iterator[str]:
    """How cost grows."""
    yield from ("| how cost grows | |", "|---|---|")
    for what, names in _GROWTH.items():
        yield f"| {what} | {', '.join(_figure(document, name) for name in names)} |"


def _figure(document: dict[str, Any], name: str) -> str:
    figure = document["figures"].get(name, {}) if name else {}
    return _amount(figure["median"]) if "median" in figure else "-"


def _amount(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


_TABLES = {"bench": promises, "bench beside": beside, "bench growth": growth}


def filled(text: str, document: dict[str, Any]) -> str:
    """The README with the tables in their places."""
    for name, table in _TABLES.items():
        text = _filled(text, name, table(document))
    return text


def _filled(text: str, name: str, lines: Iterable[str]) -> str:
    place = re.compile(rf"(<!-- {name} -->\n)(?:.*\n)*?(<!-- end -->)")
    if not place.search(text):
        raise SystemExit(f"README.md has no place for the table: <!-- {name} -->")
    written = "".join(f"{line}\n" for line in lines)
    return place.sub(lambda found: f"{found[1]}{written}{found[2]}", text)


def main() -> int:
    """Writes the tables."""
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
