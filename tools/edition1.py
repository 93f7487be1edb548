"""Makes edition 1.0's answers to job logs again, so that later figures stand beside them.

    python tools/edition1.py LOG... [-o DIR] [--python PYTHON]

Takes the source of edition 1.0 from git, installs what its locks say into an environment of its
own (both under build/edition1; `--python` names an environment that has the libraries instead),
trains on the part of each log that had ended before the 70 % mark and answers every later job that
ran, each from what was known at its submit. `rt-predictor evaluate LOG` of edition 1.0 does the
same. Answers are kept by the log's SHA-256, and made once.

DIR (build/edition1/answers) gets NAME.json with the edition's figures and NAME.parquet with one
row a test job, in the order of submission, jobs of one second in the order of the log:

| column | unit | meaning |
|---|---|---|
| `job_id` | | as in the log; null where it has none |
| `submit_time`, `end_time` | Unix s | as the edition read them |
| `processors_req` | cores | of the whole job |
| `time_req` | s | limit; null without one |
| `runtime` | s | above zero |
| `predicted_s` | s | point prediction |
| `lower_50_s`, `upper_50_s`; the same for 90, 95 | s | ends of the interval of that level |
| `timeout_probability` | 0 to 1 | chance to reach the limit; null without one |
| `recommended_90_s`, `recommended_95_s` | s | limit to ask for, in steps of 300 s |
| `user_runs` | count | finished jobs of the user that were known; may stop counting at 10 |

The numbers in names are levels and confidences in %. Needs nothing but Python's standard library
and git.
"""

import argparse
import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parents[1]
COMMIT = "8f730f9126659f7d841e8e327a91c7a8598acc3e"
"""Edition 1.0."""

ANSWERS = Path(__file__).with_name("edition1_answers.py")
"""Program that runs in the edition's environment."""

_LOG_SUFFIXES = frozenset((".gz", ".bz2", ".xz", ".swf", ".sacct", ".csv", ".parquet", ".txt"))
_KEPT = (".parquet", ".json")
_ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "POLARS_MAX_THREADS")


class Edition1Error(Exception):
    """Answers cannot be made; the message says how to mend it."""


@dataclass(frozen=True)
class Edition1:
    """Edition 1.0, ready to answer."""

    source: Path
    """Folder of its source."""
    python: Path
    """Interpreter with its libraries."""

    def answer(self, log: Path, frame: Path, figures: Path) -> None:
        """Write the answers to a log into two files. Raises Edition1Error."""
        command = [self.python, ANSWERS, log, frame, figures]
        done = subprocess.run(
            [str(part) for part in command], env=_environment(self.source), check=False
        )
        if done.returncode:
            raise Edition1Error(f"{log}: edition 1.0 gave no answers, see above")


def _environment(source: Path) -> dict[str, str]:
    """Return this environment without settings, with one thread and the edition's source."""
    kept = {k: v for k, v in os.environ.items() if not k.upper().startswith("RT_PREDICTOR_")}
    return {**kept, **dict.fromkeys(_ONE_THREAD, "1"), "PYTHONPATH": str(source)}


def prepare(folder: Path, python: Path | None) -> Edition1:
    """Take the source from git and make the environment, where they are not there yet.

    Args:
        folder: where both go.
        python: an interpreter whose environment serves instead; None makes one.

    Raises Edition1Error.
    """
    source = folder / "source"
    if not source.exists():
        _take_source(source)
    return Edition1(source, _made_environment(source) if python is None else python)


def _take_source(source: Path) -> None:
    archive = subprocess.run(
        ["git", "archive", "--format=tar", COMMIT], cwd=PROJECT, capture_output=True, check=False
    )
    if archive.returncode:
        raise Edition1Error(
            f"git does not give edition 1.0, commit {COMMIT[:7]}: "
            f"{archive.stderr.decode(errors='replace').strip()}. "
            "A shallow clone lacks it: git fetch --unshallow"
        )
    source.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=source.parent) as unfinished:
        whole = Path(unfinished) / "source"
        with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as tar:
            tar.extractall(whole, filter="data")
        whole.rename(source)


