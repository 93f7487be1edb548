"""The series, by name and label."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from prometheus_client import CollectorRegistry, generate_latest

from rt_predictor import __version__
from rt_predictor.eventlog.port import Appended, Fate
from rt_predictor.history.history import History, HistoryState
from rt_predictor.jobs.rules import RULES
from rt_predictor.model.answer_flags import Flag
from rt_predictor.observability.metrics import METHODS, Metrics
from rt_predictor.observability.page import add_shared_metrics, forget_worker


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def metrics(registry: CollectorRegistry) -> Metrics:
    return Metrics(registry)


def test_the_original_names_are_kept(metrics: Metrics, registry: CollectorRegistry) -> None:
    page = generate_latest(registry).decode()
    for line in (
        "# TYPE rt_predictor_requests_total counter",
        "# TYPE rt_predictor_request_duration_seconds histogram",
        "# TYPE rt_predictor_prediction_duration_seconds histogram",
        "# TYPE rt_predictor_active_connections gauge",
    ):
        assert line in page


def test_every_series_is_there_from_the_start(
    metrics: Metrics, registry: CollectorRegistry
) -> None:
    value = registry.get_sample_value
    for method in METHODS:
        for status in ("OK", "CANCELLED", "INTERNAL", "INVALID_ARGUMENT", "UNAVAILABLE"):
            labels = {"method": method, "status": status}
            assert value("rt_predictor_requests_total", labels) == 0
    for rule in RULES:
        assert value("rt_predictor_invalid_jobs_total", {"field": rule.field}) == 0
    for flag in Flag:
        labels = {"flag": str(flag.name).lower()}
        assert value("rt_predictor_prediction_flags_total", labels) == 0
    assert value("rt_predictor_rejected_calls_total", {"reason": "draining"}) == 0


def test_a_call_is_counted_by_method_and_status(
    metrics: Metrics, registry: CollectorRegistry
) -> None:
    for status in ("OK", "INTERNAL", "INTERNAL"):
        metrics.methods["Predict"].finished(status, 0.0002)
    value = registry.get_sample_value
    labels = {"method": "Predict"}
    assert value("rt_predictor_requests_total", {**labels, "status": "INTERNAL"}) == 2
    name = "rt_predictor_request_duration_seconds"
    assert value(f"{name}_count", labels) == 3
    assert value(f"{name}_bucket", {**labels, "le": "0.0001"}) == 0
    assert value(f"{name}_bucket", {**labels, "le": "0.00025"}) == 3


def test_flags_are_counted_one_by_one(metrics: Metrics, registry: CollectorRegistry) -> None:
    metrics.predicted(np.array([0, 1, 3, 16], np.uint8), 0.001)
    metrics.predicted(np.array([0], np.uint8), 0.001)

    def flagged(flag: str) -> float | None:
        return registry.get_sample_value("rt_predictor_prediction_flags_total", {"flag": flag})

    assert flagged("cold_start_user") == 2
    assert flagged("unseen_partition") == 1
    assert flagged("out_of_training_range") == 1
    assert flagged("unseen_qos") == 0
    assert registry.get_sample_value("rt_predictor_predictions_total") == 5


def test_a_field_nobody_knows_makes_no_new_series(
    metrics: Metrics, registry: CollectorRegistry
) -> None:
    metrics.invalid_job("whatever a client made up")
    assert registry.get_sample_value("rt_predictor_invalid_jobs_total", {"field": "other"}) == 1


def test_a_worker_says_what_it_runs(metrics: Metrics, registry: CollectorRegistry) -> None:
    metrics.started("v7", 5.0, trained_at_s=3.0)
    value = registry.get_sample_value
    assert value("rt_predictor_model_info", {"version": "v7"}) == 1
    assert value("rt_predictor_model_trained_timestamp_seconds", {"version": "v7"}) == 3.0
    assert value("rt_predictor_start_time_seconds", {"worker": "0"}) == 5.0
    assert value("rt_predictor_resident_memory_bytes", {"worker": "0"}) > 1_000_000
    assert f'version="{__version__}"' in generate_latest(registry).decode()


_WORKER = """
import json, sys
from pathlib import Path
from rt_predictor.observability.metrics import Metrics, share_between_processes
directory, worker, calls = sys.argv[1:]
share_between_processes(Path(directory), int(worker))
from prometheus_client import CollectorRegistry
metrics = Metrics(CollectorRegistry(), worker=int(worker))
metrics.started("v1", 1.0, trained_at_s=0.5)
metrics.active_connections.inc()
for _ in range(int(calls)):
    metrics.methods["Predict"].finished("OK", 0.001)
