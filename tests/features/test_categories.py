import numpy as np
import polars as pl
import pytest

from rt_predictor.features.categories import fit_category
from rt_predictor.features.declared import MISSING_CODE, STATISTICS, UNSEEN_CODE

COLUMN = {name: place for place, (name, _, _) in enumerate(STATISTICS)}


def jobs_of(partitions: list[str | None], runtime: list[float]) -> pl.DataFrame:
    n = len(partitions)
    return pl.DataFrame(
        {
            "partition": partitions,
            "account": partitions,
            "runtime": runtime,
            "time_req": [100.0] * n,
            "processors_req": [4.0] * n,
        },
        schema_overrides={"partition": pl.String, "account": pl.String},
    )


def test_known_unseen_and_missing_names_get_codes_of_their_own() -> None:
    jobs = jobs_of(["a"] * 5 + ["b"] * 5 + ["rare"], [1.0] * 11)
    category = fit_category("partition", jobs, min_jobs=3, max_names=10, salt="")
    codes = category.codes(pl.Series(["a", "b", "rare", "new", None], dtype=pl.String))
    assert codes.tolist() == [2, 3, UNSEEN_CODE, UNSEEN_CODE, MISSING_CODE]


def test_statistics_of_a_name_come_from_its_own_jobs() -> None:
    jobs = jobs_of(["a"] * 4 + ["b"] * 4, [10.0, 20.0, 30.0, 100.0] + [50.0] * 4)
    category = fit_category("partition", jobs, min_jobs=3, max_names=10, salt="")
    row = category.table[2]
    assert row[COLUMN["runtime_median"]] == 25
    assert row[COLUMN["used_median"]] == 0.25
    assert row[COLUMN["timeout_share"]] == 0.25
    assert row[COLUMN["jobs_share"]] == 0.5
    assert row[COLUMN["time_req_mode"]] == 100


def test_unseen_takes_the_statistics_of_rare_names_when_there_are_enough() -> None:
    rare = [f"r{i}" for i in range(5)]
    jobs = jobs_of(["a"] * 5 + rare, [10.0] * 5 + [70.0] * 5)
    category = fit_category("partition", jobs, min_jobs=4, max_names=10, salt="")
    assert category.table[UNSEEN_CODE][COLUMN["runtime_median"]] == 70
    assert category.table[MISSING_CODE][COLUMN["runtime_median"]] == 40


def test_only_the_commonest_names_are_kept() -> None:
    jobs = jobs_of(["a"] * 9 + ["b"] * 6 + ["c"] * 5, [1.0] * 20)
    assert fit_category("partition", jobs, min_jobs=2, max_names=2, salt="").names == ("a", "b")


def test_a_bundle_carries_no_account_names() -> None:
    jobs = jobs_of(["projectx"] * 5, [1.0] * 5)
    category = fit_category("account", jobs, min_jobs=2, max_names=5, salt="key")
    assert "projectx" not in category.names
    assert category.codes(pl.Series(["projectx", "other"])).tolist() == [2, UNSEEN_CODE]


def test_account_hashes_differ_between_bundles() -> None:
    jobs = jobs_of(["projectx"] * 5, [1.0] * 5)
    names = {
        fit_category("account", jobs, min_jobs=2, max_names=5, salt=salt).names
        for salt in ("one", "two")
    }
    assert len(names) == 2


@pytest.mark.parametrize("field", ["partition", "account"])
def test_a_field_that_no_job_has_is_missing_everywhere(field: str) -> None:
    jobs = jobs_of([None] * 6, [5.0] * 6)
    category = fit_category(field, jobs, min_jobs=2, max_names=5, salt="key")
    assert category.names == ()
    assert category.codes(pl.Series([None], dtype=pl.String)).tolist() == [MISSING_CODE]
    assert category.codes(pl.Series(["x"])).tolist() == [UNSEEN_CODE]
    assert np.isfinite(category.table[:, COLUMN["runtime_median"]]).all()
