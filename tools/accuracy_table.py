"""Evaluates the main public job logs with one configuration and writes README.md's tables of it.

    python tools/accuracy_table.py [--traces DIR] [--config F] [--retrain-every DAYS] [--check]

Every log is evaluated in a process of its own. Its figures are kept under build/accuracy by what
made them (the program, the configuration, the log), so that an interrupted run goes on where it
stopped and no figure of another program is ever shown. `--check` evaluates and writes nothing: it
fails where figures are missing or the README does not show them.
"""

import argparse
import hashlib
import json
import math
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reference import PROJECT, fill

TRACES = {
    "Graham": "drac-graham-2021.sacct.gz",
    "Curie": "CEA-Curie-2011-2.1-cln.swf.gz",
    "SDSC-BLUE": "SDSC-BLUE-2000-pyss-easy.swf.gz",
    "CTC-SP2": "CTC-SP2-1996-pyss-easy.swf.gz",
    "SDSC-SP2": "SDSC-SP2-1998-pyss-easy.swf.gz",
    "KTH-SP2": "KTH-SP2-1996-2.swf.gz",
}
_DECIDING = (
    "settings/training.py",
    *(f"{part}/**/*.py" for part in ("features", "history", "model", "traces", "training")),
)
"""What of the program decides the figures."""

ENSEMBLE = "ensemble"
NOTHING = "–"

Document = Mapping[str, Any]
"""What `rt-predictor evaluate --json` writes."""

Documents = Mapping[str, Document]
"""By name of the log."""


@dataclass(frozen=True)
class Setup:
    """What all logs are evaluated with."""

    traces: Path
    config: Path | None
    retrain_every_days: float | None
    cache: Path

    def cached(self, name: str) -> Path:
        """Where the figures of a log are kept; another program has another place."""
        log = self.traces / TRACES[name]
        digest = hashlib.sha256(f"{log.stat().st_size} {self.retrain_every_days}".encode())
        package = PROJECT / "rt_predictor"
        sources = sorted(path for part in _DECIDING for path in package.glob(part))
        for path in (*sources, *((self.config,) if self.config else ())):
            digest.update(path.read_bytes())
        return self.cache / f"{name}-{digest.hexdigest()[:12]}.json"

    def command(self, name: str, output: Path) -> list[str]:
        """Evaluates a log into a file."""
        options = [
            *(("--config", str(self.config)) if self.config else ()),
            *(("--retrain-every", str(self.retrain_every_days)) if self.retrain_every_days else ()),
        ]
        log = self.traces / TRACES[name]
        program = (sys.executable, "-m", "rt_predictor", "evaluate")
        return [*program, str(log), "--json", str(output), *options]


def evaluated(name: str, setup: Setup) -> Document:
    """The figures of a log, from the cache where they are there."""
    kept = setup.cached(name)
    if not kept.exists():
        print(f"evaluating {name} ...", file=sys.stderr, flush=True)
        kept.parent.mkdir(parents=True, exist_ok=True)
        unfinished = kept.with_suffix(".part")
        subprocess.run(
            setup.command(name, unfinished),
            cwd=PROJECT, env=_environment(), check=True, stdout=subprocess.DEVNULL,
        )  # fmt: skip
        unfinished.replace(kept)
    document: Document = json.loads(kept.read_text(encoding="utf-8"))
    return document


def _environment() -> dict[str, str]:
    """This environment without settings: one configuration for all, and no other."""
    return {k: v for k, v in os.environ.items() if not k.upper().startswith("RT_PREDICTOR_")}


def mae_table(documents: Documents) -> str:
    """Mean absolute errors, and how the ensemble's compare."""
    return _errors_table(documents, _mae)


def user_table(documents: Documents) -> str:
    """The same where each user counts once."""
    return _errors_table(documents, lambda document: document["user_mae"])


def median_table(documents: Documents) -> str:
    """Median errors and accuracy beside those of the baselines that are best at them."""
    compared = (ENSEMBLE, "last2", "backoff_median5")
    heads = [
        *(f"median error, s: {name}" for name in compared),
        *(f"accuracy: {name}" for name in compared),
    ]
    rows = []
    for name, document in documents.items():
        figures = [{**document["models"], **document["baselines"]}[other] for other in compared]
        medians = [_whole(metrics["median_ae"]) for metrics in figures]
        rows.append((name, [*medians, *(f"{metrics['accuracy']:.3f}" for metrics in figures)]))
    everyone = [{**one["models"], **one["baselines"]} for one in documents.values()]
    means = [sum(one[other]["accuracy"] for one in everyone) / len(everyone) for other in compared]
    rows.append(("mean", [*("" for _ in compared), *(f"{mean:.3f}" for mean in means)]))
    return _table("log", heads, rows)


def interval_table(documents: Documents) -> str:
    """Coverage and score of the intervals of every level."""
    heads = ["level", "coverage", "in tenths", "users without history", "Winkler / constant width"]
    rows: list[tuple[str, list[str]]] = []
    ratios: dict[float, list[float]] = {}
    for name, document in documents.items():
        for figures in document["intervals"]:
            ratio = figures["winkler"] / figures["winkler_constant_width"]
            ratios.setdefault(figures["level"], []).append(ratio)
            blocks = figures["block_coverage"]
            cells = [
                f"{figures['level']:g}",
                _share(figures["coverage"]),
                f"{_share(min(blocks))} to {_share(max(blocks))}",
                _share(figures["coverage_without_history"]),
                f"{ratio:.3f}",
            ]
            rows.append((name, cells))
    for level, found in sorted(ratios.items()):
        rows.append(("geometric mean", [f"{level:g}", "", "", "", f"{_geometric(found):.3f}"]))
    return _table("log", heads, rows)


