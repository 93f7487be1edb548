"""Where answers come from: kept ones, else the service, within a deadline.

A call that is late goes on without its caller, so that the next request for the same job finds the
answer; a job that is being asked for already is not asked for twice.
"""

import asyncio
from typing import Protocol

from loguru import logger

from rt_predictor.agent.cache import AnswerCache, cache_key
from rt_predictor.agent.circuit import Circuit
from rt_predictor.agent.figures import Figures
from rt_predictor.agent.protocol import Reason
from rt_predictor.client import Health, Job, Prediction
from rt_predictor.errors import InvalidJobError, InvalidRequestError, RTPredictorError
from rt_predictor.settings import AgentSettings

_PREDICTS = ("SERVING", "DEGRADED")


class ServicePort(Protocol):
    """What the agent needs of a client of the service."""

    async def predict(self, job: Job) -> Prediction: ...

    async def health(self) -> Health: ...


class Answers:
    """Predictions with a deadline. Nothing that the service does takes longer than it."""

    def __init__(self, service: ServicePort, settings: AgentSettings) -> None:
        self.figures = Figures()
        self.circuit = Circuit(settings.failures, settings.heartbeat_s, settings.backoff_max_s)
        self.cache = AnswerCache(settings.cache_answers, settings.cache_ttl_s)
        self._service = service
        self._settings = settings
        self._calls: dict[Job, asyncio.Task[Prediction | Reason]] = {}
        self._stopping = False

    @property
    def in_flight(self) -> int:
        """Calls to the service that are in progress."""
        return len(self._calls)

    async def answer(self, job: Job) -> Prediction | Reason:
        """The prediction for a job, or why there is none, after `deadline_ms` at the latest.

        Raises InvalidRequestError where the service refuses the job.
        """
        kept = self.cache.get(job)
        if kept is not None:
            self.figures.cached += 1
            return kept
        call = self._calls.get(cache_key(job)) or self._call(job)
        if isinstance(call, Reason):
            return call
        await asyncio.wait((call,), timeout=self._settings.deadline_ms / 1000)
        if call.cancelled():
            return Reason.STOPPING
        return call.result() if call.done() else Reason.DEADLINE

    def _call(self, job: Job) -> "asyncio.Task[Prediction | Reason] | Reason":
        """Begins to ask the service."""
        if self._stopping:
            return Reason.STOPPING
        if self.circuit.is_open:
            return Reason.AWAY
        if len(self._calls) >= self._settings.max_in_flight:
            return Reason.BUSY
        call = asyncio.create_task(self._ask(job))
        self._calls[cache_key(job)] = call
        call.add_done_callback(lambda done: self._ended(job, done))
        return call

    async def _ask(self, job: Job) -> Prediction | Reason:
        begun_s = asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout(self._settings.call_timeout_s):
                answer = await self._service.predict(job)
        except (InvalidJobError, InvalidRequestError):
            self._succeeded()
            raise
        except Exception as error:
            self._failed(_words(error))
            return Reason.ERROR
        self._succeeded()
        self.cache.put(job, answer)
        took_s = asyncio.get_running_loop().time() - begun_s
        self.figures.late += took_s * 1000 > self._settings.deadline_ms
        return answer

    def _ended(self, job: Job, call: "asyncio.Task[Prediction | Reason]") -> None:
        del self._calls[cache_key(job)]
        if not call.cancelled():
            call.exception()  # told to who waits for it; a late one is nobody's

    async def look_after_service(self) -> None:
        """Looks at the service again and again: keeps connections warm, and finds it back."""
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
        """Ends the calls in progress; who waits is told so."""
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
    """What went wrong, without what an unforeseen error may quote."""
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return str(error) if isinstance(error, RTPredictorError) else type(error).__name__
