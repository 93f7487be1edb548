"""What history says of a few jobs in rows is what it says of them in a table."""

import numpy as np
import polars as pl
import pytest

from rt_predictor.history.columns import job_columns
from rt_predictor.history.job_store import JobStore
from rt_predictor.jobs.asked import NOTHING_ASKED, frame_of
from rt_predictor.jobs.schema import REQUEST_SCHEMA
from rt_predictor.predict.asked_jobs import AskedJobs
from rt_predictor.traces.generate import generate_jobs

JOBS = generate_jobs(600, seed=7)
KNOWN = JobStore(1000, 10_000)
KNOWN.add(job_columns(JOBS.sort("end_time")))


def rows_of(jobs: pl.DataFrame, elapsed_s: float | None) -> list[dict[str, object]]:
    nothing = dict.fromkeys(REQUEST_SCHEMA) | NOTHING_ASKED
    rows = [nothing | row for row in jobs.select(pl.col(*REQUEST_SCHEMA)).iter_rows(named=True)]
    if elapsed_s is not None:
        for row in rows[::2]:
            row |= {"elapsed": elapsed_s, "as_of": row["submit_time"] + 2 * elapsed_s}
    return rows


@pytest.mark.parametrize("elapsed_s", [None, 900.0])
@pytest.mark.parametrize("together", [1, 2, 5, 12, 13, 40])
def test_a_few_rows_have_the_tokens_of_a_table(together: int, elapsed_s: float | None) -> None:
    for first in range(300, 300 + 2 * together, together):
        rows = rows_of(JOBS[first : first + together], elapsed_s)
        few = AskedJobs.of(rows).tokens(KNOWN)
        table = AskedJobs.of(frame_of(rows)).tokens(KNOWN)
        for name in ("rows", "columns", "age_s", "gap_s", "elapsed_s", "in_flight"):
            assert np.array_equal(getattr(few, name), getattr(table, name), equal_nan=True), name
        for name in ("site_rows", "site_columns"):
            of_few, of_table = (getattr(found, name)[found.site_of] for found in (few, table))
            assert np.array_equal(of_few, of_table, equal_nan=True), name
