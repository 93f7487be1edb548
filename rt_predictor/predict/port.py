"""What the server needs of a predictor."""

from collections.abc import Callable
from typing import Protocol

from rt_predictor.history.history import History
from rt_predictor.jobs.schema import Jobs
from rt_predictor.online.live import LiveFigures
from rt_predictor.predict.description import ModelDescription
from rt_predictor.predict.predictions import Predictions
from rt_predictor.predict.views import Views
from rt_predictor.settings import Settings


class PredictorPort(Protocol):
    """A loaded model. Safe to call from several threads at once."""

    @property
    def model_version(self) -> str:
        """Version of the bundle."""
        ...

    @property
    def views(self) -> Views:
        """What is read of distributions, where a job asks for nothing else."""
        ...

    @property
    def member_names(self) -> tuple[str, ...]:
        """Names of the models and rules, as in `Predictions`."""
        ...

    def predict(self, jobs: Jobs) -> Predictions:
        """Answers jobs in order.

        A frame has the columns of `REQUEST_SCHEMA` and maybe some of `ASKED_SCHEMA`; rows have both
        or only the first.
        """
        ...

    def describe(self) -> ModelDescription:
        """What is known of the model."""
        ...

    def live(self) -> LiveFigures:
        """How good it is on the jobs that end now; quick."""
        ...


PredictorFactory = Callable[[Settings, History], PredictorPort]
"""Loads the model that the settings ask for, which predicts from what history knows.

A model that learns from outcomes says so (`History.use_learner`). Raises StartupError where the
model cannot be loaded.
"""
