"""Flags of one job are those that it gets among many."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rt_predictor.history.columns import job_columns
from rt_predictor.history.job_store import JobStore
from rt_predictor.history.seen_names import SeenNames
from rt_predictor.jobs.schema import REQUEST_SCHEMA
from rt_predictor.model.answer_flags import Flag
from rt_predictor.predict.flags import BOUNDS, flags_of, flags_of_one
from tests.history.token_logs import frame, job

KNOWN = job_columns(frame([job(submit_time=0.0, end_time=9.0, runtime=9.0, qos="normal")]))


def history() -> tuple[JobStore, SeenNames]:
    store, names = JobStore(1000, 1000), SeenNames()
    store.add(KNOWN)
    names.add(KNOWN)
    return store, names


def raised(jobs: pl.DataFrame, *, rows: bool = False) -> list[Flag]:
    store, names = history()
    columns = job_columns(jobs)
    tokens = store.tokens_of(columns, columns.submit_s)
    asked = jobs.rows(named=True) if rows else jobs
    found = flags_of(asked, columns.columns, tokens, names, columns.submit_s)
    return [Flag(bits) for bits in found.tolist()]


def raised_alone(jobs: pl.DataFrame) -> Flag:
    """Flags of the first job, asked for alone."""
    store, names = history()
    columns = job_columns(jobs[:1])
    tokens = store.tokens_of(columns, columns.submit_s)
    row, at_s = jobs.row(0, named=True), columns.submit_s.item()
    return Flag(flags_of_one(row, columns.columns[0], tokens, names, at_s))


def asked(**fields: object) -> pl.DataFrame:
    known = {"submit_time": 10.0, "qos": "normal", "nodes_req": 1.0, **fields}
    return frame([job(**known)]).select(list(REQUEST_SCHEMA))


@pytest.mark.parametrize(
    ("fields", "flags"),
    [
        ({}, Flag(0)),
        ({"user": "bob"}, Flag.COLD_START_USER),
        ({"user": None}, Flag.COLD_START_USER),
        ({"submit_time": 8.0}, Flag.COLD_START_USER),
        ({"partition": "new"}, Flag.UNSEEN_PARTITION),
        ({"partition": None}, Flag(0)),
        ({"partition": "new", "submit_time": 0.0}, Flag.COLD_START_USER),
        ({"qos": "new"}, Flag.UNSEEN_QOS),
        ({"time_req": None}, Flag.NO_TIME_LIMIT),
        ({"processors_req": 1e7}, Flag.OUT_OF_TRAINING_RANGE),
        ({"time_req": 1.0}, Flag.OUT_OF_TRAINING_RANGE),
        ({"mem_req": 1e12, "qos": "new"}, Flag.OUT_OF_TRAINING_RANGE | Flag.UNSEEN_QOS),
    ],
)
def test_each_says_what_it_is_for(fields: dict[str, object], flags: Flag) -> None:
    jobs = asked(**fields)
    assert raised(jobs) == raised(jobs, rows=True) == [raised_alone(jobs)] == [flags]


values = st.sampled_from([None, 1.0, 5.0, 3600.0, 1e6, 1e8, 1e12])
names = st.sampled_from([None, "p", "normal", "new"])


@given(
    st.lists(
        st.fixed_dictionaries(
            {**dict.fromkeys(BOUNDS, values), **dict.fromkeys(("partition", "qos", "user"), names)}
        ),
        min_size=1,
        max_size=12,
    )
)
def test_one_job_has_the_flags_that_it_has_among_many(drawn: list[dict[str, object]]) -> None:
    jobs = pl.concat([asked(**fields) for fields in drawn])
    together = raised(jobs)
    assert together == raised(jobs, rows=True)
    assert together == [raised_alone(jobs[row]) for row in range(len(jobs))]


def test_nothing_is_new_where_nothing_is_known() -> None:
    columns = job_columns(asked(partition="new", qos="new"))
    tokens = JobStore(10, 10).tokens_of(columns, columns.submit_s)
    found = flags_of(asked(), columns.columns, tokens, SeenNames(), columns.submit_s)
    assert Flag(int(found[0])) == Flag.COLD_START_USER
    assert np.isfinite(columns.submit_s).all()
