"""Starts the service, asks it as its users would, shows what it answers, and keeps it running.

    python tools/demo.py [--once] [--quick]

`make demo` runs this. It needs the libraries of the service and the bundle that is committed; where
those of training are there too, it tunes a copy of the model. Ctrl-C (or SIGTERM) stops it;
`--once` stops it after the show; `--quick` leaves the tuning out.
"""

import argparse
import asyncio
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(PROJECT))

from demo_show import show  # noqa: E402
from demo_stage import Stage, say  # noqa: E402

from rt_predictor.client import Client  # noqa: E402
from rt_predictor.errors import (  # noqa: E402
    EXIT_FAILURE,
    EXIT_OK,
    RTPredictorError,
    ServiceError,
    outcome_of,
)
from rt_predictor.model.bundle import read_bundle  # noqa: E402
from rt_predictor.settings import Settings, load_settings  # noqa: E402

START_TIMEOUT_S = 60.0
STOP_MARGIN_S = 10.0
"""What the service gets to stop, beyond the time its calls get to finish."""


class Service:
    """The service as a process of its own."""

    def __init__(self, stage: Stage, settings: Settings, *, tunes: bool) -> None:
        """Start it, on a copy of the model."""
        self._stop_timeout_s = settings.server.drain_timeout_s + STOP_MARGIN_S
        command = [sys.executable, "-m", "rt_predictor", "serve"]
        command += ["--port", str(stage.grpc), "--metrics-port", str(stage.metrics)]
        self._folder = tempfile.TemporaryDirectory(prefix="rt-predictor-")
        # A copy, for the show puts another model in its place.
        model = shutil.copytree(settings.model.path, Path(self._folder.name) / "model")
        self.stage = replace(stage, model=model if tunes else None)
        environment = {"RT_PREDICTOR_LOGGING__LEVEL": "WARNING", **os.environ}
        # Whatever is set: made-up outcomes must not get into a real log.
        environment["RT_PREDICTOR_HISTORY__PATH"] = str(Path(self._folder.name) / "history.sqlite")
        environment["RT_PREDICTOR_MODEL__PATH"] = str(model)
        environment["RT_PREDICTOR_MODEL__WATCH"] = "true"
        # In a group of its own: a Ctrl-C is for this program, which stops the service once.
        self.process = subprocess.Popen(command, env=environment, process_group=0)

    async def until_ready(self) -> None:
        """Waits until the service can answer.

        Raises ServiceError where it stops instead, or is not ready in time.
        """
        give_up = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < give_up:
            if self.process.poll() is not None:
                raise ServiceError("the service stopped while it was starting; see above")
            with suppress(ServiceError):
                async with Client(self.stage.target, timeout_s=2.0) as client:
                    if await client.is_serving():
                        return
            await asyncio.sleep(0.1)
        raise ServiceError(f"the service was not ready within {START_TIMEOUT_S:g} s")

    def stop(self) -> int:
        """Asks the service to stop, waits until it has, and returns its exit code.

        A Ctrl-C meanwhile asks again, which hurries the service.
        """
        with self._folder:
            for timeout_s in (self._stop_timeout_s, STOP_MARGIN_S):
                self.process.terminate()
                with suppress(subprocess.TimeoutExpired, KeyboardInterrupt):
                    return self.process.wait(timeout_s)
            self.process.kill()
            return self.process.wait()


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the show and returns the exit code."""
    parser = argparse.ArgumentParser(description="Starts the service and shows what it can do.")
    parser.add_argument("--once", action="store_true", help="stop after the show")
    parser.add_argument("--quick", action="store_true", help="leave the tuning out")
    options = parser.parse_args(arguments)
    # SIGTERM and a closed terminal end the program the way Ctrl-C does.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    os.chdir(PROJECT)
    try:
        settings = load_settings()
        bundle = read_bundle(settings.model.path)
        stage = set_up(settings)
    except RTPredictorError as error:
        print(f"error: {error}", file=sys.stderr)
        return outcome_of(error).exit_code
    say(f"Model {bundle.info.model_version} in {settings.model.path} is whole.")
    return run(Service(stage, settings, tunes=not options.quick), once=options.once)


def run(service: Service, *, once: bool) -> int:
    """Shows what the service can do, keeps it running unless `once`, and stops it."""
    stopped, code = EXIT_OK, EXIT_OK
    try:
        asyncio.run(service.until_ready())
        say(f"The service is ready at {service.stage.target}.")
        show(service.stage)
        if not once:
            say(f"The service keeps running at {service.stage.target}; Ctrl-C stops it.")
            service.process.wait()
    except KeyboardInterrupt:
        say("Stopping the service.")
    except RTPredictorError as error:
        print(f"error: {error}", file=sys.stderr)
        code = EXIT_FAILURE
    finally:
        stopped = service.stop()
    return stopped or code


def set_up(settings: Settings) -> Stage:
    """The ports of the settings, or free ones in place of those that are taken."""
    server = settings.server
    port = _free_port(server.port, "server.port")
    metrics = server.metrics_enabled and _free_port(server.metrics_port, "server.metrics_port")
    return Stage(port, int(metrics), settings.history.enabled, None)


def _free_port(wanted: int, setting: str) -> int:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("", wanted))
        except OSError:
            probe.bind(("", 0))
            say(f"Port {wanted} ({setting}) is taken; this uses {probe.getsockname()[1]}.")
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    sys.exit(main())
