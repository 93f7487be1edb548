"""Write the tables of speed in README.md and docs/performance.md from a report of `bench --json`.

python tools/bench_table.py bench.json
"""

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from generated_tables import fill

PROJECT = Path(__file__).resolve().parents[1]
_WORDS = {True: "yes", False: "no", None: "not measured"}

_SUMMARY: Mapping[str, tuple[str, str]] = {
    "one call at a time: time of half of the calls": ("calls.service.alone_p50_ms", "ms"),
    "one call at a time: time of 99 % of the calls": ("calls.service.alone_p99_ms", "ms"),
    "64 calls in flight": ("calls.service.many_per_s", "jobs/s"),
    "10,000 jobs in one `PredictBatch`": ("bulk.batch_per_s", "jobs/s"),
    "tables (`PredictArrow`)": ("bulk.arrow_per_s", "jobs/s"),
    "finished jobs recorded": ("history.record_per_s", "jobs/s"),
    "from its start until the service is ready": ("service.ready_s", "s"),
    "memory of a worker": ("service.memory_mib", "MiB"),
}
"""Rows of the README's table: a figure and its unit."""

_BESIDE: Mapping[str, Sequence[str]] = {
    "one call at a time, p50, ms": ("calls.service.alone_p50_ms", "mlserver.alone_p50_ms", ""),
    "the same, p99, ms": ("calls.service.alone_p99_ms", "mlserver.alone_p99_ms", ""),
    "64 in flight, calls/s": ("calls.service.many_per_s", "mlserver.many_per_s", ""),
    "10,000 jobs in one call, jobs/s": ("bulk.batch_per_s", "mlserver.batch_per_s", ""),
    "in process, one job, us": ("inside.one_us", "", "native.one_us"),
    "in process, 20,000 jobs, jobs/s": ("inside.bulk_per_s", "", "native.bulk_per_s"),
}
"""Figures of the service, of MLServer, and of one of each library, side by side."""

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


def summary(document: dict[str, Any]) -> Iterator[str]:
    """Yield the lines of the README's table: the few figures that a newcomer asks for."""
    yield from ("| speed | measured |", "|---|---:|")
    for what, (name, unit) in _SUMMARY.items():
        yield f"| {what} | {_figure(document, name)} {unit} |"


def promises(document: dict[str, Any]) -> Iterator[str]:
    """Yield the machine, then for each promise what was measured."""
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
    """Yield what others do in the same run."""
    yield "| beside it, in the same run | RT Predictor | MLServer | one of each library |"
    yield "|---|---:|---:|---:|"
    for what, names in _BESIDE.items():
        yield f"| {what} | {' | '.join(_figure(document, name) for name in names)} |"


def growth(document: dict[str, Any]) -> Iterator[str]:
    """Yield how cost grows with batches, history and workers."""
    yield from ("| how cost grows | |", "|---|---|")
    for what, names in _GROWTH.items():
        yield f"| {what} | {', '.join(_figure(document, name) for name in names)} |"


def _figure(document: dict[str, Any], name: str) -> str:
    figure = document["figures"].get(name, {}) if name else {}
    return _amount(figure["median"]) if "median" in figure else "-"


def _amount(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


Table = Callable[[dict[str, Any]], Iterator[str]]

_PAGES: Mapping[str, Mapping[str, Table]] = {
    "README.md": {"bench summary": summary},
    "docs/performance.md": {"bench": promises, "bench beside": beside, "bench growth": growth},
}
"""Tables of each page, by the name in their markers."""


def filled(text: str, tables: Mapping[str, Table], document: dict[str, Any]) -> str:
    """Return a page with its tables between their markers."""
    for name, table in tables.items():
        text = fill(text, name, "\n".join(table(document)))
    return text


def main() -> int:
    """Write the tables; return 0, or 1 for figures that are not to be quoted."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path, help="what `rt-predictor bench --json FILE` wrote")
    document = json.loads(parser.parse_args().file.read_text())
    if document["scale"] < 1:
        print("measured at less than full scale: not figures to quote", file=sys.stderr)
        return 1
    for name, tables in _PAGES.items():
        page = PROJECT / name
        page.write_text(filled(page.read_text(), tables, document))
    return 0


if __name__ == "__main__":
    sys.exit(main())
