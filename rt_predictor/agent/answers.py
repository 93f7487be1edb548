"""Answers of the agent: kept ones, else the service's, within a deadline.

A call that is late goes on without its caller, so that the next request for the same job finds the
answer; a job that is being asked for already is not asked for twice.
"""

import asyncio
from collections import Counter
from typing import Protocol

from loguru import logger

from rt_predictor.agent.cache import AnswerCache, cache_key
from rt_predictor.agent.circuit import Circuit
from rt_predictor.agent.counters import Counters
from rt_predictor.agent.protocol import Reason
from rt_predictor.agent.turns import Turns
from rt_predictor.client import Health, Job, Prediction
from rt_predictor.errors import InvalidJobError, InvalidRequestError, RTPredictorError
from rt_predictor.settings import AgentSettings

AT_ONCE = 8
"""Calls that are with the service at once: enough to keep it busy."""
KEPT_FREE = 4
"""For each so many calls that may be in progress one more may, of users who have few of them."""
_PREDICTS = ("SERVING", "DEGRADED")


class ServicePort(Protocol):
    """Port of a client of the service, as the agent needs it."""

    async def predict(self, job: Job) -> Prediction: ...

    async def health(self) -> Health: ...


class Answers:
    """Predictions with a deadline. Nothing that the service does takes longer than it."""

    def __init__(self, service: ServicePort, settings: AgentSettings) -> None:
        self.counters = Counters()
        self.circuit = Circuit(settings.failures, settings.heartbeat_s, settings.backoff_max_s)
        self.cache = AnswerCache(settings.cache_answers, settings.cache_ttl_s)
        self._service = service
        self._settings = settings
        self._calls: dict[Job, asyncio.Task[Prediction | Reason]] = {}
        self._calls_of: Counter[int] = Counter()
        """User -> how many of the calls are for them."""
        self._turns = Turns(min(settings.max_in_flight, AT_ONCE))
        self._stopping = False

    @property
    def in_flight(self) -> int:
        """Calls to the service that are in progress."""
        return len(self._calls)

    async def answer(self, job: Job, user: int) -> Prediction | Reason:
        """The prediction for a job, or why there is none, after `deadline_ms` at the latest.

        Raises InvalidRequestError where the service refuses the job.
        """
        kept = self.cache.get(job)
        if kept is not None:
            self.counters.cached += 1
            return kept
        call = self._calls.get(cache_key(job)) or self._call(job, user)
        if isinstance(call, Reason):
            return call
        await asyncio.wait((call,), timeout=self._settings.deadline_ms / 1000)
        if call.cancelled():
            return Reason.STOPPING
        return call.result() if call.done() else Reason.DEADLINE

    def _call(self, job: Job, user: int) -> "asyncio.Task[Prediction | Reason] | Reason":
        """Begin to ask the service."""
        if self._stopping:
            return Reason.STOPPING
        if self.circuit.is_open:
            return Reason.AWAY
        if self._is_full_for(user):
            return Reason.BUSY
        call = asyncio.create_task(self._ask(job, user))
        self._calls[cache_key(job)] = call
        self._calls_of[user] += 1
        call.add_done_callback(lambda done: self._ended(job, user, done))
        return call

    def _is_full_for(self, user: int) -> bool:
        """Whether there is no turn left: beyond `max_in_flight` some are kept for who has few."""
        most, calls = self._settings.max_in_flight, len(self._calls)
        kept = max(most // KEPT_FREE, 1)
        return calls >= most and (self._calls_of[user] >= kept or calls >= most + kept)

    async def _ask(self, job: Job, user: int) -> Prediction | Reason:
        begun_s = asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout(self._settings.call_timeout_s):
                await self._turns.take(user)
        except TimeoutError:
            return Reason.BUSY
        try:
            async with asyncio.timeout(self._settings.call_timeout_s):
                answer = await self._service.predict(job)
        except (InvalidJobError, InvalidRequestError):
            self._succeeded()
            raise
        except Exception as error:
            self._failed(_words(error))
            return Reason.ERROR
        finally:
            self._turns.give()
        self._succeeded()
        self.cache.put(job, answer)
        took_s = asyncio.get_running_loop().time() - begun_s
        self.counters.late += took_s * 1000 > self._settings.deadline_ms
        return answer

    def _ended(self, job: Job, user: int, call: "asyncio.Task[Prediction | Reason]") -> None:
        del self._calls[cache_key(job)]
        self._calls_of[user] -= 1
        if not self._calls_of[user]:
            del self._calls_of[user]
        if not call.cancelled():
            call.exception()  # told to who waits for it; a late one is nobody's

    async def look_after_service(self) -> None:
        """Look at the service again and again: keep connections warm, and find it back."""
        while True:
            try:
                async with asyncio.timeout(self._settings.call_timeout_s):
                    # Calls take turns on the connections.
                    for _ in range(self._settings.connections):
                        health = await self._service.health()
                if health.status in _PREDICTS:
                    self._succeeded()
                else:
                    self._absent(f"it is {health.status}: {health.message}")
            except Exception as error:
                self._absent(_words(error))
            await asyncio.sleep(self.circuit.next_look_s)

    async def stop(self) -> None:
        """End the calls in progress; requests that wait get that as their reason."""
        self._stopping = True
        calls = list(self._calls.values())
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)

    def _succeeded(self) -> None:
        was_open = self.circuit.is_open
        self.circuit.succeeded()
        if was_open:
            logger.info("the service answers")

    def _failed(self, reason: str) -> None:
        was_open = self.circuit.is_open
        self.circuit.failed()
        self._say_if_opened(was_open, reason)

    def _absent(self, reason: str) -> None:
        was_open = self.circuit.is_open
        self.circuit.absent()
        self._say_if_opened(was_open, reason)

    def _say_if_opened(self, was_open: bool, reason: str) -> None:
        if self.circuit.is_open and not was_open:
            logger.warning("the service is away: submissions go on without it", reason=reason)


def _words(error: Exception) -> str:
    """Return the message of an error, without what an unforeseen one may quote."""
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return str(error) if isinstance(error, RTPredictorError) else type(error).__name__
