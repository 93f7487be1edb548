"""The answers of edition 1.0 beside ours."""

from pathlib import Path

import polars as pl
import pytest

from rt_predictor.errors import TrainingError
from rt_predictor.training.beside import compare, read_answers
from rt_predictor.training.replayed import Replayed


@pytest.fixture
def answers(replayed: Replayed) -> pl.DataFrame:
    """Those of an edition whose errors are twice ours."""
    point = pl.Series(replayed.predicted_s)
    runtime = replayed.jobs["runtime"]
    worse = runtime + 2 * (point - runtime)
    ends = {
        f"{end}_{level}_s": (worse * factor).clip(1.0)
        for level in (50, 90, 95)
        for end, factor in (("lower", 0.5), ("upper", 2.0))
    }
    return replayed.jobs.select("job_id", "submit_time").with_columns(
        predicted_s=worse,
        timeout_probability=pl.Series(replayed.timeout_probability).fill_nan(None) * 0 + 0.5,
        recommended_90_s=pl.Series(replayed.recommended_at(0.9)),
        **ends,
    )


def test_ratios_are_of_the_same_jobs(replayed: Replayed, answers: pl.DataFrame) -> None:
    found = compare(replayed, answers.sample(fraction=1.0, shuffle=True, seed=1))
    assert found.jobs == len(replayed.jobs)
    assert found.mae_ratio == pytest.approx(0.5)
    assert found.crps_ratio == pytest.approx(found.crps_s / found.their_crps_s)
    assert found.their_brier == pytest.approx(0.25)
    assert found.brier is not None
    assert found.brier < 0.25


def test_limits_are_compared_where_both_cut_as_many(
    replayed: Replayed, answers: pl.DataFrame
) -> None:
    found = compare(replayed, answers)
    assert found.equal_cuts is not None
    assert found.equal_cuts.level == 0.9
    assert found.freed_ratio == pytest.approx(1)


def test_jobs_that_only_one_answered_are_left_out(
    replayed: Replayed, answers: pl.DataFrame
) -> None:
    assert compare(replayed, answers.head(200)).jobs == 200
    with pytest.raises(TrainingError, match=r"only 10 of 300 jobs .* of another log"):
        compare(replayed, answers.head(10))


def test_a_file_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no")
    with pytest.raises(TrainingError, match="cannot be read as Parquet"):
        read_answers(tmp_path / "text")
    pl.DataFrame({"job_id": ["1"]}).write_parquet(tmp_path / "other")
    with pytest.raises(TrainingError, match=r"lacks submit_time, predicted_s.*edition1.py"):
        read_answers(tmp_path / "other")


def test_what_was_written_is_read(tmp_path: Path, answers: pl.DataFrame) -> None:
    answers.write_parquet(tmp_path / "a.parquet")
    assert read_answers(tmp_path / "a.parquet").equals(answers)
