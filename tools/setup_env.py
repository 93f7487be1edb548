"""Makes the project's environment, `.venv`, as its locks say; does nothing where it already is.

    python tools/setup_env.py serve|train|dev

Each level holds the one before it, so an environment of a higher level serves for a lower one. It
is made anew when a lock, the project's declaration or the Python changes, when the project has
moved, and when making it was interrupted: a stamp written last says what is in it.

Packages are installed by uv where it is installed, else by pip; `INSTALLER=pip` or `INSTALLER=uv`
in the environment decides it. This program needs nothing but Python's standard library.
"""

import ctypes
import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
import tomllib
from pathlib import Path
from typing import BinaryIO

ROOT = Path(__file__).resolve().parents[1]
LEVELS = ("serve", "train", "dev")
BUILD_LOCK = "build"
STAMP = "environment.json"
OPENMP = "libgomp.so.1"
"""LightGBM links it and, unlike the others, does not bring it."""


class SetupError(Exception):
    """The environment cannot be made; the message says how to mend it."""


def lock_path(root: Path, name: str) -> Path:
    """The lock file called `name`."""
    return root / "requirements" / f"{name}.txt"


def fingerprint(root: Path, level: str) -> str:
    """SHA-256 (hex) of all that the environment of `level` is made from."""
    declaration = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    installed = [declaration[table] for table in ("build-system", "project")]
    parts = [
        level,
        sys.version,
        str(root),
        json.dumps(installed, sort_keys=True),
        *(lock_path(root, name).read_text(encoding="utf-8") for name in (BUILD_LOCK, level)),
    ]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def is_current(root: Path, environment: Path, level: str) -> bool:
    """Whether the environment is whole, up to date and holds at least `level`."""
    if not (environment / "bin" / "python").exists():
        return False
    try:
        stamp = json.loads((environment / STAMP).read_text(encoding="utf-8"))
        made = LEVELS.index(stamp["level"])
        return made >= LEVELS.index(level) and stamp["fingerprint"] == fingerprint(
            root, LEVELS[made]
        )
    except (OSError, ValueError, KeyError, TypeError):
        return False


def choose_installer() -> str:
    """`uv` or `pip`: what INSTALLER says, else uv where it runs."""
    wanted = os.environ.get("INSTALLER", "")
    if wanted not in ("", "uv", "pip"):
        raise SetupError(f"INSTALLER={wanted}: it can be uv or pip")
    if wanted == "pip" or (not wanted and not _runs("uv")):
        return "pip"
    if wanted == "uv" and not _runs("uv"):
        raise SetupError("INSTALLER=uv, but uv does not run here: leave INSTALLER out to use pip")
    return "uv"


def _runs(program: str) -> bool:
    """A program on the PATH may be a shim that fails."""
    if shutil.which(program) is None:
        return False
    return subprocess.run([program, "--version"], capture_output=True, check=False).returncode == 0


def commands(installer: str, root: Path, environment: Path, level: str) -> list[list[str]]:
    """What makes the environment, in order."""
    python = str(environment / "bin" / "python")
    if installer == "uv":
        create = ["uv", "venv", "--quiet", "--python", sys.executable, str(environment)]
        install = ["uv", "pip", "install", "--quiet", "--python", python]
    else:
        create = [sys.executable, "-m", "venv", str(environment)]
        install = [python, "-m", "pip", "install", "-qq", "--no-input"]
        install += ["--disable-pip-version-check"]
    locks = [str(lock_path(root, name)) for name in (BUILD_LOCK, level)]
    return [
        create,
        [*install, "--require-hashes", "-r", locks[0], "-r", locks[1]],
        [*install, "--no-deps", "--no-build-isolation", "--editable", str(root)],
    ]


def check_system(level: str) -> None:
    """Raises SetupError where the system lacks what the packages of a level link."""
    if level == "serve" or not sys.platform.startswith("linux"):
        return
    try:
        ctypes.CDLL(OPENMP)
    except OSError as error:
        raise SetupError(
            f"training needs OpenMP's library ({error}): install libgomp1 (Debian, Ubuntu: apt-get "
            "install libgomp1) or libgomp (Red Hat, SUSE). Serving does not: make setup-serve"
        ) from None


def remove(environment: Path) -> None:
    """Removes an environment, whole or half made; uv refuses to clear a half-made one."""
    if environment.is_symlink():
        environment.unlink()
    elif environment.exists():
        shutil.rmtree(environment)


def make(root: Path, environment: Path, level: str) -> None:
    """Makes the environment from nothing. Raises SetupError."""
    check_system(level)
    installer = choose_installer()
    print(
        f"{environment.name}: installing requirements/{level}.txt with {installer} ...", flush=True
    )
    started_s = time.monotonic()
    stamp = environment / STAMP
    stamp.unlink(missing_ok=True)
    remove(environment)
    for command in commands(installer, root, environment, level):
        if subprocess.run(command, cwd=root, check=False).returncode != 0:
            raise SetupError(_advice(installer, command))
    content = {"level": level, "fingerprint": fingerprint(root, level)}
    stamp.write_text(json.dumps(content) + "\n", encoding="utf-8")
    print(f"{environment.name}: ready in {time.monotonic() - started_s:.0f} s")


def wait_for_others(file: BinaryIO) -> None:
    """Takes the lock on `file` that the system gives back when this program ends, however."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        print("waiting for another run that makes the environment ...", flush=True)
        fcntl.flock(file, fcntl.LOCK_EX)


def _advice(installer: str, command: list[str]) -> str:
    failed = f"this failed, see above: {' '.join(command)}"
    if installer == "uv":
        return f"{failed}\nTo use pip instead, say INSTALLER=pip."
    if "venv" in command:
        return f"{failed}\nIf Python's venv module is missing, install it (python3-venv), or uv."
    return failed


def main(arguments: list[str]) -> int:
    """Exit code: 0 the environment is there, 1 it cannot be made, 2 usage, 130 interrupted."""
    if len(arguments) != 1 or arguments[0] not in LEVELS:
        print(f"usage: setup_env.py {'|'.join(LEVELS)}", file=sys.stderr)
        return 2
    level = arguments[0]
    environment = ROOT / ".venv"
    try:
        with (ROOT / "pyproject.toml").open("rb") as one_at_a_time:
            wait_for_others(one_at_a_time)
            if not is_current(ROOT, environment, level):
                make(ROOT, environment, level)
    except SetupError as error:
        print(f"{environment.name}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"{environment.name}: interrupted; the next run starts again", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
