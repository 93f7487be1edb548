"""What members learn, and what they then say of jobs."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from rt_predictor.settings import Settings, TrainingSettings
from rt_predictor.training.members import (
    MAX_LOG_RATIO,
    MEMBERS,
    Examples,
    Target,
    answers_s,
    fit_members,
    raw_answers,
    refit_members,
)

JOBS = 7
RUNTIMES_S = arrays(np.float64, JOBS, elements=st.floats(1, 1e7))
REFERENCES_S = arrays(np.float32, JOBS, elements=st.floats(1, 1e7, width=32))


def examples(rows: int, seed: int) -> Examples:
    """Jobs whose runtime follows from a feature and their reference."""
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(rows, 5)).astype(np.float32)
    reference = rng.uniform(100, 5000, rows).astype(np.float32)
    runtime = reference * np.where(features[:, 0] > 0, 0.5, 1.5) + rng.uniform(1, 300, rows)
    return Examples(features, reference, runtime)


@pytest.fixture(scope="module")
def training(tiny_settings: Settings) -> TrainingSettings:
    return tiny_settings.with_overrides({"training.early_stopping_rounds": 3}).training


@given(runtime=RUNTIMES_S, reference=REFERENCES_S)
def test_what_is_learned_decodes_to_the_runtime(runtime: np.ndarray, reference: np.ndarray) -> None:
    learned = Examples(np.empty((JOBS, 0), np.float32), reference, runtime)
    raw = np.column_stack([learned.samples(member).target for member in MEMBERS])
    said = answers_s(raw, reference)
    np.testing.assert_allclose(said, np.tile(runtime, (len(MEMBERS), 1)).T, rtol=1e-6)


def test_each_target_is_what_it_is_called() -> None:
    learned = Examples(
        np.empty((1, 0), np.float32), np.array([100.0], np.float32), np.array([150.0])
    )
    found = {member.target: learned.samples(member).target.tolist() for member in MEMBERS[2:5]}
    assert found == {
        Target.CORRECTION: [50.0],
        Target.RATIO: [pytest.approx(np.log(1.5))],
        Target.RUNTIME: [150.0],
    }


def test_an_absurd_ratio_stays_finite() -> None:
    raw = np.full((2, len(MEMBERS)), [[1e6], [-1e6]])
    said = answers_s(raw, np.ones(2, np.float32))
    ratio = [member.target for member in MEMBERS].index(Target.RATIO)
    np.testing.assert_allclose(said[:, ratio], np.exp([MAX_LOG_RATIO, -MAX_LOG_RATIO]))


def test_early_stopping_is_kept_in_the_refit(training: TrainingSettings) -> None:
    many = training.model_copy(
        update={
            name: getattr(training, name).model_copy(update={"trees": 200, "learning_rate": 0.9})
            for name in ("xgboost", "lightgbm", "catboost")
        }
    )
    steps: set[tuple[str, float]] = set()

    def progress(step: str, share: float) -> None:
        steps.add((step, share))

    chosen = fit_members(examples(400, 1), examples(200, 2), many, progress)
    assert all(0 < booster.trees < 200 for booster in chosen)
    later = examples(600, 3)
    again = refit_members(chosen, later, many, progress)
    assert [booster.trees for booster in again] == [booster.trees for booster in chosen]
    assert [booster.library for booster in again] == [member.library for member in MEMBERS]
    assert {(member.name, 1.0) for member in MEMBERS} <= steps
    assert (raw_answers(again, later.features) != raw_answers(chosen, later.features)).any()


def test_members_learn_their_targets(training: TrainingSettings) -> None:
    fit, new = examples(2000, 1), examples(300, 2)
    quick = training.model_copy(
        update={
            name: getattr(training, name).model_copy(update={"trees": 80, "learning_rate": 0.3})
            for name in ("xgboost", "lightgbm", "catboost")
        }
    )
    boosters = fit_members(fit, new, quick, lambda _step, _share: None)
    said = answers_s(raw_answers(boosters, new.features), new.reference_s)
    by_reference = np.abs(new.reference_s - new.runtime_s).mean()
    for place, member in enumerate(MEMBERS):
        if member.target is not Target.RUNTIME:  # its features say nothing of the reference
            assert np.abs(said[:, place] - new.runtime_s).mean() < by_reference / 1.2, member.name
