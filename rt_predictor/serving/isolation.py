"""Isolation: a job on which the model fails costs its neighbours nothing but time.

Valid jobs should never make the model fail. Where jobs are scored together and one of them does,
halving finds it; the others are answered.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from rt_predictor.errors import DeadlineExceededError, DrainingError, OverloadedError
from rt_predictor.jobs.schema import Jobs
from rt_predictor.serving.predictions import Predictions

PredictMethod = Callable[[Jobs], Awaitable[Predictions]]
"""A method of a `Scorer`."""

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


async def predict_isolated(predict: PredictMethod, jobs: Jobs) -> Sequence[Scored | Failed]:
    """Answers every job that can be answered; the parts cover all rows of `jobs` in order.

    Raises OverloadedError, DrainingError and DeadlineExceededError of `predict`.
    """
    waiting = [range(len(jobs))] if len(jobs) else []
    found: list[Scored | Failed] = []
    failures = 0
    while waiting:
        rows = waiting.pop()
        part = jobs if len(rows) == len(jobs) else jobs[rows.start : rows.stop]
        try:
            found.append(Scored(rows, await predict(part)))
        except _OF_THE_CALL:
            raise
        except Exception as error:
            failures += 1
            if len(rows) == 1 or failures >= MAX_FAILURES:
                found.append(Failed(rows, error))
            else:
                half = len(rows) // 2
                waiting += [rows[half:], rows[:half]]
    return found
