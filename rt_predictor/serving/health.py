"""Health: small checks of each part of the service, and what they add up to."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum, auto

import numpy as np
import polars as pl

from rt_predictor.errors import StartupError
from rt_predictor.history.history import History
from rt_predictor.jobs.schema import REQUEST_SCHEMA
from rt_predictor.observability.memory import resident_memory_bytes
from rt_predictor.serving.dispatch import Dispatcher
from rt_predictor.serving.port import PredictorPort
from rt_predictor.serving.predictions import Predictions
from rt_predictor.settings import WatchingSettings

MODEL = "model"
_MIB = 1024 * 1024


class State(Enum):
    """How a part of the service is, or the whole."""

    SERVING = auto()
    DEGRADED = auto()
    NOT_SERVING = auto()


@dataclass(frozen=True)
class Health:
    """A state, and one line for people."""

    state: State
    message: str


Check = Callable[[], Health]
"""Looks at one part of the service; quick, and never raises."""


class HealthReport:
    """The parts of the service and how each is. Starts out not ready."""

    def __init__(self, checks: Mapping[str, Check]) -> None:
        self._checks = dict(checks)
        self._not_ready = "starting"

    def ready(self) -> None:
        """The service answers from now on."""
        self._not_ready = ""

    def draining(self) -> None:
        """The service takes on no more calls."""
        self._not_ready = "shutting down"

    def parts(self) -> dict[str, Health]:
        """How each part is."""
        return {name: check() for name, check in self._checks.items()}

    def whole(self, parts: Mapping[str, Health]) -> Health:
        """What the parts add up to: without the model nothing is served, without another part less.

        `parts` is an answer of `parts()`.
        """
        if self._not_ready:
            return Health(State.NOT_SERVING, self._not_ready)
        worst = [name for name, part in parts.items() if part.state is not State.SERVING]
        if not worst:
            return Health(State.SERVING, "all parts serve")
        message = "; ".join(f"{name}: {parts[name].message}" for name in worst)
        if MODEL in parts and parts[MODEL].state is State.NOT_SERVING:
            return Health(State.NOT_SERVING, message)
        return Health(State.DEGRADED, message)


def model_check(dispatcher: Dispatcher, model_version: str) -> Check:
    """Whether the model answers; it did at start (`self_test`)."""

    def check() -> Health:
        if dispatcher.failing:
            return Health(State.DEGRADED, "the last prediction failed: see the log")
        return Health(
            State.SERVING, f"{model_version}, {dispatcher.predicted} jobs predicted since start"
        )

    return check


def history_check(history: History) -> Check:
    """Whether outcomes are recorded, and memory holds them."""

    def check() -> Health:
        state = history.state()
        if not state.enabled:
            return Health(State.SERVING, "switched off (history.enabled)")
        troubles = list(state.problems)
        if not troubles and not state.in_step:
            troubles.append(f"{state.behind} events of the log are not read yet")
        if state.set_aside:
            troubles.append(
                f"a damaged log was set aside as {state.set_aside[-1]}: import what it held anew, "
                "then delete it"
            )
        if troubles:
            return Health(State.DEGRADED, "; ".join(troubles))
        return Health(State.SERVING, f"{state.events} jobs under {state.keys} keys")

    return check


def coverage_check(predictor: PredictorPort, settings: WatchingSettings) -> Check:
    """Whether intervals hold as many of the jobs that end now as they promise, within a band."""
    level = predictor.views.level

    def check() -> Health:
        live = predictor.live()
        if live.jobs < settings.least_jobs:
            return Health(
                State.SERVING, f"{live.jobs} of {settings.least_jobs} finished jobs to judge by"
            )
        coverage, (least, greatest) = live.coverage[level], settings.band(level)
        said = f"{level:.0%} intervals hold {coverage:.1%} of the jobs that end now"
        if least <= coverage <= greatest:
            return Health(State.SERVING, said)
        cure = "look for what has changed (live_drift), and train the model anew if it stays so"
        return Health(State.DEGRADED, f"{said}, not {least:.1%} to {greatest:.1%}: {cure}")

    return check


def memory_check() -> Health:
    """How much memory this process holds."""
    return Health(State.SERVING, f"{resident_memory_bytes() / _MIB:.0f} MiB resident")


def self_test(predictor: PredictorPort, now_s: float) -> None:
    """Has the model answer a plain job once, before any client does.

    Raises StartupError where it fails or answers what no answer can be.
    """
    known = {
        "submit_time": now_s,
        "processors_req": 1.0,
        "nodes_req": 1.0,
        "mem_req": 1024.0,
        "time_req": 3600.0,
    }
    job = pl.from_dicts([known], schema=REQUEST_SCHEMA)
    cure = "train it anew or give another with --bundle"
    try:
        answer = predictor.predict(job)
    except Exception as error:
        raise StartupError(
            f"model {predictor.model_version} fails on a plain job "
            f"({type(error).__name__}: {error}): {cure}"
        ) from error
    if not _plausible(answer):
        values = [*map(float, (*answer.lower_s, *answer.runtime_s, *answer.upper_s))]
        raise StartupError(
            f"model {predictor.model_version} answers a plain job with {values} s "
            f"(lower, runtime, upper): {cure}"
        )


def _plausible(answer: Predictions) -> bool:
    values = np.array([answer.lower_s, answer.runtime_s, answer.upper_s])
    return values.shape == (3, 1) and bool(
        np.isfinite(values).all() and (values > 0).all() and (np.diff(values, axis=0) >= 0).all()
    )
