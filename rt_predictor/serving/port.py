"""What the server needs of a predictor."""

from collections.abc import Callable
from typing import Protocol

from rt_predictor.history.history import History
from rt_predictor.jobs.schema import Jobs
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

    @property
    def member_names(self) -> tuple[str, ...]:
        """Names of the models, as in `Predictions`."""
        ...

    def predict(self, jobs: Jobs) -> Predictions:
        """Answers jobs in order; a frame has exactly the columns of `REQUEST_SCHEMA`."""
        ...

    def describe(self) -> ModelDescription:
        """What is known of the model."""
        ...


PredictorFactory = Callable[[Settings, History], PredictorPort]
"""Loads the model that the settings ask for, which predicts from what history knows.

A model with experts says who judges them (`History.use_judge`). Raises StartupError where the model
cannot be loaded.
"""
