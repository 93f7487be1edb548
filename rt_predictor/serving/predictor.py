"""The data plane: a frame of jobs in, predictions out. It knows no transport.

Thread-safe. A large batch is cut into pieces for threads, which all score on the same one-threaded
session, so that a job's answer does not depend on its neighbours. How long it takes does: jobs that
are alike take the same ways through the trees, and a processor is quick where it guesses the way.
So a piece is scored in an order in which they follow one another, in chunks that fit the cache.
"""

import os
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numpy as np
import polars as pl
from numpy.typing import NDArray

from rt_predictor.history.experts import DECAYS, SCOPES, Decays, losses_of
from rt_predictor.history.history import History, Known
from rt_predictor.history.judge import Told, Verdict
from rt_predictor.jobs.schema import Jobs, as_frame
from rt_predictor.model.bounds import LEVELS, TAILS
from rt_predictor.model.bundle import Bundle, read_bundle
from rt_predictor.model.learned import assembler_from, check_graph, reference_from, start_offsets
from rt_predictor.model.ports import GRAPH_OUTPUT, GraphInputs, GraphOutputs
from rt_predictor.model.said import Said, said_of
from rt_predictor.model.session import ModelSession
from rt_predictor.serving.description import (
    FeatureDescription,
    MemberDescription,
    ModelDescription,
)
from rt_predictor.serving.flags import flags_of
from rt_predictor.serving.likeness import by_likeness
from rt_predictor.serving.predictions import Predictions, joined
from rt_predictor.serving.recent import MOST_KEPT_ROWS, RecentAnswers
from rt_predictor.settings import PredictionSettings, Settings

_LEAST_CHUNK_ROWS = 64
"""Rows that are worth the way to a thread."""
_LEAST_SORTED_ROWS = 128
"""Rows of which those that are alike are worth bringing together."""
_Map = Callable[..., Iterable[NDArray[np.float32]]]
"""`map`, on whatever threads"""
_MOST_ROWS = 64
"""Jobs that are looked at row by row; a frame is the quicker way to more."""
_PIECE_JOBS = 1 << 13
"""Jobs of a large batch that one thread looks up, assembles and scores at a time, at most."""


