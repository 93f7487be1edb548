"""What the ensemble is made of: which jobs its trees see, and what its features are worth."""

import numpy as np
import polars as pl
import pytest

from rt_predictor.settings import TrainingSettings
from rt_predictor.training import ensemble
from rt_predictor.training.combine import EXPERTS
from rt_predictor.training.members import MEMBERS, Examples
from tests.training.fitted import Fitted, fit_prepared


def test_where_there_are_many_jobs_trees_see_those_that_ended_last(
    fitted: Fitted, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Examples] = []
    real = ensemble.refit_members

    def watched(chosen, examples: Examples, training: TrainingSettings, progress):
        seen.append(examples)
        return real(chosen, examples, training, progress)

    monkeypatch.setattr(ensemble, "refit_members", watched)
    for most in (1000, 10_000):
        fit_prepared(fitted.log, fitted.settings.with_overrides({"training.max_jobs": most}))
    learned: pl.DataFrame = fitted.log.split.training().sort("end_time", maintain_order=True)
    few, all_ = (examples.runtime_s for examples in seen)
    np.testing.assert_array_equal(few, learned["runtime"].tail(1000).to_numpy())
    assert sorted(all_) == sorted(learned["runtime"])


def test_importance_is_the_gain_of_each_member_by_its_weight(fitted: Fitted) -> None:
    boosters = fitted.ensemble.boosters
    for chosen in range(len(MEMBERS)):
        weights = np.zeros(len(EXPERTS))
        weights[[chosen, -1]] = 0.25, 0.75  # a rule has no trees, so its weight does not count
        np.testing.assert_allclose(
            fitted.ensemble.importance(weights), boosters[chosen].importance, rtol=1e-12
        )
    even = fitted.ensemble.importance(np.full(len(EXPERTS), 1 / len(EXPERTS)))
    assert even.sum() == pytest.approx(1)
