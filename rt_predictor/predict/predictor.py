"""The data plane: jobs in, predictions out, read top to bottom. It knows no transport.

    jobs -> columns -> what history says of them -> features -> the network's weights over runtimes
    -> a recalibrated distribution of each -> the numbers that are asked for

Thread-safe. A large batch is cut into pieces for threads, which all run the same one-threaded
session, so that a job's answer does not depend on its neighbours.
"""

import os
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from math import isnan, nan
from typing import NamedTuple, cast
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl

from rt_predictor.history.columns import AskedJob, asked_job
from rt_predictor.history.history import History
from rt_predictor.history.token_keys import USER
from rt_predictor.jobs.asked import frame_of
from rt_predictor.jobs.schema import FEW_JOBS, Jobs, Row
from rt_predictor.model.answer_flags import Flag
from rt_predictor.model.bundle import Bundle, read_bundle
from rt_predictor.model.conditional import given_elapsed, one_given_elapsed
from rt_predictor.model.distribution import (
    Float64,
    limits_too_short,
    recommended_limit_of_one_s,
    recommended_limit_s,
)
from rt_predictor.model.network import GRAPH_OUTPUT, Network
from rt_predictor.model.session import ModelSession
from rt_predictor.online.live import LiveFigures
from rt_predictor.online.model import OnlineModel, OnlineState
from rt_predictor.predict.asked_jobs import AskedJobs
from rt_predictor.predict.deduplicate import RecentAnswers
from rt_predictor.predict.description import ModelDescription, describe
from rt_predictor.predict.explain import explanations
from rt_predictor.predict.flags import flags_of, flags_of_one
from rt_predictor.predict.partition_limits import PartitionLimits
from rt_predictor.predict.predictions import Predictions, joined
from rt_predictor.predict.views import Views, read, view_of_row, views_of
from rt_predictor.settings import PredictionSettings, Settings

_PARTITION_LIMIT_TOO_SHORT = np.array(Flag.PARTITION_LIMIT_TOO_SHORT, dtype=np.uint8)
_TIME_LIMIT_TOO_SHORT = np.array(Flag.TIME_LIMIT_TOO_SHORT, dtype=np.uint8)
_FIRST_VIEW = np.zeros(1, dtype=np.intp)
LONE_JOBS = 3
"""Jobs in rows that are answered one by one: more are answered together in less time."""
_LEAST_PIECE_JOBS = 64
"""Jobs that are worth the way to a thread."""
_PIECE_JOBS = 1024
"""Jobs of a large batch that one thread answers at a time, at most: bounds memory."""