class Predictor:
    """Answers from one bundle."""

    def __init__(
        self,
        bundle: Bundle,
        session: ModelSession,
        history: History,
        *,
        prediction: PredictionSettings,
        chunk_rows: int,
        threads: int,
        caching: bool = False,
    ):
        """A predictor over a session of the bundle's graph.

        Args:
            bundle: what was learned.
            session: the compiled graph, with the bundle's outputs.
            history: what is known of finished jobs.
            prediction: `[prediction]`.
            chunk_rows: rows that one thread scores at a time, at most.
            threads: threads that share a large batch; 0 takes one a core.
            caching: whether recent answers are kept.

        Raises BundleError where the bundle was made for other inputs than this program assembles.
        """
        check_graph(bundle.ensemble)
        self.bundle = bundle
        self.session = session
        self._history = history
        self.model_version = bundle.info.model_version
        self._prediction = prediction
        self.confidence_level = prediction.confidence_level
        self._level = LEVELS.index(prediction.confidence_level)
        self.start_offsets = start_offsets(bundle.calibration)
        self.reference = reference_from(bundle.reference)
        self.limits_enforced = prediction.limits_enforced
        self._assembler = assembler_from(bundle.features)
        self._flags = flags_of(bundle.features.ranges, self._assembler.categories)
        self.member_names = tuple(bundle.ensemble.models)
        self._chunk_rows = chunk_rows
        self._threads = threads or os.cpu_count() or 1
        self._pool = ThreadPoolExecutor(self._threads, "rt-predictor-score")
        self._rooms = threading.local()
        self._recent = RecentAnswers(lambda: history.version) if caching else None
        history.use_judge(self)

    @classmethod
    def load(cls, settings: Settings, history: History | None = None) -> "Predictor":
        """Reads the bundle that the settings name and compiles its graph.

        Without `history` it predicts as if no job had ended yet.

        Raises BundleError saying what is wrong with it and how to mend it.
        """
        bundle = read_bundle(settings.model.path, verify_hashes=settings.model.verify_hashes)
        session = ModelSession(bundle.graph, GRAPH_OUTPUT, settings.model.providers)
        optimization = settings.features.optimization
        return cls(
            bundle,
            session,
            history or History.off(),
            prediction=settings.prediction,
            chunk_rows=optimization.chunk_size,
            threads=optimization.n_jobs,
            caching=optimization.enable_caching,
        )

    def predict(self, jobs: Jobs) -> Predictions:
        """Predicts n jobs, each with a submit_time; they are taken as valid (`jobs.rules`)."""
        if not isinstance(jobs, pl.DataFrame):
            if self._recent is not None and 0 < len(jobs) <= MOST_KEPT_ROWS:
                return self._recent.predict(self._predicted, jobs)
            if len(jobs) > _MOST_ROWS:
                jobs = as_frame(jobs)
        pieces = self._pieces(len(jobs), _PIECE_JOBS)
        if pieces == 1:
            return self._predicted(jobs)
        edges = np.linspace(0, len(jobs), pieces + 1).astype(np.int64).tolist()
        parts = [jobs[start:stop] for start, stop in pairwise(edges)]
        return joined(list(self._pool.map(self._predicted, parts)))

    def _predicted(self, jobs: Jobs) -> Predictions:
        """All of it on this thread."""
        given = self._room(len(jobs))
        known = self._put(jobs, given)
        answers = self._in_chunks(given, -(-len(jobs) // self._chunk_rows), map)
        said = answers.astype(np.float64)
        told = self._told(given, answers, said)
        return Predictions(
            runtime_s=told.predicted_s,
            lower_s=told.lower_s[:, self._level],
            upper_s=told.upper_s[:, self._level],
            timeout_probability=said.timeout,
            ends_s=(told.lower_s, told.upper_s),
            limit_granularity_s=self._prediction.limit_granularity_s,
            members_s=said.experts,
            flags=self._flags.raised(given.inputs, known.knows_user),
            member_names=self.member_names,
            level=self.confidence_level,
            model_version=self.model_version,
        )

    def _room(self, jobs: int) -> GraphInputs:
        """Room for a piece of a batch; this thread uses it again for the next one."""
        if jobs <= _MOST_ROWS or jobs > _PIECE_JOBS:
            return GraphInputs.room(jobs, self.experts)
        room: GraphInputs | None = getattr(self._rooms, "room", None)
        if room is None:
            room = self._rooms.room = GraphInputs.room(_PIECE_JOBS, self.experts)
        return room.rows(slice(jobs))

    def _put(self, jobs: Jobs, given: GraphInputs) -> Known:
        """Puts jobs, and what is known of jobs like them, into the room for them."""
        known = self._history.known(jobs, given)
        self._assembler.put(jobs, given.inputs)
        return known

    @property
    def experts(self) -> int:
        """How many experts the answer is made of."""
        return len(self.member_names)

    @property
    def decays(self) -> Decays:
        """How fast their losses are forgotten."""
        return DECAYS

    def __call__(self, events: pl.DataFrame, history_features: NDArray[np.float32]) -> Verdict:
        """How far off the model was: see `history.judge.Judge`.

        NaN for jobs that had ended before training did: the model has seen them.
        """
        verdict = Verdict.none(len(events), self.experts)
        unseen = events["end_time"].to_numpy() > self.bundle.info.training_span_end
        if unseen.any():
            later = events.filter(pl.Series(unseen))
            verdict.put(unseen, self._judged(later, history_features[unseen]))
        return verdict

    def _judged(self, events: pl.DataFrame, history_features: NDArray[np.float32]) -> Verdict:
        inputs = self._assembler.assemble(events, history_features)
        losses = np.zeros((len(events), SCOPES, self.experts + 1), dtype=np.float32)
        offsets = np.zeros((len(events), TAILS), dtype=np.float32)
        said = self.score(GraphInputs.of(inputs, losses, offsets))
        runtime_s = events["runtime"].to_numpy()
        return Verdict(inputs, losses_of(said.experts, runtime_s.astype(np.float32)))

    def said(self, given: GraphInputs) -> Said:
        """What it says of jobs before offsets: see `history.judge.Judge`."""
        return self._said(given, self.score(given))

    def _said(self, given: GraphInputs, outputs: GraphOutputs) -> Said:
        return said_of(
            outputs, given.inputs, self.bundle.calibration, enforced=self.limits_enforced
        )

    def _told(self, given: GraphInputs, answers: GraphOutputs, said: GraphOutputs) -> Told:
        """What jobs are told: the graph's own ends, unless limits are enforced.

        `said` holds the same as `answers`, in doubles.
        """
        if self.limits_enforced:
            return Told.of(self._said(given, answers), given.offsets)
        return Told(said.prediction, said.lower, said.upper)

    def describe(self) -> ModelDescription:
        """Where the model comes from, how good it was, and what runs it."""
        info, ensemble = self.bundle.info, self.bundle.ensemble
        features = sorted(self.bundle.features.features, key=lambda f: f.importance, reverse=True)
        return ModelDescription(
            trained_at=info.trained_at,
            training_span_start=info.training_span_start,
            training_span_end=info.training_span_end,
            training_samples=info.training_samples,
            training_traces=info.training_traces,
            metrics=self.bundle.metrics.headline(),
            features=tuple(
                FeatureDescription(f.name, f.unit, f.why, f.importance) for f in features
            ),
            members=tuple(
                MemberDescription(name, entry.weight, entry.trees)
                for name, entry in ensemble.models.items()
            ),
            providers=self.session.nodes_by_provider(),
        )

    def graph_inputs(self, jobs: Jobs) -> GraphInputs:
        """What `score` takes for n jobs."""
        given = GraphInputs.room(len(jobs), self.experts)
        self._put(jobs, given)
        return given

    def score(self, given: GraphInputs) -> GraphOutputs:
        """What the graph says, in row chunks on all threads."""
        pieces = self._pieces(len(given), self._chunk_rows)
        return self._in_chunks(given, pieces, self._pool.map)

    def _in_chunks(self, given: GraphInputs, chunks: int, in_turn: _Map) -> GraphOutputs:
        """What the graph says, in so many chunks; `in_turn` says on which threads."""
        if chunks <= 1 and len(given) < _LEAST_SORTED_ROWS:
            return GraphOutputs(self.session.run(given.matrix))
        order = by_likeness(given.inputs)

        def run(rows: NDArray[np.intp]) -> NDArray[np.float32]:
            return self.session.run(given.matrix[rows])

        ordered = np.concatenate(list(in_turn(run, np.array_split(order, chunks))), axis=1)
        answers = np.empty_like(ordered)
        answers[:, order] = ordered
        return GraphOutputs(answers)

    def _pieces(self, rows: int, most: int) -> int:
        """Into how many equal pieces, of `most` rows, all threads share rows alike."""
        rounds = -(-rows // (most * self._threads))
        return max(1, min(rows // _LEAST_CHUNK_ROWS, rounds * self._threads))
