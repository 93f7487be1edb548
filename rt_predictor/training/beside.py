"""The answers of edition 1.0 to the same jobs, beside those of this one."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from rt_predictor.errors import TrainingError
from rt_predictor.jobs.schema import numbers
from rt_predictor.training.metrics import Array
from rt_predictor.training.replayed import TRIED_CONFIDENCES, Replayed
from rt_predictor.training.scores import crps_of_levels_s
from rt_predictor.training.usefulness import EqualCuts, Ran, at_equal_cuts

_LEVELS = (0.5, 0.9, 0.95)
"""Levels of its intervals."""

_RECOMMENDED = "recommended_90_s"
"""Its recommended limits that usefulness is compared with."""

_EARLIER = 0.5
"""Share of the jobs that the level of equal cuts is chosen by; the figures are of the others."""

_COLUMNS = (
    *("job_id", "submit_time", "predicted_s", "timeout_probability", _RECOMMENDED),
    *(f"{end}_{level * 100:g}_s" for level in _LEVELS for end in ("lower", "upper")),
)


@dataclass(frozen=True)
class Beside:
    """Figures of both on the jobs that both answered; ratios below 1 where ours are better."""

    jobs: int
    mae_ratio: float
    crps_s: float
    """Ours."""
    their_crps_s: float
    """CRPS of its point and intervals, taken as a step function."""
    crps_ratio: float
    brier: float | None
    """None where no job has a limit."""
    their_brier: float | None
    equal_cuts: EqualCuts | None
    """Core-hours freed by recommended limits where both cut the same share of jobs."""
    freed_ratio: float | None
    """Above 1 where ours free more."""


def read_answers(path: Path) -> pl.DataFrame:
    """Read what `tools/edition1.py` wrote. Raises TrainingError where it is something else."""
    try:
        answers = pl.read_parquet(path)
    except (OSError, pl.exceptions.PolarsError) as error:
        first = str(error).strip().splitlines()[0]
        raise TrainingError(f"{path} cannot be read as Parquet: {first}") from error
    if missing := [name for name in _COLUMNS if name not in answers.columns]:
        raise TrainingError(
            f"{path} lacks {', '.join(missing)}: give what tools/edition1.py made of this log"
        )
    return answers


def compare(replayed: Replayed, answers: pl.DataFrame) -> Beside:
    """Return the figures on the jobs that both answered, matched by id and submit.

    Raises TrainingError where hardly any is in both.
    """
    ours, theirs = _common(replayed.jobs, answers)
    if 2 * len(ours) < len(replayed.jobs):
        raise TrainingError(
            f"only {len(ours):,} of {len(replayed.jobs):,} jobs are in the answers of edition 1.0: "
            "they are of another log"
        )
    jobs, other = replayed.jobs[ours], answers[theirs]
    runtime = jobs["runtime"].to_numpy()
    their_point = numbers(other, "predicted_s")
    lower, upper = (
        np.column_stack([numbers(other, f"{end}_{level * 100:g}_s") for level in _LEVELS])
        for end in ("lower", "upper")
    )
    their_crps = float(crps_of_levels_s(their_point, lower, upper, _LEVELS, runtime).mean())
    crps = float(replayed.crps_s[ours].mean())
    error = float(np.abs(replayed.predicted_s[ours] - runtime).mean())
    limit = numbers(jobs, "time_req")
    cuts = at_equal_cuts(
        TRIED_CONFIDENCES,
        replayed.recommended_s[ours],
        numbers(other, _RECOMMENDED),
        Ran(limit, runtime, np.nan_to_num(numbers(jobs, "processors_req"), nan=1.0)),
        np.arange(len(jobs)) < _EARLIER * len(jobs),
    )
    return Beside(
        jobs=len(jobs),
        mae_ratio=error / float(np.abs(their_point - runtime).mean()),
        crps_s=crps,
        their_crps_s=their_crps,
        crps_ratio=crps / their_crps,
        brier=_brier(replayed.timeout_probability[ours], limit, runtime),
        their_brier=_brier(numbers(other, "timeout_probability"), limit, runtime),
        equal_cuts=cuts,
        freed_ratio=None if cuts is None else cuts.freed_ratio,
    )


def _brier(chance: Array, limit_s: Array, runtime_s: Array) -> float | None:
    limited = ~np.isnan(limit_s) & ~np.isnan(chance)
    if not limited.any():
        return None
    return float(np.mean((chance - (runtime_s >= limit_s))[limited] ** 2))


def _common(jobs: pl.DataFrame, answers: pl.DataFrame) -> tuple[list[int], list[int]]:
    """Return the rows, in each of two frames, of the jobs that are in both."""
    keys = ["job_id", "submit_time", "occurrence"]
    ours, theirs = (
        frame.select("job_id", "submit_time")
        .with_columns(pl.int_range(pl.len()).over("job_id", "submit_time").alias("occurrence"))
        .with_row_index(name)
        for name, frame in (("ours", jobs), ("theirs", answers))
    )
    common = ours.join(theirs, on=keys, nulls_equal=True).sort("ours")
    return common["ours"].to_list(), common["theirs"].to_list()
