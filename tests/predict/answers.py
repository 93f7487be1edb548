"""Made-up answers."""

from typing import Any

import numpy as np

from rt_predictor.jobs.schema import Jobs
from rt_predictor.model.distribution import recommended_limit_s
from rt_predictor.predict.predictions import Predictions
from rt_predictor.predict.views import Views, views_of

VIEWS = Views(level=0.9, confidence=0.9)
GRANULARITY_S = 60.0


def width_of(level: float | np.ndarray) -> Any:
    """By how much the ends of an interval differ from the runtime: half and twice at 0.9."""
    return 1 + level / 0.9


def predictions_of(runtime_s: np.ndarray, jobs: Jobs | None = None, **columns: Any) -> Predictions:
    """Answers of these runtimes, at the levels that the jobs ask for; columns set otherwise."""
    runtime_s = np.asarray(runtime_s, dtype=np.float64)
    count = len(runtime_s)
    views, view_of = views_of([{}] * count if jobs is None else jobs, VIEWS)
    level, confidence = (
        np.array([getattr(one, name) for one in views])[view_of] for name in ("level", "confidence")
    )
    most = max((len(one.quantiles) for one in views), default=0)
    quantiles_s = np.full((count, most), np.nan)
    for row, place in enumerate(view_of):
        asked = views[place].quantiles
        quantiles_s[row, : len(asked)] = runtime_s[row] * (0.5 + np.array(asked))
    known = {
        "lower_s": runtime_s / width_of(level),
        "upper_s": runtime_s * width_of(level),
        "timeout_probability": np.full(count, 0.25),
        "recommended_time_req_s": recommended_limit_s(
            runtime_s * width_of(confidence), GRANULARITY_S
        ),
        "remaining_s": np.full(count, np.nan),
        "quantiles_s": quantiles_s,
        "members_s": runtime_s[:, None] + np.arange(2),
        "flags": np.zeros(count, dtype=np.uint8),
        "views": views,
        "view_of": view_of,
        "member_names": ("xgboost", "last2"),
        "model_version": "m1",
        **columns,
    }
    return Predictions(runtime_s=runtime_s, **known)
