"""The part of a serving model that outcomes teach: its recalibration and its live figures.

Jobs that the model has learned from in training teach it nothing: their outcomes are history, and
no evidence.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from loguru import logger
from numpy.typing import NDArray

from rt_predictor.eventlog.snapshot_file import Json
from rt_predictor.features.asked import Asked
from rt_predictor.history.columns import COLUMN, Times
from rt_predictor.history.known_jobs import Arrays
from rt_predictor.history.learner import EndedJobs
from rt_predictor.history.token_keys import USER
from rt_predictor.history.value_ids import NULL_ID, Ids, value_id
from rt_predictor.model.bundle import Bundle
from rt_predictor.model.distribution import Distribution
from rt_predictor.model.documents import BASE
from rt_predictor.model.lone_distribution import LoneDistribution
from rt_predictor.model.network import Network, Weighed
from rt_predictor.online.arrays import named_parts, part_of
from rt_predictor.online.groups import shape_groups
from rt_predictor.online.live import LiveFigures, LiveShape, LiveSums
from rt_predictor.online.outcome_weights import OutcomeWeights
from rt_predictor.online.outcomes import Outcomes
from rt_predictor.online.recalibration import LearnedLevels, Recalibration

_RUNTIME = COLUMN["runtime_s"]


class OnlineModel:
    """A model that learns from outcomes: a `Learner`."""

    def __init__(
        self,
        bundle: Bundle,
        network: Network,
        *,
        level: float,
        limits_enforced: bool,
        trusted: frozenset[str] = frozenset(),
    ) -> None:
        """Learn for a network.

        Args:
            bundle: of the network.
            network: computes the distributions.
            level: of the service's intervals; its coverage is watched.
            limits_enforced: whether no job runs past its limit.
            trusted: names of clients whose outcomes count without a limit.
        """
        self.network = network
        self.limits_enforced = limits_enforced
        self.model_version = bundle.info.model_version
        self.learned_from = bundle.info.fingerprints()
        self.watches_drift = bundle.info.kind != BASE
        self.shape = LiveShape.of(level, network.proposals)
        self.start = LearnedLevels.of(bundle.recalibration)
        self._trusted = frozenset(map(value_id, trusted))

    def trusts(self, client: int) -> bool:
        """Return whether outcomes of a client, by its id, count without a limit."""
        return client in self._trusted

    def origin(self) -> dict[str, Json]:
        """See `Learner.origin`."""
        return {
            "model_version": self.model_version,
            "limits_enforced": self.limits_enforced,
            "levels": [*self.shape.levels],
            "recalibration": "groups, users, concurrent jobs",
            "trusted clients": [str(client) for client in sorted(self._trusted)],
        }

    def nothing(self) -> "OnlineState":
        """See `Learner.nothing`."""
        return OnlineState(
            self,
            Recalibration(self.start),
            OutcomeWeights(self.trusts),
            LiveSums.none(self.shape),
        )

    def restored(self, facts: Mapping[str, Json], arrays: Arrays) -> "OnlineState":
        """See `Learner.restored`."""
        return OnlineState(
            self,
            Recalibration.restored(part_of("recalibration.", arrays)),
            OutcomeWeights.of(part_of("weights.", arrays), self.trusts),
            LiveSums(self.shape, int(str(facts["live_jobs"])), arrays["live"]),
        )


class OnlineState:
    """State that one model has learned from outcomes: a `Learned`."""

    def __init__(
        self,
        model: OnlineModel,
        recalibration: Recalibration,
        weights: OutcomeWeights,
        live: LiveSums,
    ) -> None:
        self.model = model
        self.recalibration = recalibration
        self._weights = weights
        self._live = live

    @property
    def memory_bytes(self) -> int:
        """See `Learned.memory_bytes`."""
        return self.recalibration.size_bytes + self._weights.size_bytes

    @property
    def figures(self) -> LiveFigures:
        """Figures of the model on the jobs that end now."""
        figures = self._live.figures(self.model.model_version)
        return figures if self.model.watches_drift else figures.without_drift()

    def served(self, weighed: Weighed, limit_s: Times, users: Ids, at_s: Times) -> Distribution:
        """Return the distributions to serve for n jobs, by what was known at their times.

        Args:
            weighed: the output of the network for them.
            limit_s: [n] their time limits, NaN for none.
            users: [n] ids of their users, `NO_KEY` for none.
            at_s: [n] when each is asked about, Unix s.
        """
        raw = self._raw(weighed, limit_s)
        return self.recalibration.recalibrated(raw, shape_groups(raw), users, at_s)

    def served_one(
        self, weighed: Weighed, limit_s: float, user: int, at_s: float
    ) -> LoneDistribution:
        """Return the same for one job; `weighed` is of it alone."""
        raw = LoneDistribution.of(
            weighed.support_s[0],
            weighed.weights[0],
            limit_s,
            limits_enforced=self.model.limits_enforced,
        )
        return self.recalibration.recalibrated_one(raw, user, at_s)

    def _raw(self, weighed: Weighed, limit_s: Times) -> Distribution:
        """Return the distributions of n jobs before recalibration."""
        return Distribution.of(
            weighed.support_s,
            weighed.weights,
            limit_s,
            limits_enforced=self.model.limits_enforced,
        )

    def learn(self, ended: EndedJobs) -> None:
        """See `Learned.learn`."""
        unseen = ~self.model.learned_from.hold(ended.jobs.ident)
        ended = ended if unseen.all() else ended.part(np.flatnonzero(unseen))
        failed: list[Exception] = []
        for judged in self._judged(ended, failed):
            self._learn(*judged)
        if failed:
            logger.warning(
                "finished jobs cannot be judged", jobs=len(failed), reason=type(failed[0]).__name__
            )

    def _learn(self, ended: EndedJobs, weighed: Weighed, raw: Distribution) -> None:
        jobs = ended.jobs
        runtime_s = jobs.columns[:, _RUNTIME].astype(np.float64)
        users = jobs.keys[:, USER]
        outcomes = Outcomes.of(
            raw,
            runtime_s,
            jobs.ident,
            users=users,
            untrusted_clients=self._untrusted(ended.clients),
            submit_s=jobs.submit_s,
            end_s=jobs.end_s,
        )
        self.recalibration.fold(outcomes)
        served = self.recalibration.recalibrated(raw, outcomes.groups, users, jobs.submit_s)
        weights = self._weights.weigh(users, ended.clients, jobs.end_s)
        members_s = self.model.network.proposed_s(weighed)
        if self.model.limits_enforced:
            # What ran past its limit by seconds counts as having reached it.
            runtime_s = np.fmin(runtime_s, ended.limit_s)
        self._live = self._live.after(served, members_s, runtime_s, weights)

    def _untrusted(self, clients: Ids) -> Ids:
        """Return client ids with 0 for those that are trusted or not known: [n]."""
        trusted = [client == NULL_ID or self.model.trusts(client) for client in clients.tolist()]
        return np.where(trusted, np.uint64(0), clients)

    def _judged(
        self, ended: EndedJobs, failed: list[Exception]
    ) -> Iterator[tuple[EndedJobs, Weighed, Distribution]]:
        """Yield jobs with their raw distributions; halve the jobs where the network fails.

        A single job on which it fails is left out, and its error appended to `failed`.
        """
        count = len(ended)
        if not count:
            return
        try:
            weighed = self.model.network.weigh(Asked.of(ended.jobs, ended.limit_s), ended.tokens)
            raw = self._raw(weighed, ended.limit_s)
        except Exception as error:
            if count == 1:
                failed.append(error)
                return
        else:
            yield ended, weighed, raw
            return
        for rows in np.array_split(np.arange(count), 2):
            yield from self._judged(ended.part(rows), failed)

    def facts(self) -> dict[str, Json]:
        """See `Learned.facts`."""
        return {"live_jobs": self._live.jobs}

    def arrays(self) -> dict[str, NDArray[Any]]:
        """See `Learned.arrays`."""
        return {
            **named_parts("recalibration.", self.recalibration.state()),
            **named_parts("weights.", self._weights.arrays()),
            "live": self._live.sums,
        }
