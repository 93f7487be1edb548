"""Batches of jobs of many logs, made by a thread while the network learns.

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
from rt_predictor.history.columns import Float, Times
from rt_predictor.history.log_tokens import LogTokens
from rt_predictor.training.network.knowledge import draw_lost, leave_out
from rt_predictor.training.network.shape import support_s
from rt_predictor.training.network.twins import Twins, same_job

Rows = NDArray[np.intp]

BATCH = 512
"""Jobs of one step."""

TWINS = 1 / 3
"""Share of the jobs whose twins are in the batch too."""

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
    """[n] their tokens"""
    runtime_s: Times
    """[n]"""
    rows: Rows
    """Jobs that are learned from"""
    boosted: Float
    """[n, BOOSTERS] logarithms of runtimes over the scale, proposed by boosters that have not seen
    the job; NaN for none"""
    twins: Twins
    zone: tzinfo = UTC

    @cached_property
    def scale_s(self) -> float:
        """Mean runtime of the jobs that are learned from: in this unit all logs count alike."""
        return float(self.runtime_s[self.rows].mean())


class BatchTwins(NamedTuple):
    """Some jobs of a batch with other limits."""

    rows: NDArray[np.int32]
    """[k] their rows in the batch"""
    longer: Float
    """[k] 1 where the other limit is the longer one, -1 where it is not, 0 without a limit"""
    same_job: Float
    """[k] `twins.same_job`"""
    matrix: Float
    """[k, WIDTH]"""
    boosted: Float
    """[k, BOOSTERS]"""
    order: NDArray[np.int32]
    """[k, POINTS]"""
    points_s: Float
    """[k, POINTS] ascending"""


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
    twins: BatchTwins


def batches(
    logs: Sequence[LearningLog], epochs: int, per_log: int, random: np.random.Generator
) -> Iterator[Batch]:
    """Yield batches, in each epoch of other jobs: at most `per_log` of each log.

    The last jobs of an epoch that fill no batch are left out. Made by a thread, a few in advance.
    """
    return _ahead(_batches(logs, epochs, per_log, random))


def steps(logs: Sequence[LearningLog], epochs: int, per_log: int) -> int:
    """Return the number of batches that `batches` yields."""
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
            drawn_rows = order[first : first + BATCH]
            yield _batch(logs, owners[drawn_rows], rows[drawn_rows], random)


def _batch(
    logs: Sequence[LearningLog], owners: Rows, rows: Rows, random: np.random.Generator
) -> Batch:
    """Return the batch of these rows [b] of the logs with these numbers [b]."""
    order = np.lexsort((rows, owners))
    owners, rows = owners[order], rows[order]
    twin_rows = np.sort(random.permutation(len(rows))[: int(TWINS * len(rows))])
    parts = []
    for number in np.unique(owners):
        first, last = np.searchsorted(owners, (number, number + 1))
        chosen = twin_rows[(twin_rows >= first) & (twin_rows < last)] - first
        parts.append(_part(logs[number], rows[first:last], chosen, random))
    matrix, boosted, runtime_s, scale_s, *of_twins = (
        np.concatenate(arrays) for arrays in zip(*parts, strict=True)
    )
    longer, same, twin_matrix, twin_boosted = of_twins
    twins = BatchTwins(
        twin_rows.astype(np.int32),
        longer,
        same,
        twin_matrix,
        twin_boosted,
        *_in_order(support_s(twin_matrix, twin_boosted)),
    )
    points = _in_order(support_s(matrix, boosted))
    return Batch(matrix, boosted, *points, runtime_s, scale_s, twins)


def _part(
    log: LearningLog, rows: Rows, chosen: Rows, random: np.random.Generator
) -> tuple[Float, ...]:
    """Return arrays of some jobs of a log, then of the twins of the chosen ones."""
    lost = draw_lost(len(rows), random)
    silent = (random.random(len(rows)) < BOOSTERS_SILENT)[:, None]
    asked, tokens = leave_out(log.asked[rows], log.tokens.gather(rows), lost)
    twins, others = log.twins, rows[chosen]
    twin, twin_tokens = leave_out(twins.asked[others], twins.tokens.gather(others), lost[:, chosen])
    longer = np.nan_to_num(np.sign(twin.limit_s - asked.limit_s[chosen]))
    return (
        assemble(asked, tokens, log.zone),
        np.where(silent, np.float32(np.nan), log.boosted[rows]),
        log.runtime_s[rows].astype(np.float32),
        np.full(len(rows), log.scale_s, dtype=np.float32),
        longer.astype(np.float32),
        same_job(asked.limit_s[chosen], twin.limit_s, twin_tokens),
        assemble(twin, twin_tokens, log.zone),
        np.where(silent[chosen], np.float32(np.nan), twins.boosted[others]),
    )


def _in_order(points_s: Float) -> tuple[NDArray[np.int32], Float]:
    """Return the order of points [n, S], and the points in it."""
    order = np.argsort(points_s, axis=1, kind="stable")
    return order.astype(np.int32), np.take_along_axis(points_s, order, axis=1)


def _ahead(made: Iterator[Batch]) -> Iterator[Batch]:
    """Yield batches that a thread makes in advance; raise here what it raises there."""
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
