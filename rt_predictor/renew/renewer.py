"""One round of renewal: the candidate that waits is judged, and the next one trained.

Every step is done in a way that a process killed before, in or after it leaves something that the
next round can tell from what is on disk: a round can be begun again at any time.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import polars as pl
from loguru import logger

from rt_predictor.errors import RenewalError
from rt_predictor.history.columns import job_columns
from rt_predictor.model.bundle import read_bundle
from rt_predictor.processes.served_model import digest_of
from rt_predictor.renew.folders import Folders
from rt_predictor.renew.judge import jobs_that_followed, judge
from rt_predictor.renew.put_in_place import copy_bundle, finish, put_in_place, remove
from rt_predictor.renew.state import Candidate, Outcome, State, read_state, write_state
from rt_predictor.renew.window import Window, check_log, read_events, window_of
from rt_predictor.settings import Settings
from rt_predictor.training.prepare import prepare_log
from rt_predictor.training.progress import Plan
from rt_predictor.training.site import start_of, train_site
from rt_predictor.training.split import ran

DAY_S = 86400.0


@dataclass(frozen=True)
class Terms:
    """Terms of renewal: when, and from what."""

    every_s: float
    """Time between two trainings."""
    least_jobs: int
    """Jobs that must be new for a training, and have followed for a verdict."""
    base: Path
    """Folder of the base model, where every training starts."""


@dataclass(frozen=True)
class Sources:
    """Sources of jobs."""

    event_log: Path
    more_names: Sequence[str] = ()
    more_events: Callable[[], pl.DataFrame] | None = None
    """Reads those of job logs that are given beside it, `EVENT_SCHEMA`."""


class Renewer:
    """Renews the bundle in service. One process at a time: `run` holds the lock."""

    def __init__(
        self,
        folders: Folders,
        terms: Terms,
        sources: Sources,
        settings: Settings,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.folders = folders
        self._terms = terms
        self._sources = sources
        self._settings = settings
        self._clock = clock

    def check(self) -> None:
        """Find out whether renewal can be done at all, before it is due.

        Raises StartupError and what comes of it, HistoryError and TrainingError.
        """
        with _reported():
            self._mended()
        read_bundle(self.folders.served)
        check_log(self._sources.event_log)
        start_of(self._terms.base, self._settings, self.folders.candidate, from_scratch=False)

    def wait_s(self) -> float:
        """Return the time until something is due; 0 or less where it is.

        It is where the last training lies ahead: the clock was wrong then, or is now.
        """
        last = read_state(self.folders.state).candidate
        passed_s = -1.0 if last is None else self._clock() - last.trained_at_s
        return self._terms.every_s - passed_s if passed_s >= 0 else 0.0

    def round(self) -> None:
        """Do what is due.

        Raises HistoryError, TrainingError, BundleError, TraceError and RenewalError; what was done
        until then stays done.
        """
        with _reported():
            state = self._mended()
            if (wait_s := self.wait_s()) > 0:
                logger.info("the next renewal is not due yet", due_in_days=_days(wait_s))
                return
            window = self._window()
            if state.candidate is not None and state.candidate.waits:
                state = self._judged(state, state.candidate, window)
            if state.candidate is None or not state.candidate.waits:
                self._train(state, window)

    def _mended(self) -> State:
        """Finish what the last round was cut off in, and return how things stand."""
        folders = self.folders
        remove(folders.work)
        folders.work.mkdir(parents=True)
        state = read_state(folders.state)
        last = state.candidate
        finish(folders.promoted, folders.served, folders.previous, last.digest if last else "")
        if last is None or not last.waits:
            return state
        if digest_of(folders.served) == last.digest:
            return self._decide(state, "promoted", "it is in service already")
        if digest_of(folders.candidate) != last.digest:
            return self._decide(state, "lost", f"{folders.candidate} holds another bundle now")
        return state

    def _window(self) -> Window:
        settings = self._settings
        most = settings.training.max_jobs
        events = [read_events(self._sources.event_log, most)]
        if self._sources.more_events is not None:
            events.append(self._sources.more_events())
        window = window_of(pl.concat(events), most, settings.security.trusted)
        if window.untrusted:
            logger.warning(
                "jobs are left out of the renewal: their client is not trusted (docs/security.md), "
                "and more than a twentieth are of it",
                jobs=window.untrusted,
            )
        return window

    def _judged(self, state: State, last: Candidate, window: Window) -> State:
        """Promote or drop the candidate that waits, if enough jobs have followed."""
        folders, settings = self.folders, self._settings
        candidate, served = read_bundle(folders.candidate), read_bundle(folders.served)
        digest = digest_of(folders.served)
        log = prepare_log(window.jobs, self._name)
        rows = jobs_that_followed(log, last.learned_until_s, candidate, served)
        if len(rows) < self._terms.least_jobs:
            logger.info(
                f"the candidate waits: {len(rows):,} of {self._terms.least_jobs:,} jobs that it is "
                "to be judged by were submitted after its training and have ended",
                model_version=last.model_version,
            )
            return state
        report = Plan({"judging": 1.0}, _Steps()).step("judging")
        verdict = judge(log, rows, candidate, served, settings, report=report)
        if not verdict.is_no_worse:
            words = " and ".join(verdict.worse_in)
            return self._decide(state, "dropped", f"it is worse in {words}: {verdict}")
        copy_bundle(folders.candidate, folders.promoted)
        if digest_of(folders.served) != digest:
            raise RenewalError(
                f"{folders.served} was replaced while the candidate was judged: it is judged again"
            )
        put_in_place(folders.promoted, folders.served, folders.previous)
        return self._decide(state, "promoted", f"it is no worse: {verdict}")

    def _train(self, state: State, window: Window) -> None:
        """Train a candidate from the base, if enough jobs are new, and put it before the shadow."""
        new = self._new_jobs(state, window)
        if new < self._terms.least_jobs:
            logger.info(
                f"no renewal: new jobs since the last one: {new:,}, needed: "
                f"{self._terms.least_jobs:,}"
            )
            return
        folders, settings = self.folders, self._settings
        logger.info("a candidate is trained from the base model", jobs=window.ended, new_jobs=new)
        fresh = folders.work / "candidate"
        start = start_of(self._terms.base, settings, fresh, from_scratch=False)
        report = train_site(window.jobs, [self._name], start, fresh, settings, progress=_Steps())
        for note in report.notes:
            logger.info(note)
        span, digest = report.bundle.info.training_span, digest_of(fresh)
        if span is None:
            raise RenewalError("the bundle that was trained does not say what it learned from")
        put_in_place(fresh, folders.candidate, folders.work / "old")
        remove(folders.work / "old")
        trained = Candidate(
            model_version=report.model_version,
            digest=digest,
            trained_at_s=self._clock(),
            learned_until_s=span.end,
            jobs=report.bundle.info.training_samples,
            waits=True,
        )
        write_state(folders.state, state.model_copy(update={"candidate": trained}))
        logger.info(
            "a candidate is before the shadow, and will be judged by the jobs that follow",
            model_version=trained.model_version,
            folder=str(folders.candidate),
            judged_in_days=_days(self._terms.every_s),
        )

    def _new_jobs(self, state: State, window: Window) -> int:
        """Count the jobs that the last candidate has not learned from."""
        folders, last = self.folders, state.candidate
        if last is None or digest_of(folders.candidate) != last.digest:
            return window.ended
        ended = job_columns(window.jobs.filter(ran(window.jobs)))
        learned = read_bundle(folders.candidate).info.fingerprints()
        return int((~learned.hold(ended.ident)).sum())

    def _decide(self, state: State, outcome: Outcome, reason: str) -> State:
        decided = state.decided(outcome, reason, self._clock())
        write_state(self.folders.state, decided)
        decision = decided.decisions[-1]
        logger.info(f"the candidate is {outcome}: {reason}", model_version=decision.model_version)
        return decided

    @property
    def _name(self) -> str:
        """Name of what is learned from, for the record."""
        return " + ".join([self._sources.event_log.name, *self._sources.more_names])


def _days(seconds: float) -> float:
    return round(seconds / DAY_S, 2)


class _Steps:
    """Logs each step of a run once, as it begins."""

    def __init__(self) -> None:
        self._last = ""

    def __call__(self, step: str, share: float) -> None:
        if step != self._last:
            self._last = step
            logger.info(f"renewal: {step}", done=f"{share:.0%}")


@contextmanager
def _reported() -> Iterator[None]:
    """Raise RenewalError for files that cannot be written or put in place."""
    try:
        yield
    except OSError as error:
        raise RenewalError(f"the renewal cannot put its files in place: {error}") from error
