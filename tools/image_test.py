"""Builds the image and runs the service from it, with neither a container engine nor a registry.

    python tools/image_test.py [--arch arm64] [--lock tracing] [--base IMAGE] [--bundle DIR]
                               [--trust FOLDER] [--train]

Needs root, buildah and, where no base image is named, debootstrap: the base is then made of
Debian's own packages. Another architecture than the machine's is emulated where the kernel knows
how (Debian: qemu-user-static, 10 or newer). `--train` builds the image of the target `train` too.
Prints the size of the image and how long the service takes to be
ready.
"""

import argparse
import json
import os
import platform
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO

PROJECT = Path(__file__).resolve().parents[1]
IMAGE = "localhost/rt-predictor:image-test"
TRAIN_IMAGE = "localhost/rt-predictor-train:image-test"
DEBIAN = "localhost/rt-predictor-base:debian"
"""The base that is made here, and kept for the next time; one for each architecture."""
RELEASE = "bookworm"
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
"""What Linux calls those of the image, and what containers and Debian do"""
PATIENCE_S = 600.0
"""Emulated, all of it takes minutes."""
USER = "10001:10001"
JOB = "--processors 32 --nodes 4 --mem 128000 --time 3600 --partition normal --qos normal"
ASKED = ("rt-predictor", "predict", *JOB.split())

# What is not to be in the image, and what its user may not do.
_PROBE = """
import importlib.util, os, platform, shutil, sys, tempfile
machines = {"amd64": "x86_64", "arm64": "aarch64"}
assert platform.machine() == machines[sys.argv[1]], platform.machine()
unwanted = ["pip", "ensurepip", "hatchling", "matplotlib"]
unwanted += ["xgboost", "lightgbm", "catboost", "onnx"]
found = [name for name in unwanted if importlib.util.find_spec(name)]
found += [name for name in ("gcc", "cc", "make", "pip", "git") if shutil.which(name)]
assert not found, f"the image holds {found}"
assert os.getuid() == 10001, os.getuid()
open_to_it = ("/app/var", "/app/artifacts", "/tmp", "/var/tmp", "/run/lock")
open_to_it += ("/dev", "/proc", "/sys")
written = [
    folder
    for folder, _, _ in os.walk("/")
    if os.access(folder, os.W_OK) and not folder.startswith(open_to_it)
]
assert not written, f"the service may write to {written}"
tempfile.TemporaryFile(dir="/app/var").close()
"""


def buildah(*arguments: object, **options: object) -> str:
    """Runs buildah. Returns what it printed; raises CalledProcessError."""
    command = ["buildah", "--storage-driver", "vfs", *map(str, arguments)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, **options)  # type: ignore[call-overload]
    return str(done.stdout).strip()


def debian_base(arch: str) -> str:
    """An image of Debian with Python, made by debootstrap unless it is there already."""
    name = f"{DEBIAN}-{arch}"
    if buildah("images", "--quiet", "--filter", f"reference={name}"):
        return name
    packages = "python3,python3-venv,ca-certificates"
    with tempfile.TemporaryDirectory() as folder:
        command = ["debootstrap", f"--arch={arch}", "--variant=minbase", f"--include={packages}"]
        subprocess.run([*command, RELEASE, folder], check=True, stdout=subprocess.DEVNULL)
        shutil.rmtree(f"{folder}/var/cache/apt")
        container = buildah("from", "scratch")
        buildah("copy", "--quiet", container, folder, "/")
        buildah("config", "--os", "linux", "--arch", arch, container)
        buildah("commit", "--quiet", "--rm", container, name)
    return name


def build(target: str, image: str, options: argparse.Namespace) -> None:
    """Builds a target as an image."""
    trust: Path | None = options.trust
    volumes = () if trust is None else ("--volume", f"{trust}:{trust}:ro")
    buildah(
        *("build-using-dockerfile", "--isolation", "chroot", "--format", "docker", "--quiet"),
        *("--platform", f"linux/{options.arch}", "--build-arg", f"BASE={options.base}"),
        *("--build-arg", f"LOCK={options.lock}", "--target", target, "--tag", image, *volumes),
        *("--file", PROJECT / "Containerfile", PROJECT),
    )


class Container:
    """A container of an image, whose programs run as the image says."""

    def __init__(self, image: str, arch: str, bundle: Path | None = None) -> None:
        self.name = buildah("from", "--platform", f"linux/{arch}", image)
        self._volumes = [] if bundle is None else ["-v", f"{bundle}:/app/artifacts/production:ro"]

    def command(self, *program: object, **settings: object) -> list[str]:
        """The command that runs a program in it, with settings in the environment."""
        environment = [f"--env={name}={value}" for name, value in settings.items()]
        run = ["buildah", "--storage-driver", "vfs", "run", "--isolation", "chroot", "--user", USER]
        return [*run, *environment, *self._volumes, self.name, "--", *map(str, program)]

    def remove(self) -> None:
        """Removes it."""
        buildah("rm", self.name)


def check_description() -> list[str]:
    """Checks how the image says it is run. Returns the command of its health check."""
    described = json.loads(buildah("inspect", "--type", "image", IMAGE))["Docker"]["config"]
    assert described["User"] == USER, described["User"]
    command = [*described["Entrypoint"], *described["Cmd"]]
    assert command == ["rt-predictor", "serve"], command
    kind, *check = described["Healthcheck"]["Test"]
    assert kind == "CMD", kind
    return list(check)


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
    return port


