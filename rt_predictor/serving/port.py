"""What the server needs of a predictor, and what the API needs of whatever runs it."""

from collections.abc import Callable
from typing import Protocol

import polars as pl

from rt_predictor.history.history import History
from rt_predictor.serving.description import ModelDescription
from rt_predictor.serving.predictions import Predictions
from rt_predictor.settings import Settings


class PredictorPort(Protocol):
    """A loaded model. Safe to call from several threads at once."""

    @property
    def model_version(self) -> str:
        """Version of the bundle."""
        ...

    @property
    def confidence_level(self) -> float:
        """Level of the intervals; 0 to 1."""
        ...

    def predict(self, jobs: pl.DataFrame) -> Predictions:
        """Answers jobs in order; `jobs` has exactly the columns of `REQUEST_SCHEMA`."""
        ...

    def describe(self) -> ModelDescription:
        """What is known of the model."""
        ...


class Scorer(Protocol):
    """Whatever brings jobs to the predictor without holding up the event loop."""

    async def predict(self, jobs: pl.DataFrame) -> Predictions:
        """Answers jobs in order; `jobs` has exactly the columns of `REQUEST_SCHEMA`.

        Raises OverloadedError where too much is waiting, and whatever the predictor raises.
        """
        ...

    async def predict_meanwhile(self, jobs: pl.DataFrame) -> Predictions:
        """The same, but the event loop is free meanwhile even if the jobs are few.

        For a caller that has more jobs coming in: what arrives meanwhile is scored together next.
        """
        ...


PredictorFactory = Callable[[Settings, History], PredictorPort]
"""Loads the model that the settings ask for, which predicts from what history knows.

A model with experts says who judges them (`History.use_judge`). Raises StartupError where the model
cannot be loaded.
"""