def _made_environment(source: Path) -> Path:
    """Return the interpreter of the environment that the edition's own tool makes, or keeps."""
    command = [sys.executable, str(source / "tools" / "setup_env.py"), "train"]
    if subprocess.run(command, check=False, stdout=sys.stderr).returncode:
        raise Edition1Error(
            "edition 1.0's environment cannot be made, see above; "
            "--python names another that has the libraries"
        )
    return source / ".venv" / "bin" / "python"


def log_name(log: Path) -> str:
    """Return the name of a log's file without what says how it is written."""
    name = log.name
    while Path(name).suffix in _LOG_SUFFIXES:
        name = Path(name).stem
    return name


def answered(log: Path, edition: Edition1, kept: Path) -> Path:
    """Return the stem of the answers to a log, made unless they are kept. Raises Edition1Error."""
    with log.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    stem = kept / digest
    if all(Path(f"{stem}{suffix}").exists() for suffix in _KEPT):
        return stem
    kept.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=kept) as unfinished:
        frame, figures = (Path(unfinished) / f"answers{suffix}" for suffix in _KEPT)
        edition.answer(log, frame, figures)
        document = json.loads(figures.read_text(encoding="utf-8"))
        document = {"commit": COMMIT, "log": log.name, "log_sha256": digest, **document}
        figures.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
        for made in (frame, figures):
            made.replace(f"{stem}{made.suffix}")
    return stem


def line(name: str, document: Mapping[str, Any]) -> str:
    """Return what is printed of a log."""
    found = document["headline"]
    coverage = ", ".join(f"{share:.1%} at {level}" for level, share in found["coverage"].items())
    return (
        f"{name}: {found['jobs_test']:,} jobs, MAE {found['mae_s']:,.0f} s, "
        f"{found['mae_over_best_baseline']:.3f} of {found['best_baseline']}; "
        f"coverage {coverage}; {document['seconds']:,.0f} s"
    )


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    build = PROJECT / "build" / "edition1"
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("logs", type=Path, nargs="+", metavar="LOG", help="a job log")
    parser.add_argument("--output", "-o", type=Path, metavar="DIR", default=build / "answers")
    parser.add_argument("--python", type=Path, help="interpreter of an environment to use")
    parser.add_argument("--build", type=Path, metavar="DIR", default=build, help="what is kept")
    options = parser.parse_args(arguments)
    if absent := [str(log) for log in options.logs if not log.is_file()]:
        parser.error(f"no such file: {', '.join(absent)}")
    names = [log_name(log) for log in options.logs]
    if twice := {name for name in names if names.count(name) > 1}:
        parser.error(f"several logs are called {', '.join(sorted(twice))}: answer them one by one")
    if inside := [log for log in options.logs if log.parent.resolve() == options.output.resolve()]:
        parser.error(f"answers would lie among the logs, beside {inside[0]}: say -o DIR")
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    """Answer every log that can be answered; 0 if all were."""
    options = _options(arguments)
    build = options.build.resolve()
    failed = 0
    try:
        edition = prepare(build, options.python)
    except Edition1Error as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    for log in options.logs:
        print(f"{log_name(log)} ...", file=sys.stderr, flush=True)
        try:
            stem = answered(log, edition, build / "kept")
        except Edition1Error as error:
            print(f"error: {error}", file=sys.stderr)
            failed += 1
            continue
        options.output.mkdir(parents=True, exist_ok=True)
        for suffix in _KEPT:
            shutil.copyfile(f"{stem}{suffix}", options.output / f"{log_name(log)}{suffix}")
        document = json.loads(Path(f"{stem}.json").read_text(encoding="utf-8"))
        print(line(log_name(log), document), flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
