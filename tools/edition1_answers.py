"""Replays one job log with edition 1.0 and writes its answers; `tools/edition1.py` starts it.

    python tools/edition1_answers.py LOG ANSWERS.parquet FIGURES.json

Runs in edition 1.0's own environment, with that edition's source on PYTHONPATH: `rt_predictor` is
edition 1.0 here, whatever lies beside this file. Trains on what had ended before the 70 % mark and
answers every later job, as `rt-predictor evaluate LOG` of that edition does, with one thread, so
that the sums of the boosters are the same on every machine.
"""

# The order of imports would follow which of edition 1.0's modules still exist in this one.
# ruff: noqa: I001

import json
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import polars as pl
from numpy.typing import NDArray

Array = NDArray[np.float64]

KEPT = ("job_id", "submit_time", "end_time", "processors_req", "time_req", "runtime")
"""Columns of the log that tell which job a row answers, and what became of it."""

BASELINES = ("request", "last2", "user_median5", "backoff_median5")
RECOMMENDED = (0.9, 0.95)
"""Confidences of the recommended limits."""


class Replayed(Protocol):
    """Answers of edition 1.0's `replay`, as far as they are kept; shapes as there."""

    jobs: pl.DataFrame
    predicted_s: Array
    levels: tuple[float, ...]
    lower_s: Array
    upper_s: Array
    timeout_probability: Array
    user_runs: Array


def answers_frame(replayed: Replayed, limits_s: Mapping[float, Array]) -> pl.DataFrame:
    """Return one row a test job, in the order of submission; `edition1.py` says what is in it.

    Args:
        replayed: n answers.
        limits_s: confidence -> [n] recommended limits, s.
    """
    answers = {"predicted_s": replayed.predicted_s}
    for column, level in enumerate(replayed.levels):
        answers[f"lower_{level * 100:g}_s"] = replayed.lower_s[:, column]
        answers[f"upper_{level * 100:g}_s"] = replayed.upper_s[:, column]
    answers["timeout_probability"] = replayed.timeout_probability
    answers |= {f"recommended_{share * 100:g}_s": limits for share, limits in limits_s.items()}
    answers["user_runs"] = replayed.user_runs
    return replayed.jobs.select(KEPT).hstack(pl.DataFrame(answers).fill_nan(None))


def headline(evaluation: Mapping[str, Any]) -> dict[str, object]:
    """Return the few figures of an evaluation (edition 1.0's JSON) that tables begin with."""
    ensemble = evaluation["models"]["ensemble"]
    errors = {name: evaluation["baselines"][name]["mae"] for name in BASELINES}
    best = min(errors, key=errors.__getitem__)
    timeouts = evaluation["timeouts"] or {}
    return {
        "jobs_train": evaluation["jobs_train"],
        "jobs_test": evaluation["jobs_test"],
        "mae_s": ensemble["mae"],
        "best_baseline": best,
        "best_baseline_mae_s": errors[best],
        "mae_over_best_baseline": ensemble["mae"] / errors[best],
        "median_ae_s": ensemble["median_ae"],
        "accuracy": ensemble["accuracy"],
        "coverage": {f"{one['level']:g}": one["coverage"] for one in evaluation["intervals"]},
        "winkler_over_constant_width": {
            f"{one['level']:g}": one["winkler"] / one["winkler_constant_width"]
            for one in evaluation["intervals"]
        },
        "timeout_ece": timeouts.get("ece"),
        "timeout_brier": timeouts.get("brier"),
    }


def answer(log: Path) -> tuple[pl.DataFrame, dict[str, object]]:
    """Return the answers to the test jobs of a log, and edition 1.0's figures of them.

    Raises edition 1.0's RTPredictorError where the log cannot be read or is too small.
    """
    from rt_predictor.features.rules import null_invalid
    from rt_predictor.model.bounds import recommended_time_req_s, upper_quantile_s
    from rt_predictor.settings import Settings
    from rt_predictor.traces.reader import read_trace
    from rt_predictor.training.evaluate import evaluate
    from rt_predictor.training.replay import replay
    from rt_predictor.training.split import scorable

    settings = Settings().with_overrides({"training.threads": 1})
    jobs = null_invalid(scorable(read_trace(log).jobs))
    replayed = replay(jobs, settings, None, _Steps())
    measured = evaluate(log.name, jobs, replayed, settings.prediction.confidence_level).to_json()
    granularity_s = settings.prediction.limit_granularity_s
    limits_s = {}
    for confidence in RECOMMENDED:
        reached_s = upper_quantile_s(replayed.upper_s, replayed.predicted_s, confidence)
        limits_s[confidence] = recommended_time_req_s(reached_s, granularity_s)
    return answers_frame(replayed, limits_s), measured


class _Steps:
    """Writes each step of the training to stderr when it begins."""

    def __init__(self) -> None:
        self._now = ""
        self._started_s = time.monotonic()

    def __call__(self, step: str, share: float) -> None:
        del share
        if step != self._now:
            self._now = step
            passed_s = time.monotonic() - self._started_s
            print(f"  {passed_s:6.0f} s  {step}", file=sys.stderr, flush=True)


def main(arguments: Sequence[str]) -> int:
    """Write both files, or say in one line why not; 0 if they are written."""
    log, frame_path, figures_path = map(Path, arguments)
    from rt_predictor.errors import RTPredictorError

    started_s = time.monotonic()
    try:
        frame, evaluation = answer(log)
    except RTPredictorError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    figures = {
        "seconds": round(time.monotonic() - started_s, 1),
        "headline": headline(evaluation),
        "evaluation": evaluation,
    }
    frame.write_parquet(frame_path)
    text = json.dumps(figures, indent=2, allow_nan=False) + "\n"
    figures_path.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