def run_service(container: Container, health_check: Sequence[str]) -> float:
    """Starts the service, has it asked, and stops it. Returns the time until it was ready, in s."""
    port = free_port()
    settings = {
        "RT_PREDICTOR_SERVER__HOST": "127.0.0.1",
        "RT_PREDICTOR_SERVER__PORT": port,
        "RT_PREDICTOR_SERVER__METRICS_ENABLED": "false",
        "RT_PREDICTOR_SERVER__MAX_WORKERS": 2,
        "RT_PREDICTOR_SERVER__ADMIN": "true",
    }
    target = f"127.0.0.1:{port}"
    started = time.monotonic()
    with tempfile.TemporaryFile() as log:
        service = subprocess.Popen(
            container.command("rt-predictor", "serve", **settings), stderr=log
        )
        try:
            took_s = _ready_after_s(service, port, started)
            subprocess.run(container.command(*health_check, **settings), check=True)
            subprocess.run(container.command(*ASKED, "--target", target), check=True)
            # A reload loads a copy of the model, for which there must be a place to write to.
            os.kill(_supervisor(service.pid), signal.SIGHUP)
            _wait_for("workers replaced", log)
            reload = ("rt-predictor", "reload", "--target", target)
            subprocess.run(container.command(*reload), check=True)
        finally:
            # buildah would kill the service rather than hand a signal on.
            if service.poll() is None:
                os.kill(_supervisor(service.pid), signal.SIGTERM)
            assert service.wait(PATIENCE_S) == 0, f"it ended with exit code {service.returncode}"
            sys.stderr.write(_said(log))
        warned = re.findall(r".* (?:WARNING|ERROR) .*", _said(log))
        assert not warned, f"the service complains: {warned}"
    return took_s


def _supervisor(pid: int) -> int:
    """The service, below the processes of buildah, each of which started the next."""
    while Path(f"/proc/{pid}/cmdline").read_bytes().startswith(b"buildah"):
        (pid, *_) = [
            int(child)
            for thread in Path(f"/proc/{pid}/task").iterdir()
            for child in (thread / "children").read_text().split()
        ]
    return pid


def _said(log: IO[bytes]) -> str:
    return os.pread(log.fileno(), os.fstat(log.fileno()).st_size, 0).decode()


def _wait_for(message: str, log: IO[bytes]) -> None:
    """Waits until the service has said so."""
    deadline = time.monotonic() + PATIENCE_S
    while message not in _said(log):
        assert time.monotonic() < deadline, f"it never said {message!r}, but: {_said(log)}"
        time.sleep(0.1)


def _ready_after_s(service: "subprocess.Popen[bytes]", port: int, started: float) -> float:
    """Time until the port takes connections, which it does once the model has answered."""
    while time.monotonic() < started + PATIENCE_S:
        assert service.poll() is None, f"it ended with exit code {service.returncode}"
        with socket.socket() as client:
            if client.connect_ex(("127.0.0.1", port)) == 0:
                return time.monotonic() - started
        time.sleep(0.02)
    raise AssertionError(f"it does not serve within {PATIENCE_S} s")


def check_training(arch: str) -> None:
    """Has the image that trains load all that it trains with."""
    container = Container(TRAIN_IMAGE, arch)
    try:
        load = "import catboost, jax, lightgbm, onnx, xgboost; import rt_predictor.training.site"
        subprocess.run(container.command("python3", "-c", load), check=True)
        subprocess.run(container.command("rt-predictor", "train", "--help"), check=True)
    finally:
        container.remove()


def main() -> int:
    """Builds, checks and runs; 0 if all is well."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])  # type: ignore[union-attr]
    own = ARCHITECTURES.get(platform.machine())
    parser.add_argument("--arch", choices=sorted(ARCHITECTURES.values()), default=own)
    parser.add_argument("--lock", default="serve", help="serve, or tracing")
    parser.add_argument("--train", action="store_true", help="try the image that trains, too")
    parser.add_argument("--base", help="base image, with Python 3.11 or newer and venv")
    parser.add_argument("--bundle", type=Path, help="model bundle to serve instead of the image's")
    parser.add_argument("--trust", type=Path, help="folder of certificates to build with")
    options = parser.parse_args()
    missing = [name for name in ("buildah", "debootstrap") if shutil.which(name) is None]
    if missing or os.getuid() != 0:
        print(f"needs root, buildah and debootstrap; missing: {missing}", file=sys.stderr)
        return 1
    options.base = options.base or debian_base(options.arch)
    build("serve", IMAGE, options)
    health_check = check_description()
    sizes = json.loads(buildah("images", "--json", "--no-trunc"))
    names = {name: image["size"] for image in sizes for name in image.get("names") or ()}
    bundle = options.bundle and options.bundle.resolve()
    container = Container(IMAGE, options.arch, bundle)
    try:
        probed = container.command("python3", "-c", _PROBE, options.arch)
        subprocess.run(probed, check=True)
        took_s = run_service(container, health_check)
    finally:
        container.remove()
    print(f"image {names[IMAGE]}, of which {names.get(options.base, 'unknown')} are the base")
    print(f"ready after {took_s:.1f} s")
    if options.train:
        build("train", TRAIN_IMAGE, options)
        check_training(options.arch)
    return 0


if __name__ == "__main__":
    sys.exit(main())
