"""A log made ready to learn from: cut up by time, and every job with what was known then."""

import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import polars as pl
from numpy.typing import NDArray

from rt_predictor.features.assemble import Assembler
from rt_predictor.features.categories import Category, fit_category
from rt_predictor.features.declared import (
    BACKOFF_LAST,
    BACKOFF_MEDIAN,
    CATEGORY_FIELDS,
    FEATURES,
)
from rt_predictor.history.replay import LogHistory
from rt_predictor.jobs.rules import null_invalid
from rt_predictor.jobs.schema import numbers
from rt_predictor.model.ports import GraphInputs, GraphOutputs
from rt_predictor.model.session import CPU, ModelSession
from rt_predictor.settings import TrainingSettings
from rt_predictor.training.combine import Recent
from rt_predictor.training.export.graph import FEATURES_OUTPUT, feature_model
from rt_predictor.training.split import Split, scorable, split_by_time

Float32 = NDArray[np.float32]

_CHUNK_ROWS = 65_536
_COLUMN = {feature.name: place for place, feature in enumerate(FEATURES)}


@dataclass(frozen=True)
class PreparedLog:
    """A log by submit time, cut up, and what was known when each job was submitted."""

    jobs: pl.DataFrame
    """[n] `JOB_SCHEMA`, as `split.scorable` gives them; row numbers are kept in `ROW`"""
    split: Split
    history: Float32
    """[n, len(HISTORY_INPUTS)]; NaN throughout where history is not to be used"""

    def known(self, part: pl.DataFrame) -> Float32:
        """The history of some of the jobs."""
        return np.asarray(self.history[part[ROW].to_numpy()])

    def without_history(self) -> "PreparedLog":
        """The same log for a model that sees neither users nor finished jobs."""
        return replace(self, history=np.full_like(self.history, np.nan))


ROW = "row"
"""Column that says where in its log a job stands."""


def prepare_log(jobs: pl.DataFrame, settings: TrainingSettings) -> PreparedLog:
    """Sorts, cuts and looks up.

    Raises TrainingError where the jobs do not suffice.
    """
    jobs = null_invalid(scorable(jobs)).with_row_index(ROW)
    split = split_by_time(jobs, settings)
    return PreparedLog(jobs, split, LogHistory(jobs).features(jobs))


@dataclass(frozen=True)
class Encoder:
    """Turns jobs into what the graph takes and what the trees see."""

    assembler: Assembler
    arithmetic: ModelSession
    """From inputs to features, as the graph does it."""

    @property
    def categories(self) -> Sequence[Category]:
        """What was learned of partitions, QoS and accounts."""
        return self.assembler.categories

    def encode(self, log: PreparedLog, part: pl.DataFrame) -> "Encoded":
        """Some of the jobs of a log."""
        inputs = self.assembler.assemble(part, log.known(part))
        features = np.concatenate(
            [self.arithmetic.run(inputs[rows]) for rows in _chunks(len(inputs))]
        )
        return Encoded(inputs, features, numbers(part, "time_req"))


def fit_encoder(learned: pl.DataFrame, settings: TrainingSettings) -> Encoder:
    """Learns the encoders from finished jobs."""
    salt = secrets.token_hex(16)
    categories = tuple(
        fit_category(
            field,
            learned,
            min_jobs=settings.min_category_jobs,
            max_names=settings.max_categories,
            salt=salt,
        )
        for field in CATEGORY_FIELDS
    )
    arithmetic = feature_model(categories).SerializeToString()
    return Encoder(Assembler(categories), ModelSession(arithmetic, FEATURES_OUTPUT, (CPU,)))


@dataclass(frozen=True)
class Encoded:
    """n jobs in numbers."""

    inputs: Float32
    """[n, len(INPUTS)]"""
    features: Float32
    """[n, len(FEATURES)]"""
    time_req_s: NDArray[np.float64]
    """[n] limits, NaN for none"""

    @property
    def recent(self) -> Recent:
        """What the most alike finished jobs took."""
        return Recent(
            self.features[:, _COLUMN[BACKOFF_MEDIAN]], self.features[:, _COLUMN[BACKOFF_LAST]]
        )


def answers(
    session: ModelSession, inputs: Float32, expert_losses: Float32, offsets: Float32
) -> GraphOutputs:
    """What a whole graph says of any number of jobs, given the parts of `GraphInputs`."""
    given = (inputs, expert_losses, offsets)
    return GraphOutputs.joined(
        GraphOutputs(session.run(GraphInputs.of(*(part[rows] for part in given)).matrix))
        for rows in _chunks(len(inputs))
    )


def _chunks(rows: int) -> Iterable[slice]:
    """Rows that are run together, so that memory for intermediate columns stays small."""
    return (slice(at, at + _CHUNK_ROWS) for at in range(0, max(rows, 1), _CHUNK_ROWS))