def timeout_table(documents: Documents) -> str:
    """How far the chance of a timeout can be believed."""
    heads = ["jobs that reached their limit", "calibration error", "Brier", "Brier of base rate"]
    rows = []
    for name, document in documents.items():
        figures = document["timeouts"]
        if figures is not None:
            cells = [
                _share(figures["timeouts"] / figures["jobs"]),
                f"{figures['ece']:.3f}",
                _score(figures["brier"]),
                _score(figures["brier_base_rate"]),
            ]
            rows.append((name, cells))
    return _table("log", heads, rows)


TABLES: Mapping[str, Callable[[Documents], str]] = {
    "accuracy: mean absolute error": mae_table,
    "accuracy: by user": user_table,
    "accuracy: median": median_table,
    "accuracy: intervals": interval_table,
    "accuracy: timeouts": timeout_table,
}


def filled(text: str, documents: Documents) -> str:
    """The README with every table of these figures."""
    for name, table in TABLES.items():
        text = fill(text, name, table(documents))
    return text


def _mae(document: Document) -> Mapping[str, float | None]:
    return {
        name: metrics["mae"]
        for name, metrics in {**document["models"], **document["baselines"]}.items()
    }


def _errors_table(
    documents: Documents, errors_of: Callable[[Document], Mapping[str, float | None]]
) -> str:
    """A column a log, a row for each that predicts, and ratios below with their mean."""
    errors = {name: errors_of(document) for name, document in documents.items()}
    others = next(iter(documents.values()))["baselines"]
    names = list(dict.fromkeys(name for found in errors.values() for name in found))
    rows = [(name, [*(_whole(found.get(name)) for found in errors.values()), ""]) for name in names]
    for label, compared in (("best baseline", list(others)), ("request_only", ["request_only"])):
        ratios = [_ratio(found, compared) for found in errors.values()]
        known = [ratio for ratio in ratios if ratio is not None]
        cells = [NOTHING if ratio is None else f"{ratio:.3f}" for ratio in ratios]
        mean = f"{_geometric(known):.3f}" if known else NOTHING
        rows.append((f"ensemble / {label}", [*cells, mean]))
    return _table("", [*errors, "geometric mean"], rows)


def _ratio(errors: Mapping[str, float | None], compared: Iterable[str]) -> float | None:
    """The ensemble's error over the least of others; None where there is none."""
    ensemble = errors[ENSEMBLE]
    others = [error for name in compared if (error := errors[name]) is not None]
    return None if ensemble is None or not others else ensemble / min(others)


def _geometric(ratios: Sequence[float]) -> float:
    return math.exp(sum(map(math.log, ratios)) / len(ratios))


def _whole(value: float | None) -> str:
    return NOTHING if value is None else f"{value:,.0f}"


def _score(value: float | None) -> str:
    return NOTHING if value is None else f"{value:.4f}"


def _share(value: float | None) -> str:
    return NOTHING if value is None else f"{100 * value:.1f} %"


def _table(corner: str, heads: Sequence[str], rows: Iterable[tuple[str, Sequence[str]]]) -> str:
    lines = [
        f"| {corner} | {' | '.join(heads)} |",
        "|---|" + "---:|" * len(heads),
        *(f"| {name} | {' | '.join(cells)} |" for name, cells in rows),
    ]
    return "\n".join(lines)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--traces", type=Path, default=PROJECT.parent / "shared" / "traces")
    parser.add_argument("--config", type=Path, help="settings file (TOML)")
    parser.add_argument("--retrain-every", type=float, metavar="DAYS")
    parser.add_argument("--only", choices=TRACES, action="append", help="a log; may be repeated")
    parser.add_argument("--cache", type=Path, default=PROJECT / "build" / "accuracy")
    parser.add_argument("--readme", type=Path, default=PROJECT / "README.md")
    parser.add_argument("--check", action="store_true", help="write nothing, fail if out of step")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Evaluates what is missing and writes the tables, or checks; 0 if all is in step."""
    options = _options(arguments)
    setup = Setup(options.traces, options.config, options.retrain_every, options.cache.resolve())
    names = options.only or list(TRACES)
    absent = [TRACES[name] for name in names if not (options.traces / TRACES[name]).exists()]
    if absent:
        print(f"{options.traces} lacks {', '.join(absent)}: say --traces DIR", file=sys.stderr)
        return 1
    missing = [name for name in names if not setup.cached(name).exists()]
    if options.check and missing:
        print(f"not evaluated with this program: {', '.join(missing)}", file=sys.stderr)
        return 1
    try:
        documents = {name: evaluated(name, setup) for name in names}
    except subprocess.CalledProcessError as error:
        print(f"this failed, see above: {' '.join(error.cmd)}", file=sys.stderr)
        return 1
    old = options.readme.read_text(encoding="utf-8")
    new = filled(old, documents)
    if options.check and new != old:
        print("README.md shows other figures: run `make accuracy`", file=sys.stderr)
        return 1
    if not options.check:
        options.readme.write_text(new, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
