"""Metrics of one worker: every series, bound to its labels once.

With several workers every one of them writes its series to files (`share_between_processes`), and
the supervisor serves their sum; counters outlive the worker that wrote them, gauges do not.

A call counts some fifteen things. The library's own values look up where they are, ask which
process this is and pack a time beside each number, every time: two thirds of what they cost. Here
each series is looked up in its file once.
"""

import os
import platform
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, values

from rt_predictor import __version__
from rt_predictor.errors import grpc_statuses
from rt_predictor.eventlog.port import Appended
from rt_predictor.history.history import HistoryState
from rt_predictor.jobs.asked import ASKED_SCHEMA
from rt_predictor.jobs.rules import RULES
from rt_predictor.model.answer_flags import Flag
from rt_predictor.observability.history_metrics import HistoryMetrics
from rt_predictor.observability.live_metrics import LiveMetrics
from rt_predictor.observability.memory import resident_memory_bytes
from rt_predictor.observability.security_metrics import SecurityMetrics

METHODS: tuple[str, ...] = (
    "Predict",
    "PredictBatch",
    "PredictStream",
    "PredictArrow",
    "RecordOutcomes",
    "RecordEvents",
    "GetModelInfo",
    "ReloadModel",
    "HealthCheck",
)
"""Methods of the service; calls of no other are counted, so labels stay few."""

BROKEN_OFF = "broken_off"
"""Calls that gRPC's core refused, or whose callers gave up, before our code saw them."""

REJECTIONS: tuple[str, ...] = (
    *("overloaded", BROKEN_OFF, "draining", "too_large", "deadline"),
    *("client_limit", "idle", "unauthenticated", "forbidden"),
)
"""Why a whole call was turned away."""

STATUSES: tuple[str, ...] = ("OK", "CANCELLED", *grpc_statuses())
"""gRPC statuses that calls of the service end with."""

CALL_BUCKETS_S = (
    *(0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5),
    *(1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0),
)
PREDICTION_BUCKETS_S = CALL_BUCKETS_S[:-3]
JOBS_BUCKETS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 4096, 16_384, 65_536, 262_144)

_OTHER = "other"
_INVALID_FIELDS = frozenset({*(rule.field for rule in RULES), *ASKED_SCHEMA, "request_id"})


def share_between_processes(directory: Path, worker: int) -> None:
    """Make series created from now on live in files of `directory`.

    `worker` names the files: a number that no other process alive uses. A worker that takes the
    number of a dead one carries its counters on, so that files do not pile up.
    """
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(directory)
    values.ValueClass = _quick(
        values.MultiProcessValue(  # type: ignore[no-untyped-call]
            process_identifier=lambda: worker
        )
    )


def _quick(library: Any) -> Any:
    """Return the library's class of values with a quicker `inc`; workers are never forked.

    A file that grows is mapped anew; what is written to the mapping before is in the file too.
    """
    lock = Lock()

    class QuickValue(library):  # type: ignore[misc]
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            self._doubles = memoryview(self._file._m).cast("B").cast("d")
            self._index = self._file._positions[self._key] // self._doubles.itemsize

        def inc(self, amount: float) -> None:
            with lock:
                self._value: float = self._value + amount
                self._doubles[self._index] = self._value

    return QuickValue


class MethodMetrics:
    """The series of one method."""

    def __init__(self, method: str, requests: Counter, duration: Histogram) -> None:
        self._method = method
        self._requests = requests
        self._duration = duration.labels(method)
        # All are there from the start: a rate does not see how a series begins.
        self._by_status = {status: requests.labels(method, status) for status in STATUSES}

    def finished(self, status: str, duration_s: float) -> None:
        """Count one call that ended with a gRPC status, given by name."""
        counter = self._by_status.get(status)
        if counter is None:
            counter = self._by_status[status] = self._requests.labels(self._method, status)
        counter.inc()
        self._duration.observe(duration_s)


