"""Isolation: a job on which the model fails costs its neighbours nothing but time.

Valid jobs should never make the model fail. Where jobs are scored together and one of them does,
halving finds it; the others are answered.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rt_predictor.errors import DeadlineExceededError, DrainingError, OverloadedError
from rt_predictor.jobs.schema import Jobs
from rt_predictor.predict.predictions import Predictions

Predict = Callable[[Jobs], Predictions]
"""Answers all jobs or raises what stands in the way of one."""

MAX_FAILURES = 64
"""Failed runs of one request after which what is left counts as failed: the model itself is ill."""

_OF_THE_CALL = (DeadlineExceededError, DrainingError, OverloadedError)
"""Errors that say nothing of the jobs."""


@dataclass(frozen=True)
class Scored:
    """Neighbouring rows that were answered."""

    rows: range
    predictions: Predictions
    """Of these rows, and maybe of others beside them"""
    first: int = 0
    """Place in `predictions` of the first row"""

    @property
    def own(self) -> Predictions:
        """The predictions of these rows alone."""
        if len(self.predictions) == len(self.rows):
            return self.predictions
        return self.predictions.part(self.first, self.first + len(self.rows))

    def within(self, start: int, stop: int) -> "Scored":
        """What of it lies from `start` to before `stop`, counted from `start`."""
        first, last = max(self.rows.start, start), min(self.rows.stop, stop)
        skipped = first - self.rows.start
        return Scored(range(first - start, last - start), self.predictions, self.first + skipped)


@dataclass(frozen=True)
class Failed:
    """Neighbouring rows on which the model failed."""

    rows: range
    error: Exception

    def within(self, start: int, stop: int) -> "Failed":
        """What of it lies from `start` to before `stop`, counted from `start`."""
        first, last = max(self.rows.start, start), min(self.rows.stop, stop)
        return Failed(range(first - start, last - start), self.error)


Parts = Sequence[Scored | Failed]
"""What was found for all jobs of one caller, in order."""


def answered(parts: Parts) -> int:
    """Return how many jobs were answered."""
    return sum(len(part.rows) for part in parts if isinstance(part, Scored))


def predict_isolated(predict: Predict, jobs: Jobs) -> Parts:
    """Answer every job that can be answered; the parts cover all rows of `jobs` in order.

    Raises OverloadedError, DrainingError and DeadlineExceededError of `predict`.
    """
    try:
        return (Scored(range(len(jobs)), predict(jobs)),) if len(jobs) else ()
    except _OF_THE_CALL:
        raise
    except Exception as error:
        return _halved(predict, jobs, error)


def _halved(predict: Predict, jobs: Jobs, error: Exception) -> list[Scored | Failed]:
    """Answer jobs of which all together failed with an error."""
    if len(jobs) == 1:
        return [Failed(range(1), error)]
    half = len(jobs) // 2
    waiting = [range(half, len(jobs)), range(half)]
    found: list[Scored | Failed] = []
    failures = 1
    while waiting:
        rows = waiting.pop()
        try:
            found.append(Scored(rows, predict(jobs[rows.start : rows.stop])))
        except _OF_THE_CALL:
            raise
        except Exception as cause:
            failures += 1
            if len(rows) == 1 or failures >= MAX_FAILURES:
                found.append(Failed(rows, cause))
            else:
                half = len(rows) // 2
                waiting += [rows[half:], rows[:half]]
    return found
