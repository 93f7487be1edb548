"""Writes the locks in requirements/ from pyproject.toml: `make lock`, or `make lock UPGRADE=1`.

Every lock pins each package with the hashes of all its files, for every Python from 3.11 on and
every platform, and names no package index. All of them agree on versions: `serve`, `tracing`,
`train` and `build` are cut from what `dev` resolves to.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
OLDEST_PYTHON = "3.11"
DEV_LOCK = "requirements/dev.txt"
FROM_PROJECT: dict[str, tuple[str, ...]] = {
    DEV_LOCK: ("pyproject.toml", "--extra", "dev"),
    "requirements/train.txt": ("pyproject.toml", "--extra", "train", "--constraint", DEV_LOCK),
    "requirements/tracing.txt": ("pyproject.toml", "--extra", "tracing", "--constraint", DEV_LOCK),
    "requirements/serve.txt": ("pyproject.toml", "--constraint", DEV_LOCK),
}
BUILD_LOCK = "requirements/build.txt"
BUILD_SOURCE = ("-", "--no-annotate", "--constraint", DEV_LOCK)


def compile_lock(
    output: str, source: tuple[str, ...], upgrade: tuple[str, ...], requirements: str | None = None
) -> None:
    """Resolves `source` (`requirements` on its standard input) into the lock `output`."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("UV_")}
    command = ["uv", "pip", "compile", *source, *upgrade, "--output-file", output, "--quiet"]
    command += ["--no-config", "--universal", "--python-version", OLDEST_PYTHON]
    # One version for all Pythons where there is one: the models must not depend on the Python.
    command += ["--fork-strategy", "fewest", "--generate-hashes"]
    # Not every pip finds the pin of a package whose extra is asked for without it.
    command += ["--no-strip-extras", "--no-emit-index-url", "--no-emit-find-links"]
    command += ["--custom-compile-command", "make lock"]
    subprocess.run(command, cwd=ROOT, env=environment, input=requirements, text=True, check=True)
    print(f"wrote {output}")


def main() -> int:
    """Writes every lock; the exit code is 1 without uv, or when uv cannot resolve one."""
    parser = argparse.ArgumentParser(description="Writes the locks in requirements/.")
    parser.add_argument("--upgrade", action="store_true", help="take the newest versions allowed")
    upgrade = ("--upgrade",) if parser.parse_args().upgrade else ()
    if shutil.which("uv") is None:
        print("locks are made with uv, which is not installed: pip install uv", file=sys.stderr)
        return 1
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    try:
        for output, source in FROM_PROJECT.items():
            compile_lock(output, source, upgrade)
        build = "\n".join(project["build-system"]["requires"])
        compile_lock(BUILD_LOCK, BUILD_SOURCE, upgrade, build)
    except subprocess.CalledProcessError as error:
        return int(error.returncode)
    return 0


if __name__ == "__main__":
    sys.exit(main())
