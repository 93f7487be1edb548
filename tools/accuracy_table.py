"""Evaluates the eleven public job logs with one configuration and writes the tables of accuracy.

    python tools/accuracy_table.py [--traces DIR] [--config F] [--renew-every DAYS]
        [--measured | --check]

Every log is answered by a base model that has seen no log of its centre (zero-shot), and by one
tuned from that on the part that had ended before the 70 % mark (fine-tuned); with `--renew-every`
also by one that is tuned anew every so many days. Three base models do for all: each leaves out the
logs of several centres. What edition 1.0 answered to a log stands beside where `tools/edition1.py`
left it, under build/edition1/answers.

Every model is trained, and every log evaluated, in a process of its own. All is kept under
build/accuracy by what made it (the program, the configuration, the logs), so that an interrupted
run goes on where it stopped and no figure of another program is ever shown. Tables go into
docs/accuracy.md, and a summary into README.md. `--measured` evaluates nothing more: logs without
figures have a row that says so. `--check` evaluates and writes nothing: it fails where figures are
missing or are not the ones that are shown.
"""

import argparse
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(PROJECT))

from accuracy_cells import with_missing  # noqa: E402
from accuracy_tables import (  # noqa: E402
    RENEWED,
    SUMMARY,
    TABLES,
    TUNED,
    ZERO_SHOT,
    Document,
    Documents,
    summary_table,
)
from generated_tables import fill  # noqa: E402
from public_logs import JUDGED, PUBLIC_LOGS, PublicLog  # noqa: E402

FOLDS: tuple[tuple[str, ...], ...] = (
    ("DRAC", "SDSC"),
    ("CEA", "CTC", "LANL", "HPC2N"),
    ("KTH", "LLNL", "LPC"),
)
"""Centres that each base model leaves out; together those of all judged logs."""

_DECIDING = (
    "settings/training.py",
    *(
        f"{part}/**/*.py"
        for part in ("jobs", "features", "history", "model", "online", "traces", "training")
    ),
)
"""What of the program decides the figures."""

NAMES = [log.name for log in JUDGED]


@dataclass(frozen=True)
class Setup:
    """What all logs are evaluated with."""

    traces: Path
    config: Path | None
    renew_every_days: float | None
    cache: Path
    beside: Path
    """Folder of edition 1.0's answers."""

    @property
    def ways(self) -> tuple[str, ...]:
        """In which ways each log is answered."""
        renewed = (RENEWED,) if self.renew_every_days else ()
        return (ZERO_SHOT, TUNED, *renewed)

    def base(self, log: PublicLog) -> Path:
        """Return the folder of the base model that has seen no log of this one's centre."""
        fold = next(number for number, out in enumerate(FOLDS) if log.centre in out)
        learned = [other for other in PUBLIC_LOGS if other.centre not in FOLDS[fold]]
        return self.cache / f"base-{fold + 1}-{self._digest(learned)}"

    def cached(self, log: PublicLog, way: str) -> Path:
        """Return where the figures of a log are kept; another program has another place."""
        digest = self._digest(
            [log], self.base(log).name, str(self.renew_every_days), self._old(log)
        )
        return self.cache / f"{log.name}-{way}-{digest}.json"

    def _digest(self, logs: Sequence[PublicLog], *more: str) -> str:
        digest = hashlib.sha256(" ".join(more).encode())
        digest.update(_program())
        digest.update(self.config.read_bytes() if self.config else b"")
        for log in logs:
            digest.update(f"{log.file} {(self.traces / log.file).stat().st_size}".encode())
        return digest.hexdigest()[:12]

    def _old(self, log: PublicLog) -> str:
        """Return the size of edition 1.0's answers to a log, "" where there are none."""
        answers = self.beside / f"{_stem(log.file)}.parquet"
        return str(answers.stat().st_size) if answers.exists() else ""

    def base_command(self, log: PublicLog) -> list[str]:
        """Train the base model of a log."""
        fold = next(out for out in FOLDS if log.centre in out)
        without = [part for centre in fold for part in ("--without", centre)]
        program = [sys.executable, str(PROJECT / "tools" / "base.py")]
        folder = ["-o", str(self.base(log)), "--traces", str(self.traces)]
        return [*program, *folder, *without, *self._config()]

    def command(self, log: PublicLog, way: str, output: Path) -> list[str]:
        """Evaluate a log in one way, into a file."""
        base = str(self.base(log))
        options = ["--bundle", base] if way == ZERO_SHOT else ["--base", base]
        if way == RENEWED:
            options += ["--retrain-every", f"{self.renew_every_days:g}"]
        answers = self.beside / f"{_stem(log.file)}.parquet"
        if answers.exists():
            options += ["--beside", str(answers)]
        program = [sys.executable, "-m", "rt_predictor", "evaluate", str(self.traces / log.file)]
        return [*program, "--json", str(output), *options, *self._config()]

    def _config(self) -> list[str]:
        return ["--config", str(self.config)] if self.config else []


