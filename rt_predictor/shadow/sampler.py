"""Some of what is predicted, sent to a candidate, at the cost of some tens of microseconds a run.

The kernel holds a few messages for the candidate. One that finds no room is dropped and counted: a
call never waits, whether the candidate is slow, busy or gone.
"""

import json
import random
import socket
from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from rt_predictor.errors import InvalidRequestError
from rt_predictor.jobs.schema import REQUEST_SCHEMA, Jobs, Row
from rt_predictor.observability.metrics import Metrics
from rt_predictor.online.live import LiveFigures
from rt_predictor.predict.description import ModelDescription
from rt_predictor.predict.port import PredictorPort
from rt_predictor.predict.predictions import Predictions
from rt_predictor.shadow.folder import ShadowFolder

MOST_JOBS = 16
"""Jobs of one run that are sent at most, evenly from its beginning to its end."""

_JOBS, _SERVED = "jobs", "served_s"
_FIELDS = (*REQUEST_SCHEMA, "elapsed", "as_of")
"""What runtimes depend on."""


def pack_sample(jobs: Sequence[Row], served_s: NDArray[np.float64]) -> bytes:
    """A message: some jobs, and the runtimes in s that were predicted of them."""
    columns = [tuple(job.get(name) for name in _FIELDS) for job in jobs]
    return json.dumps({_JOBS: columns, _SERVED: served_s.tolist()}).encode()


def unpack_sample(message: bytes) -> tuple[list[Row], NDArray[np.float64]]:
    """The inverse of `pack_sample`. Raises InvalidRequestError."""
    try:
        found: dict[str, Any] = json.loads(message)
        jobs: list[Row] = [dict(zip(_FIELDS, job, strict=True)) for job in found[_JOBS]]
        served_s = np.array(found[_SERVED], dtype=np.float64)
    except (ValueError, KeyError, TypeError) as error:
        raise InvalidRequestError(f"a sample of calls cannot be read: {error}") from error
    if served_s.shape != (len(jobs),):
        raise InvalidRequestError("a sample of calls needs one prediction for each job")
    return jobs, served_s


class Sampler:
    """Sends a share of the model's runs to the candidate. Thread-safe."""

    def __init__(self, folder: ShadowFolder, metrics: Metrics) -> None:
        self._address = str(folder.socket)
        self._share = folder.share
        self._metrics = metrics
        self._random = random.Random()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)

    def offer(self, jobs: Jobs, answers: Predictions) -> None:
        """Takes a run of the model, and sends some of it or nothing. Never raises, never waits."""
        if not len(jobs) or self._random.random() >= self._share:
            return
        few, served_s = _some(jobs, answers.runtime_s)
        try:
            self._socket.sendto(pack_sample(few, served_s), self._address)
        except OSError:  # no room, too large, or nobody there
            self._metrics.shadow_dropped.inc(len(few))
        else:
            self._metrics.shadow_sent.inc(len(few))

    def close(self) -> None:
        """Sends no more."""
        self._socket.close()


def _some(jobs: Jobs, served_s: NDArray[np.float64]) -> tuple[Sequence[Row], NDArray[np.float64]]:
    """At most `MOST_JOBS` of the jobs, and what was predicted of them."""
    chosen = np.arange(len(jobs))
    if len(jobs) > MOST_JOBS:
        chosen = np.linspace(0, len(jobs) - 1, MOST_JOBS).astype(np.int64)
    if isinstance(jobs, pl.DataFrame):
        return jobs[chosen].rows(named=True), served_s[chosen]
    return [jobs[index] for index in chosen.tolist()], served_s[chosen]


class SampledPredictor:
    """A predictor of whose runs a candidate sees some: a `PredictorPort`."""

    def __init__(self, predictor: PredictorPort, sampler: Sampler) -> None:
        self._predictor = predictor
        self._sampler = sampler
        self.model_version = predictor.model_version
        self.views = predictor.views
        self.member_names = predictor.member_names

    def predict(self, jobs: Jobs) -> Predictions:
        """What the predictor answers."""
        answers = self._predictor.predict(jobs)
        self._sampler.offer(jobs, answers)
        return answers

    def describe(self) -> ModelDescription:
        """What is known of the model."""
        return self._predictor.describe()

    def live(self) -> LiveFigures:
        """How good it is on the jobs that end now."""
        return self._predictor.live()
