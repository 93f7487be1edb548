"""Recent answers: bounded in number and in age."""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from time import monotonic

from rt_predictor.client import Job, Prediction


class AnswerCache:
    """Answers by what was asked; the least recently used go first.

    Args:
        size: answers that are kept at most; 0 keeps none.
        ttl_s: age at which an answer is forgotten: outcomes may have changed it since.
    """

    def __init__(self, size: int, ttl_s: float, clock: Callable[[], float] = monotonic) -> None:
        self._size = size
        self._ttl_s = ttl_s
        self._clock = clock
        self._answers: OrderedDict[Job, tuple[float, Prediction]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._answers)

    def get(self, job: Job) -> Prediction | None:
        """The answer that is kept for a job, if it is young enough."""
        key = cache_key(job)
        kept = self._answers.get(key)
        if kept is None:
            return None
        until_s, answer = kept
        if self._clock() >= until_s:
            del self._answers[key]
            return None
        self._answers.move_to_end(key)
        return answer

    def put(self, job: Job, answer: Prediction) -> None:
        """Keep the answer for a job."""
        key = cache_key(job)
        self._answers[key] = self._clock() + self._ttl_s, answer
        self._answers.move_to_end(key)
        while len(self._answers) > self._size:
            self._answers.popitem(last=False)


def cache_key(job: Job) -> Job:
    """Return what makes two requests the same: all but names that change no answer."""
    return replace(job, request_id="", array_task_id="")