@cache
def _program() -> bytes:
    """Return a digest of all of the program that decides the figures."""
    package = PROJECT / "rt_predictor"
    sources = sorted(path for part in _DECIDING for path in package.glob(part))
    return hashlib.sha256(b"".join(path.read_bytes() for path in sources)).digest()


def _stem(file: str) -> str:
    """The name of a log's file without what says how it is written, as `edition1.py` has it."""
    for suffix in (".gz", ".swf", ".sacct", ".csv"):
        file = file.removesuffix(suffix)
    return file


def evaluated(log: PublicLog, way: str, setup: Setup) -> Document:
    """Return the figures of a log, from the cache where they are there."""
    kept = setup.cached(log, way)
    if not kept.exists():
        setup.cache.mkdir(parents=True, exist_ok=True)
        base = setup.base(log)
        if not base.exists():
            print(f"training {base.name} ...", file=sys.stderr, flush=True)
            _run(setup.base_command(log))
        print(f"evaluating {log.name}, {way} ...", file=sys.stderr, flush=True)
        unfinished = kept.with_suffix(".part")
        _run(setup.command(log, way, unfinished))
        unfinished.replace(kept)
    document: Document = json.loads(kept.read_text(encoding="utf-8"))
    return document


def _run(command: Sequence[str]) -> None:
    subprocess.run(command, cwd=PROJECT, env=_environment(), check=True, stdout=subprocess.DEVNULL)


def _environment() -> dict[str, str]:
    """Return this environment without settings: one configuration for all, and no other."""
    return {k: v for k, v in os.environ.items() if not k.upper().startswith("RT_PREDICTOR_")}


def filled(texts: dict[Path, str], page: Path, readme: Path, documents: Documents) -> None:
    """Put every table of these figures into the texts; of some logs there may be none."""
    measured = {name: by_way for name, by_way in documents.items() if by_way}
    missing = [name for name in documents if name not in measured]
    for name, table in TABLES.items():
        texts[page] = fill(texts[page], name, with_missing(table(measured), missing))
    texts[readme] = fill(texts[readme], SUMMARY, summary_table(measured))


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    build = PROJECT / "build"
    parser.add_argument("--traces", type=Path, default=PROJECT.parent / "shared" / "traces")
    parser.add_argument("--config", type=Path, help="settings file (TOML)")
    parser.add_argument("--renew-every", type=float, metavar="DAYS")
    parser.add_argument("--only", choices=NAMES, action="append", help="a log; may be repeated")
    parser.add_argument("--cache", type=Path, default=build / "accuracy")
    parser.add_argument(
        "--beside", type=Path, metavar="DIR", default=build / "edition1" / "answers"
    )
    parser.add_argument("--page", type=Path, default=PROJECT / "docs" / "accuracy.md")
    parser.add_argument("--readme", type=Path, default=PROJECT / "README.md")
    parser.add_argument("--measured", action="store_true", help="show what has been measured")
    parser.add_argument("--check", action="store_true", help="write nothing, fail if out of step")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Evaluate what is missing and write the tables, or check; 0 if all is in step."""
    options = _options(arguments)
    setup = Setup(
        options.traces.resolve(),
        options.config,
        options.renew_every,
        options.cache.resolve(),
        options.beside.resolve(),
    )
    if absent := [log.file for log in PUBLIC_LOGS if not (setup.traces / log.file).exists()]:
        print(f"{options.traces} lacks {', '.join(absent)}: say --traces DIR", file=sys.stderr)
        return 1
    logs = [log for log in JUDGED if log.name in (options.only or NAMES)]
    wanted = [(log, way) for log in logs for way in setup.ways]
    missing = [f"{log.name} ({way})" for log, way in wanted if not setup.cached(log, way).exists()]
    if options.check and missing:
        print(f"not evaluated with this program: {', '.join(missing)}", file=sys.stderr)
        return 1
    documents: dict[str, dict[str, Any]] = {log.name: {} for log in logs}
    if options.measured:
        complete = {
            log.name: all(setup.cached(log, w).exists() for w in setup.ways) for log in logs
        }
        wanted = [(log, way) for log, way in wanted if complete[log.name]]
    try:
        for log, way in wanted:
            documents[log.name][way] = evaluated(log, way, setup)
    except subprocess.CalledProcessError as error:
        print(f"this failed, see above: {' '.join(error.cmd)}", file=sys.stderr)
        return 1
    old = {path: path.read_text(encoding="utf-8") for path in (options.page, options.readme)}
    new = dict(old)
    filled(new, options.page, options.readme, documents)
    changed = [path for path in old if new[path] != old[path]]
    if options.check and changed:
        names = ", ".join(path.name for path in changed)
        print(f"{names} shows other figures: run `make accuracy`", file=sys.stderr)
        return 1
    if not options.check:
        for path in changed:
            path.write_text(new[path], encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
