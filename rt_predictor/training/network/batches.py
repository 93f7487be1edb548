"""Jobs of many logs, a few at a time, made ready beside the network's own work.

Tokens are gathered from the columns of their log for the jobs of one batch; the matrix of a whole
log is never in memory.
"""

import queue
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, tzinfo
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rt_predictor.features.asked import Asked
from rt_predictor.features.matrix import assemble
from rt_predictor.history.asked_tokens import some_tokens
from rt_predictor.history.columns import Float, Times
from rt_predictor.history.log_tokens import LogTokens
from rt_predictor.training.network.knowledge import leave_out
from rt_predictor.training.network.shape import support_s

Rows = NDArray[np.intp]

BATCH = 512
"""Jobs of one step."""

LONGER = 1 / 3
"""Share of the jobs that are looked at with a longer limit too."""

LONGER_BY = (0.05, 0.7)
"""Range of the logarithm of how much longer it is."""

BOOSTERS_SILENT = 0.2
"""Share of the jobs that learn without boosters."""

_READY = 4
"""Batches that are made in advance."""


@dataclass(frozen=True)
class LearningLog:
    """A log to learn from."""

    asked: Asked
    """[n] its jobs"""
    tokens: LogTokens
    """[n] what history said of them"""
    runtime_s: Times
    """[n]"""
    rows: Rows
    """Jobs that are learned from"""
    boosted: Float
    """[n, BOOSTERS] logarithm of what boosters that have not seen a job say of it, over the scale;
    NaN for nothing"""
    zone: tzinfo = UTC

    @cached_property
    def scale_s(self) -> float:
        """Mean runtime of what is learned from: logs count alike in this unit."""
        return float(self.runtime_s[self.rows].mean())


class Longer(NamedTuple):
    """Some jobs of a batch with longer limits."""

    places: NDArray[np.int32]
    """[k] their places in the batch"""
    matrix: Float
    """[k, WIDTH]"""
    boosted: Float
    """[k, BOOSTERS]"""
    order: NDArray[np.int32]
    """[k, POINTS]"""
    points_s: Float
    """[k, POINTS] ascending"""
    limited: Float
    """[k] 1 for jobs that have a limit, else 0"""


class Batch(NamedTuple):
    """b jobs to learn from."""

    matrix: Float
    """[b, WIDTH]"""
    boosted: Float
    """[b, BOOSTERS]"""
    order: NDArray[np.int32]
    """[b, POINTS] order of the points of the support"""
    points_s: Float
    """[b, POINTS] the support, ascending"""
    runtime_s: Float
    """[b] outcomes"""
    scale_s: Float
    """[b] unit of their log"""
    longer: Longer


def batches(
    logs: Sequence[LearningLog], epochs: int, per_log: int, random: np.random.Generator
) -> Iterator[Batch]:
    """Yield batches, in each epoch of other jobs: at most `per_log` of each log.

    The last jobs of an epoch that fill no batch are left out. Made by a thread, a few in advance.
    """
    return _ahead(_batches(logs, epochs, per_log, random))


def steps(logs: Sequence[LearningLog], epochs: int, per_log: int) -> int:
    """Return how many batches there will be."""
    return epochs * (sum(min(len(log.rows), per_log) for log in logs) // BATCH)


def _batches(
    logs: Sequence[LearningLog], epochs: int, per_log: int, random: np.random.Generator
) -> Iterator[Batch]:
    for _ in range(epochs):
        drawn = [random.permutation(log.rows)[:per_log].astype(np.intp) for log in logs]
        owners = np.repeat(np.arange(len(logs)), [len(rows) for rows in drawn])
        rows = np.concatenate(drawn)
        order = random.permutation(len(rows))
        for first in range(0, len(rows) - BATCH + 1, BATCH):
            some = order[first : first + BATCH]
            yield _batch(logs, owners[some], rows[some], random)


def _batch(
    logs: Sequence[LearningLog], owners: Rows, rows: Rows, random: np.random.Generator
) -> Batch:
    """Return the batch of these rows [b] of the logs with these numbers [b]."""
    order = np.lexsort((rows, owners))
    owners, rows = owners[order], rows[order]
    places = np.sort(random.permutation(len(rows))[: int(LONGER * len(rows))])
    parts = []
    for number in np.unique(owners):
        first, last = np.searchsorted(owners, (number, number + 1))
        chosen = places[(places >= first) & (places < last)] - first
        parts.append(_part(logs[number], rows[first:last], chosen, random))
    matrix, boosted, runtime_s, scale_s, *longer = (
        np.concatenate(arrays) for arrays in zip(*parts, strict=True)
    )
    longer_matrix, longer_boosted, limited = longer
    twins = Longer(
        places.astype(np.int32),
        longer_matrix,
        longer_boosted,
        *_in_order(support_s(longer_matrix, longer_boosted)),
        limited,
    )
    points = _in_order(support_s(matrix, boosted))
    return Batch(matrix, boosted, *points, runtime_s, scale_s, twins)


def _part(
    log: LearningLog, rows: Rows, chosen: Rows, random: np.random.Generator
) -> tuple[Float, ...]:
    """Return arrays of some jobs of a log, then of the chosen ones with a longer limit."""
    asked, tokens = leave_out(log.asked[rows], log.tokens.gather(rows), random)
    silent = random.random(len(rows)) < BOOSTERS_SILENT
    boosted = np.where(silent[:, None], np.float32(np.nan), log.boosted[rows])
    by = random.uniform(*LONGER_BY, len(chosen))
    longer = asked[chosen].with_limits(asked.limit_s[chosen] * np.exp(by))
    limited = ~np.isnan(longer.limit_s)
    # What boosters say stays as long, and so becomes less of the longer limit.
    shift = np.where(limited, by, 0.0).astype(np.float32)
    return (
        assemble(asked, tokens, log.zone),
        boosted,
        log.runtime_s[rows].astype(np.float32),
        np.full(len(rows), log.scale_s, dtype=np.float32),
        assemble(longer, some_tokens(tokens, chosen), log.zone),
        boosted[chosen] - shift[:, None],
        limited.astype(np.float32),
    )


def _in_order(points_s: Float) -> tuple[NDArray[np.int32], Float]:
    """Return the order of points [n, S], and the points in it."""
    order = np.argsort(points_s, axis=1, kind="stable")
    return order.astype(np.int32), np.take_along_axis(points_s, order, axis=1)


def _ahead(made: Iterator[Batch]) -> Iterator[Batch]:
    """Yield what is made by a thread; what goes wrong there is raised here."""
    ready: queue.Queue[Batch | BaseException | None] = queue.Queue(_READY)
    stop = threading.Event()

    def put(item: Batch | BaseException | None) -> None:
        while not stop.is_set():
            try:
                ready.put(item, timeout=0.1)
            except queue.Full:
                continue
            return

    def work() -> None:
        try:
            for batch in made:
                put(batch)
                if stop.is_set():
                    return
            put(None)
        except BaseException as error:  # raised again by the one who waits
            put(error)

    thread = threading.Thread(target=work, name="batches", daemon=True)
    thread.start()
    try:
        while (item := ready.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        stop.set()
        thread.join()