"""


def _work(directory: Path, worker: int, calls: int) -> None:
    command = [
        sys.executable,
        "-W",
        "error",
        "-c",
        _WORKER,
        str(directory),
        str(worker),
        str(calls),
    ]
    subprocess.run(command, check=True)


def test_processes_add_up_and_counters_outlive_them(tmp_path: Path) -> None:
    _work(tmp_path, 0, 2)
    _work(tmp_path, 1, 3)
    registry = CollectorRegistry()
    add_shared_metrics(registry, tmp_path)
    value = registry.get_sample_value
    ok = {"method": "Predict", "status": "OK"}
    assert value("rt_predictor_requests_total", ok) == 5
    assert value("rt_predictor_active_connections") == 2
    assert value("rt_predictor_model_info", {"version": "v1"}) == 1

    forget_worker(tmp_path, 1)
    assert value("rt_predictor_requests_total", ok) == 5
    assert value("rt_predictor_active_connections") == 1
    assert value("rt_predictor_start_time_seconds", {"worker": "1"}) is None

    files = len(list(tmp_path.iterdir()))
    forget_worker(tmp_path, 0)
    _work(tmp_path, 0, 4)
    assert value("rt_predictor_requests_total", ok) == 9
    assert value("rt_predictor_active_connections") == 1
    assert len(list(tmp_path.iterdir())) == files


@pytest.mark.parametrize("name", ["counter_1.db", "gauge_livemax_1.db", "histogram_1.db"])
def test_a_file_that_is_only_just_being_made_does_not_spoil_the_page(
    tmp_path: Path, name: str
) -> None:
    _work(tmp_path, 0, 2)
    (tmp_path / name).touch()
    registry = CollectorRegistry()
    add_shared_metrics(registry, tmp_path)
    ok = {"method": "Predict", "status": "OK"}
    assert registry.get_sample_value("rt_predictor_requests_total", ok) == 2


def _state(**changes: object) -> HistoryState:
    return replace(History.off().state(), **changes)


def test_events_are_counted_by_kind_and_by_what_became_of_them(
    metrics: Metrics, registry: CollectorRegistry
) -> None:
    kinds = ["submitted", *["ended"] * 5]
    fates = [
        Fate.RECORDED,
        Fate.RECORDED,
        Fate.DUPLICATE,
        Fate.CONFLICT,
        Fate.PRUNED,
        Fate.QUARANTINED,
    ]
    metrics.events(
        pl.DataFrame({"kind": kinds}), Appended(bytes(fates)), {"ended": 2, "unknown": 1}
    )

    def found(series: str, **labels: str) -> float | None:
        return registry.get_sample_value(f"rt_predictor_{series}_total", labels)

    for result, count in (
        ("recorded", 1),
        ("duplicate", 3),
        ("quarantined", 1),
        ("invalid", 2),
    ):
        assert found("outcomes", result=result) == count
    for result, count in (
        ("recorded", 1),
        ("duplicate", 1),
        ("conflict", 1),
        ("pruned", 1),
        ("quarantined", 1),
        ("invalid", 2),
    ):
        assert found("events", kind="ended", result=result) == count
    assert found("events", kind="submitted", result="recorded") == 1
    assert found("events", kind="unknown", result="invalid") == 1


def test_history_is_shown_as_it_is(metrics: Metrics, registry: CollectorRegistry) -> None:
    metrics.sample_history(_state(events=7, behind=3, folded=10, errors=1, snapshot_age_s=60.0))
    metrics.sample_history(_state(events=9, behind=0, folded=12, errors=1, set_aside=("x",)))
    for name, value in (
        ("events", 9),
        ("lag_events", 0),
        ("folded_total", 12),
        ("errors_total", 1),
        ("damaged_logs", 1),
        ("snapshot_age_seconds", -1),
    ):
        assert registry.get_sample_value(f"rt_predictor_history_{name}") == value
