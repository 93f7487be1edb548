"""What makes a job's answer less certain: its flags."""

from collections.abc import Mapping
from math import isnan

import numpy as np
import polars as pl
from numpy.typing import NDArray

from rt_predictor.history.asked_tokens import AskedTokens
from rt_predictor.history.columns import COLUMN, Float, Times
from rt_predictor.history.seen_names import SeenNames
from rt_predictor.history.token_keys import slots_of
from rt_predictor.jobs.schema import Jobs, Row
from rt_predictor.model.answer_flags import Flag

BOUNDS: Mapping[str, tuple[float, float]] = {
    "processors_req": (1, 100_000),
    "nodes_req": (1, 20_000),
    "mem_req": (1, 1e9),
    "gpus_req": (0, 10_000),
    "time_req": (10, 60 * 86400),
}
"""Least and greatest value of each number that the logs a base model learns from hold."""

_NUMBERS = (int, float)
_OWN = slots_of("own").start
_UNSEEN = {"partition_id": Flag.UNSEEN_PARTITION, "qos_id": Flag.UNSEEN_QOS}
_LOG_LIMIT = COLUMN["log_limit"]


def flags_of(
    jobs: Jobs, columns: Float, tokens: AskedTokens, names: SeenNames, at_s: Times
) -> NDArray[np.uint8]:
    """Return the bits of `Flag` of n jobs, but for those that depend on what is answered: [n].

    Args:
        jobs: n jobs.
        columns: [n, len(COLUMNS)] as history compares them.
        tokens: what history says of them.
        names: names that history knows.
        at_s: [n] the time that each question is about, Unix s.
    """
    raised = _out_of_bounds(jobs) * np.uint8(Flag.OUT_OF_TRAINING_RANGE)
    raised |= np.isnan(columns[:, _LOG_LIMIT]) * np.uint8(Flag.NO_TIME_LIMIT)
    raised |= (tokens.rows[:, _OWN] < 0) * np.uint8(Flag.COLD_START_USER)
    for column, flag in _UNSEEN.items():
        raised |= names.unseen(column, columns[:, COLUMN[column]], at_s) * np.uint8(flag)
    return raised


def flags_of_one(
    job: Row, columns: Float, tokens: AskedTokens, names: SeenNames, at_s: float
) -> int:
    """Return the same for one job; columns: [len(COLUMNS)]."""
    codes = columns.tolist()
    raised = 0
    if _is_out_of_bounds(job):
        raised |= Flag.OUT_OF_TRAINING_RANGE.value
    if isnan(codes[_LOG_LIMIT]):
        raised |= Flag.NO_TIME_LIMIT.value
    if tokens.rows.item(_OWN) < 0:
        raised |= Flag.COLD_START_USER.value
    for column, flag in _UNSEEN.items():
        if names.is_unseen(column, codes[COLUMN[column]], at_s):
            raised |= flag.value
    return raised


def _out_of_bounds(jobs: Jobs) -> NDArray[np.bool_]:
    """[n] whether any number of a job is out of its bounds; one that is missing is not."""
    if not isinstance(jobs, pl.DataFrame):
        return np.fromiter(map(_is_out_of_bounds, jobs), np.bool_, len(jobs))
    outside = np.zeros(len(jobs), dtype=np.bool_)
    for name, (least, greatest) in BOUNDS.items():
        values = jobs[name].to_numpy()
        outside |= (values < least) | (values > greatest)
    return outside


def _is_out_of_bounds(job: Row) -> bool:
    for name, (least, greatest) in BOUNDS.items():
        value = job[name]
        if isinstance(value, _NUMBERS) and not least <= value <= greatest:
            return True
    return False
