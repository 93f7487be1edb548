"""Promises that figures are held against. Ratios are taken round by round, within one run."""

from dataclasses import dataclass

from rt_predictor.bench.figures import Figure, Figures, Skipped


@dataclass(frozen=True)
class Promise:
    """An amount that shall be at most, or at least, so much."""

    text: str
    figure: str
    limit: float
    most: bool
    over: str | None = None
    """Figure that it is a multiple of; None takes the amount as it is."""


@dataclass(frozen=True)
class PromiseResult:
    """Outcome of a promise: whether it holds; None where it could not be measured."""

    promise: Promise
    measured: Figure | Skipped
    holds: bool | None


PROMISES: tuple[Promise, ...] = (
    Promise(
        "Predict, one in flight: p50 at most 2 x the echo's",
        "calls.service.alone_p50_ms", 2.0, True, "calls.echo.alone_p50_ms",
    ),
    Promise(
        "Predict, 1,000 calls/s open loop: p99 below 5 ms", "calls.service.open_p99_ms", 5.0, True
    ),
    Promise(
        "Predict, 64 in flight: at least 0.7 x the echo's calls/s",
        "calls.service.many_per_s", 0.7, False, "calls.echo.many_per_s",
    ),
    Promise(
        "PredictStream: at least 0.7 x the echo's messages/s",
        "calls.service.stream_per_s", 0.7, False, "calls.echo.stream_per_s",
    ),
    Promise(
        "PredictBatch of 10,000 jobs: at least 50,000 predictions/s",
        "bulk.batch_per_s", 50_000, False,
    ),
    Promise("PredictArrow: at least 150,000 predictions/s", "bulk.arrow_per_s", 150_000, False),
    Promise(
        "PredictArrow: at least 0.7 x the ONNX session alone on all cores",
        "bulk.arrow_per_s", 0.7, False, "inside.graph_all_cores_per_s",
    ),
    Promise("The graph alone, one job: at most 60 us", "inside.graph_one_us", 60, True),
    Promise(
        "One prediction in process: at most 1/5 of the boosters in their libraries",
        "inside.one_us", 0.2, True, "native.one_us",
    ),
    Promise(
        "Predictions in bulk in process: no slower than the boosters in their libraries",
        "inside.bulk_per_s", 1.0, False, "native.bulk_per_s",
    ),
    Promise("Ready in less than 2 s", "service.ready_s", 2.0, True),
    Promise("RecordOutcomes: at least 20,000 events/s", "history.record_per_s", 20_000, False),
    Promise("Ready in less than 10 s with 1,000,000 outcomes", "history.ready_s", 10.0, True),
    Promise("Less than 300 MiB resident a worker", "service.memory_mib", 300, True),
    Promise("1,000,000 predictions: at most 5 % more memory", "service.memory_growth", 5, True),
)  # fmt: skip


def promise_results(figures: Figures) -> list[PromiseResult]:
    """Return whether each promise holds, by the median of the rounds."""
    return [_result_of(promise, figures) for promise in PROMISES]


def _result_of(promise: Promise, figures: Figures) -> PromiseResult:
    measured = figures.get(promise.figure, Skipped("not measured"))
    if promise.over is not None and isinstance(measured, Figure):
        floor = figures.get(promise.over, Skipped("not measured"))
        measured = measured.over(floor) if isinstance(floor, Figure) else floor
    if isinstance(measured, Skipped):
        return PromiseResult(promise, measured, None)
    within = measured.median <= promise.limit if promise.most else measured.median >= promise.limit
    return PromiseResult(promise, measured, within)