class Predictor:
    """Answers from one bundle."""

    def __init__(
        self,
        bundle: Bundle,
        network: Network,
        history: History,
        *,
        prediction: PredictionSettings,
        threads: int = 0,
        caching: bool = False,
        trusted: frozenset[str] = frozenset(),
    ):
        """Answer from a network, and have it learn from outcomes.

        Args:
            bundle: what was learned.
            network: the bundle's graph, ready to run.
            history: what is known of jobs; not started.
            prediction: `[prediction]`.
            threads: threads that share a large batch; 0 takes one a core.
            caching: whether recent answers are kept.
            trusted: clients whose outcomes count without a bound.

        Raises StartupError where `[prediction]` names a file that cannot be used.
        """
        self.bundle = bundle
        self.model_version = bundle.info.model_version
        self.member_names = tuple(network.proposals)
        self.views = Views(prediction.confidence_level, prediction.recommendation_confidence)
        self.network = network
        self._history = history
        self._granularity_s = prediction.limit_granularity_s
        self._partitions = PartitionLimits.of(prediction)
        self._threads = threads or os.cpu_count() or 1
        self._pool = ThreadPoolExecutor(self._threads, "rt-predictor-score")
        self._recent = RecentAnswers(lambda: history.version) if caching else None
        history.use_learner(
            OnlineModel(
                bundle,
                network,
                level=self.views.level,
                limits_enforced=prediction.limits_enforced,
                trusted=trusted,
            )
        )

    @classmethod
    def load(cls, settings: Settings, history: History | None = None) -> "Predictor":
        """Read the bundle that the settings name and compile its graph.

        Without `history` it predicts as if nothing were known.

        Raises BundleError saying what is wrong with it and how to mend it.
        """
        bundle = read_bundle(settings.model.path, verify_hashes=settings.model.verify_hashes)
        session = ModelSession(bundle.graph, GRAPH_OUTPUT, settings.model.providers)
        optimization = settings.features.optimization
        zone = ZoneInfo(settings.features.timezone or bundle.info.timezone)
        return cls(
            bundle,
            Network(session, bundle, zone, optimization.chunk_size),
            history or History.off(),
            prediction=settings.prediction,
            threads=optimization.n_jobs,
            caching=optimization.enable_caching,
            trusted=settings.security.trusted,
        )

    def predict(self, jobs: Jobs) -> Predictions:
        """Predict n jobs, each with a submit_time; they are taken as valid (`jobs.rules`)."""
        if not isinstance(jobs, pl.DataFrame):
            if len(jobs) == 1 and self._recent is not None:
                return self._recent.predict(self._predicted_one, jobs[0])
            if 0 < len(jobs) <= LONE_JOBS:
                return joined([self._predicted_one(row) for row in jobs])
            if 0 < len(jobs) <= FEW_JOBS:
                return self._predicted(jobs)
            jobs = frame_of(jobs)
        pieces = self._pieces(len(jobs))
        if pieces == 1:
            return self._predicted(jobs)
        edges = np.linspace(0, len(jobs), pieces + 1).astype(np.int64).tolist()
        parts = [jobs[start:stop] for start, stop in pairwise(edges)]
        return joined(list(self._pool.map(self._predicted, parts)))

    def _pieces(self, jobs: int) -> int:
        """Into how many equal pieces all threads share jobs."""
        rounds = -(-jobs // (_PIECE_JOBS * self._threads))
        return max(1, min(jobs // _LEAST_PIECE_JOBS, rounds * self._threads))

    def _predicted(self, jobs: Jobs) -> Predictions:
        """All of it on this thread."""
        fold = self._history.fold
        learned = cast("OnlineState", fold.learned)
        asked = AskedJobs.of(jobs)
        tokens = asked.tokens(fold.store)
        weighed = self.network.weigh(asked.asked, tokens)
        served = learned.served(weighed, asked.asked.limit_s, asked.users, asked.at_s)
        if asked.elapsed_s is not None:
            served = given_elapsed(served, asked.elapsed_s)
        views, view_of = views_of(jobs, self.views)
        runtimes = read(served, views, view_of)
        recommended_s = recommended_limit_s(
            runtimes.exceeded, self._granularity_s, self._partitions.of_jobs(jobs)
        )
        flags = flags_of(jobs, asked.asked.columns, tokens, fold.names, asked.at_s)
        if self._partitions.longest_s:
            flags |= np.isnan(recommended_s) * _PARTITION_LIMIT_TOO_SHORT
        too_short = limits_too_short(runtimes.exceeded, served.limit_s)
        flags |= too_short * _TIME_LIMIT_TOO_SHORT
        recommended_s[too_short] = np.nan
        return Predictions(
            runtime_s=runtimes.median,
            lower_s=runtimes.lower,
            upper_s=runtimes.upper,
            timeout_probability=served.timeout_probability(),
            recommended_time_req_s=recommended_s,
            remaining_s=_remaining_s(runtimes.median, asked.elapsed_s),
            quantiles_s=runtimes.quantiles,
            members_s=self.network.proposed_s(weighed),
            flags=flags,
            views=views,
            view_of=view_of,
            member_names=self.member_names,
            model_version=self.model_version,
            explanations=explanations(
                asked.explained, tokens, weighed, asked.elapsed_s, self.member_names
            ),
        )

    def _predicted_one(self, row: Row) -> Predictions:
        """Return the same for one job: each step of it has a form for one job that is quicker."""
        fold = self._history.fold
        learned = cast("OnlineState", fold.learned)
        job = LoneJob.of(row)
        known = job.known
        tokens = fold.store.tokens_of_one(known, job.at_s)
        weighed = self.network.weigh_one(known.columns, known.submit_s, job.limit_s, tokens)
        served = learned.served_one(weighed, job.limit_s, job.user, job.at_s)
        if not isnan(job.elapsed_s):
            served = one_given_elapsed(served, job.elapsed_s)
        view = view_of_row(row, self.views)
        median_s, lower_s, upper_s, exceeded_s, *quantiles_s = served.quantiles_s(view.levels)
        flags = flags_of_one(row, known.columns, tokens, fold.names, job.at_s)
        recommended_s = recommended_limit_of_one_s(
            exceeded_s, self._granularity_s, self._partitions.of_row(row)
        )
        if isnan(recommended_s):
            flags |= Flag.PARTITION_LIMIT_TOO_SHORT.value
        if exceeded_s >= served.limit_s:
            flags |= Flag.TIME_LIMIT_TOO_SHORT.value
            recommended_s = nan
        why = {}
        if row.get("explain"):
            elapsed_s = np.array([job.elapsed_s])
            why = explanations([0], tokens, weighed, elapsed_s, self.member_names)
        timeout = served.timeout_probability()
        remaining_s = median_s - job.elapsed_s
        numbers = np.array((median_s, lower_s, upper_s, timeout, recommended_s, remaining_s))
        (median, lower, upper, timeout_probability, recommended, remaining) = numbers[:, None]
        return Predictions(
            runtime_s=median,
            lower_s=lower,
            upper_s=upper,
            timeout_probability=timeout_probability,
            recommended_time_req_s=recommended,
            remaining_s=remaining,
            quantiles_s=np.array([quantiles_s]),
            members_s=self.network.proposed_s(weighed),
            flags=np.array([flags], dtype=np.uint8),
            views=(view,),
            view_of=_FIRST_VIEW,
            member_names=self.member_names,
            model_version=self.model_version,
            explanations=why,
        )

    def describe(self) -> ModelDescription:
        """Say where the model comes from, how good it was, and what runs it."""
        return describe(self.bundle, self.network.session)

    def live(self) -> LiveFigures:
        """Say how good it is on the jobs that end now, from what is folded; quick."""
        return cast("OnlineState", self._history.fold.learned).figures


class LoneJob(NamedTuple):
    """A job that is asked for alone, as history and features take it: see `AskedJobs`."""

    row: Row
    known: AskedJob
    at_s: float
    elapsed_s: float
    """NaN where it has not started"""
    limit_s: float

    @classmethod
    def of(cls, row: Row) -> "LoneJob":
        """Return a job with a submit_time."""
        known = asked_job(row)
        elapsed_s, at_s = _optional(row, "elapsed"), _optional(row, "as_of")
        if isnan(at_s):
            at_s = known.submit_s
        if not isnan(elapsed_s):
            known = known._replace(start_s=at_s - elapsed_s)
        return cls(row, known, at_s, elapsed_s, _optional(row, "time_req"))

    @property
    def user(self) -> int:
        """Id of its user, `NO_KEY` for none."""
        return self.known.keys[USER]


def _optional(row: Row, name: str) -> float:
    """Return a number that may not be there; NaN where it is not."""
    value = row.get(name)
    return nan if value is None else float(value)


def _remaining_s(total_s: Float64, elapsed_s: Float64 | None) -> Float64:
    """[n] what is left of total runtimes; NaN for jobs that have not started."""
    return np.full(len(total_s), np.nan) if elapsed_s is None else total_s - elapsed_s