class Metrics:
    """All series of one worker process."""

    def __init__(self, registry: CollectorRegistry, *, worker: int = 0) -> None:
        self._worker = str(worker)
        self._registry = registry
        self._calls()
        self._predictions()
        self._process()
        self._history = HistoryMetrics(registry)
        self.live = LiveMetrics(registry)
        self.security = SecurityMetrics(registry)

    def _calls(self) -> None:
        requests = Counter(
            "rt_predictor_requests",
            "Calls that have ended, by method and gRPC status.",
            ("method", "status"),
            registry=self._registry,
        )
        duration = Histogram(
            "rt_predictor_request_duration_seconds",
            "Time from a call's arrival to its answer, in the server; streams: their whole life.",
            ("method",),
            buckets=CALL_BUCKETS_S,
            registry=self._registry,
        )
        self.methods = {name: MethodMetrics(name, requests, duration) for name in METHODS}
        self.active_connections = Gauge(
            "rt_predictor_active_connections",
            "Calls and streams in progress. The name is kept for old dashboards: gRPC does not "
            "tell how many connections are open.",
            multiprocess_mode="livesum",
            registry=self._registry,
        )
        self.max_concurrent_calls = Gauge(
            "rt_predictor_max_concurrent_calls",
            "Calls that may be in progress at once.",
            multiprocess_mode="livesum",
            registry=self._registry,
        )
        rejected = Counter(
            "rt_predictor_rejected_calls",
            "Calls that were turned away without a prediction, by reason.",
            ("reason",),
            registry=self._registry,
        )
        self.rejected = {reason: rejected.labels(reason) for reason in REJECTIONS}
        self.internal_errors = Counter(
            "rt_predictor_internal_errors",
            "Unforeseen errors; each one is in the log with the id that the client was given.",
            registry=self._registry,
        )

    def _predictions(self) -> None:
        self._prediction_duration = Histogram(
            "rt_predictor_prediction_duration_seconds",
            "Time of one run of the model, features included, for all jobs of that run.",
            buckets=PREDICTION_BUCKETS_S,
            registry=self._registry,
        )
        self._batch_jobs = Histogram(
            "rt_predictor_batch_jobs",
            "Jobs in one run of the model.",
            buckets=JOBS_BUCKETS,
            registry=self._registry,
        )
        self._predicted = Counter(
            "rt_predictor_predictions", "Jobs predicted.", registry=self._registry
        )
        self.jobs_in_flight = Gauge(
            "rt_predictor_jobs_in_flight",
            "Jobs that are with the model, or wait for a thread to run it.",
            multiprocess_mode="livesum",
            registry=self._registry,
        )
        flags = Counter(
            "rt_predictor_prediction_flags",
            "Predictions that are less certain than others, by reason.",
            ("flag",),
            registry=self._registry,
        )
        by_flag = [(flag, flags.labels(str(flag.name).lower())) for flag in Flag]
        self._flags = [
            [counter for flag, counter in by_flag if bits & flag] for bits in range(1 << len(Flag))
        ]
        invalid = Counter(
            "rt_predictor_invalid_jobs",
            "Jobs that break a rule, by the first field that does.",
            ("field",),
            registry=self._registry,
        )
        self._invalid = {field: invalid.labels(field) for field in (*_INVALID_FIELDS, _OTHER)}

        samples = Counter(
            "rt_predictor_shadow_samples",
            "Jobs offered to the shadow model for comparison: sent, or dropped because it is busy "
            "or gone.",
            ("result",),
            registry=self._registry,
        )
        self.shadow_sent = samples.labels("sent")
        self.shadow_dropped = samples.labels("dropped")

    def _process(self) -> None:
        self._model_info = Gauge(
            "rt_predictor_model_info",
            "1 for the model that is loaded.",
            ("version",),
            multiprocess_mode="livemax",
            registry=self._registry,
        )
        self._model_trained = Gauge(
            "rt_predictor_model_trained_timestamp_seconds",
            "When the model that is loaded was trained on this site, in Unix seconds; none of a "
            "base model.",
            ("version",),
            multiprocess_mode="livemax",
            registry=self._registry,
        )
        Gauge(
            "rt_predictor_build_info",
            "1 for the versions of the program and of what it runs on.",
            ("version", "python", "grpc", "onnxruntime", "polars"),
            multiprocess_mode="livemax",
            registry=self._registry,
        ).labels(
            __version__,
            platform.python_version(),
            *(version(package) for package in ("grpcio", "onnxruntime", "polars")),
        ).set(1)
        self._memory = Gauge(
            "rt_predictor_resident_memory_bytes",
            "Resident memory, by worker.",
            ("worker",),
            multiprocess_mode="livemax",
            registry=self._registry,
        ).labels(self._worker)
        self._started = Gauge(
            "rt_predictor_start_time_seconds",
            "When a worker became ready, in Unix seconds, by worker.",
            ("worker",),
            multiprocess_mode="livemax",
            registry=self._registry,
        ).labels(self._worker)

    def started(self, model_version: str, at_s: float, *, trained_at_s: float | None) -> None:
        """Note that the worker is ready, and with what model. Times are in Unix s.

        `trained_at_s` is None of a model that does not grow old.
        """
        self._model_info.labels(model_version).set(1)
        if trained_at_s is not None:
            self._model_trained.labels(model_version).set(trained_at_s)
        self._started.set(at_s)
        self.sample_memory()

    def sample_memory(self) -> None:
        """Read how much memory this process holds."""
        self._memory.set(resident_memory_bytes())

    def predicted(self, flags: NDArray[np.uint8], duration_s: float) -> None:
        """Count one run of the model, which answered jobs with these flags: [n]."""
        count = len(flags)
        self._prediction_duration.observe(duration_s)
        self._batch_jobs.observe(count)
        self._predicted.inc(count)
        if count == 1:
            for counter in self._flags[flags.item()]:
                counter.inc()
            return
        # One look at all rows, whatever the number of flags.
        for bits, flagged in enumerate(np.bincount(flags).tolist()):
            if flagged:
                for counter in self._flags[bits]:
                    counter.inc(flagged)

    def events(
        self, valid: pl.DataFrame, appended: Appended, invalid_kinds: Mapping[str, int]
    ) -> None:
        """Count events that clients have sent, as `HistoryMetrics.sent`."""
        self._history.sent(valid, appended, invalid_kinds)

    def sample_history(self, state: HistoryState) -> None:
        """Show how history is."""
        self._history.sample(state)

    def invalid_job(self, field: str) -> None:
        """Count one job that breaks a rule."""
        self._invalid.get(field, self._invalid[_OTHER]).inc()
