"""Reloads of the model: who asks for one, and what becomes of it. One at a time."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from loguru import logger

from rt_predictor.api.reload import Reloaded
from rt_predictor.errors import ReloadError, SettingsError
from rt_predictor.observability.worker_metrics import FAILED, RELOADED, UNCHANGED, WorkerMetrics
from rt_predictor.processes.messages import ReloadAnswer, ReloadAsked, ReloadFailed
from rt_predictor.processes.served_model import digest_of
from rt_predictor.processes.supervisor import Supervisor
from rt_predictor.processes.worker_process import WorkerProcess
from rt_predictor.settings import SecuritySettings

Result = Reloaded | ReloadFailed
BUSY = ReloadFailed("another reload is in progress: ask again once it is done")


def _nobody(result: Result) -> None:
    del result


@dataclass(frozen=True)
class _Wish:
    """A reload that somebody wants."""

    by: str
    always: bool
    """Whether workers are replaced even if the bundle is the one that is served, and are told
    anew who may ask"""
    asker: WorkerProcess | None = None
    answer: Callable[[Result], None] = _nobody


class Reloads:
    """Has the supervisor reload the model. Used by one event loop."""

    def __init__(
        self,
        supervisor: Supervisor,
        metrics: WorkerMetrics,
        read_security: Callable[[], SecuritySettings | None] = lambda: None,
    ) -> None:
        """Nothing is reloaded before `run`.

        `read_security` reads anew who may ask, when SIGHUP comes; None: as before. It raises
        SettingsError.
        """
        self._supervisor = supervisor
        self._metrics = metrics
        self._read_security = read_security
        self._wishes: asyncio.Queue[_Wish] = asyncio.Queue()
        self._busy = False

    def hangup(self) -> None:
        """SIGHUP: all workers are replaced, once more if they are being replaced now."""
        if self._wishes.empty():
            self._wishes.put_nowait(_Wish("SIGHUP", always=True))

    def changed(self) -> None:
        """The folder of the model holds another bundle."""
        if self._wishes.empty():
            self._wishes.put_nowait(_Wish("watch", always=False))

    def asked(self, worker: WorkerProcess, question: ReloadAsked) -> None:
        """A client asks one of the workers; it is refused while another reload is in progress."""

        def answer(result: Result) -> None:
            worker.tell(ReloadAnswer(question.number, result))

        if self._busy or not self._wishes.empty():
            answer(BUSY)
        else:
            self._wishes.put_nowait(_Wish("client", False, worker, answer))

    async def run(self) -> None:
        """Does what is asked for, for ever."""
        while True:
            wish = await self._wishes.get()
            self._busy = True
            try:
                await self._fulfil(wish)
            finally:
                self._busy = False

    async def _fulfil(self, wish: _Wish) -> None:
        supervisor = self._supervisor
        old, served = supervisor.model_version, supervisor.model
        if not wish.always and served.digest and served.digest == digest_of(served.source):
            self._went_well(UNCHANGED)
            logger.info("the model is the one that is served", model_version=old, asked_by=wish.by)
            wish.answer(Reloaded(old, old))
            return

        def done(new: str) -> None:
            self._went_well(RELOADED)
            logger.info("model loaded", old_version=old, model_version=new, asked_by=wish.by)
            wish.answer(Reloaded(old, new))

        try:
            security = self._read_security() if wish.always else None
            await supervisor.replace_all(wish.asker, done, security)
        except (ReloadError, SettingsError) as error:
            self._metrics.reloads[FAILED].inc()
            logger.error(
                "model not loaded: the one that was served still is",
                model_version=old,
                reason=str(error),
                asked_by=wish.by,
            )
            supervisor.note(f"a reload failed, {old} is still served: {error}")
            wish.answer(ReloadFailed(f"{old} is still served: {error}"))

    def _went_well(self, result: str) -> None:
        self._metrics.reloads[result].inc()
        self._supervisor.note("")
