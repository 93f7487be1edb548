"""Small logs of finished jobs, for tests of what needs no model."""

import polars as pl
from hypothesis import strategies as st

from rt_predictor.jobs.schema import JOB_SCHEMA

Job = dict[str, object]


def job(**fields: object) -> Job:
    plain: Job = dict.fromkeys(JOB_SCHEMA)
    plain.update(user="ann", processors_req=4.0, time_req=1000.0, partition="p", job_id="1")
    plain.update(fields)
    return plain


def frame(*jobs: Job) -> pl.DataFrame:
    return pl.DataFrame(list(jobs), schema=dict(JOB_SCHEMA))


# Few users, sizes and seconds, so that keys meet and times tie.
a_job = st.builds(
    lambda user, size, limit, submit, wait, run, name: job(
        user=user, processors_req=size, time_req=limit, submit_time=float(submit),
        end_time=float(submit + wait + run), runtime=float(run), job_name=name,
        account=user and user[:1],
    ),
    st.sampled_from(["ann", "bob", "abe", None]),
    st.sampled_from([1.0, 4.0, None]),
    st.sampled_from([100.0, 1000.0, None]),
    st.integers(0, 60),
    st.integers(0, 5),
    st.integers(1, 40),
    st.sampled_from(["x", None]),
)  # fmt: skip

some_jobs = st.lists(a_job, min_size=1, max_size=60)
