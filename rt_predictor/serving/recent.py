"""Answers given lately, for callers who ask the same again.

The jobs of an array are asked for one by one, all with the same submit time. An answer follows from
the job, the model and what is known of finished jobs; it is kept by the first and the last, of one
model. So none can be stale: once another outcome is known, what was kept is not found any more.
"""

from collections.abc import Callable, Hashable
from threading import Lock

from rt_predictor.jobs.schema import Rows
from rt_predictor.serving.distinct import what_matters
from rt_predictor.serving.predictions import Predictions, joined

MOST_ANSWERS = 1024
"""Answers that are kept, the latest; about 3 kB each."""
MOST_KEPT_ROWS = 8
"""Jobs of a run whose answers are kept: among more, one costs no more than to look it up."""


class RecentAnswers:
    """What one model answered lately. Thread-safe."""

    def __init__(self, version: Callable[[], int], most: int = MOST_ANSWERS) -> None:
        """Nothing yet; `version` changes whenever another outcome is known."""
        self._version = version
        self._most = most
        self._lock = Lock()
        self._kept: dict[Hashable, Predictions] = {}

    def __len__(self) -> int:
        return len(self._kept)

    def predict(self, predict: Callable[[Rows], Predictions], rows: Rows) -> Predictions:
        """The answers of `predict` for at least one row, which is asked for those that are new."""
        version = self._version()  # read first: what is known then may be newer, never older
        keys: list[Hashable] = [(version, *what_matters(row)) for row in rows]
        with self._lock:
            found = {key: self._kept[key] for key in keys if key in self._kept}
        new = dict.fromkeys(key for key in keys if key not in found)
        if new:
            row_of = dict(zip(keys, rows, strict=True))
            answers = predict([row_of[key] for key in new])
            each = [answers] if len(new) == 1 else _apart(answers)
            fresh = dict(zip(new, each, strict=True))
            self._keep(fresh)
            if len(new) == len(keys):
                return answers
            found |= fresh
        return found[keys[0]] if len(keys) == 1 else joined([found[key] for key in keys])

    def _keep(self, answers: dict[Hashable, Predictions]) -> None:
        with self._lock:
            self._kept |= answers
            while len(self._kept) > self._most:
                del self._kept[next(iter(self._kept))]


def _apart(answers: Predictions) -> list[Predictions]:
    return [answers.part(at, at + 1) for at in range(len(answers))]
