"""Made-up jobs and what history says of them, with all that is awkward."""

from collections.abc import Sequence

import numpy as np
from hypothesis import strategies as st

from rt_predictor.features.asked import Asked
from rt_predictor.history.asked_tokens import AskedTokens
from rt_predictor.history.columns import COLUMN, JobColumns, job_columns
from rt_predictor.history.log_tokens import LogTokens, log_tokens
from tests.history.token_logs import Job, frame, job, token_logs


def asked(log: JobColumns) -> Asked:
    """The jobs of a log as asked ones; limits are whole seconds."""
    limit_s = np.round(np.exp(log.columns[:, COLUMN["log_limit"]].astype(np.float64)))
    return Asked.of(log, limit_s)


def asked_log(jobs: Sequence[Job]) -> tuple[Asked, LogTokens]:
    log = job_columns(frame(jobs))
    limits = [np.nan if row["time_req"] is None else row["time_req"] for row in jobs]
    return Asked.of(log, np.array(limits, dtype=np.float64)), log_tokens(log)


def all_tokens(log: JobColumns) -> AskedTokens:
    return log_tokens(log).gather(slice(None))


def repeated(runtimes_s: Sequence[float], **fields: object) -> list[Job]:
    """Jobs of one user, one after the other, and a last one that is asked for."""
    jobs, now_s = [], 1e9
    for number, runtime_s in enumerate((*runtimes_s, 1.0)):
        times = {"submit_time": now_s, "start_time": now_s, "end_time": now_s + runtime_s}
        told = {"job_id": str(number), "runtime": runtime_s, "state": "COMPLETED"}
        jobs.append(job(**{**times, **told, **fields}))
        now_s += runtime_s + 60
    return jobs


def random_log(jobs: int, seed: int = 0) -> JobColumns:
    """A log whose sizes and times are no round numbers; one in ten values is missing."""
    rng = np.random.default_rng(seed)
    submit_s = 1e9 + np.cumsum(rng.exponential(300, jobs))
    wait_s, run_s = rng.exponential(200, jobs), rng.lognormal(6, 2, jobs)

    def some(values: np.ndarray) -> list[object]:
        return [None if rng.random() < 0.1 else value for value in values.tolist()]

    columns = {
        "user": some(rng.choice(["ann", "bob", "eve", "joe"], jobs)),
        "partition": some(rng.choice(["long", "short"], jobs)),
        "account": some(rng.choice(["a", "b"], jobs)),
        "qos": some(rng.choice(["high", "low"], jobs)),
        "job_name": some(rng.choice(["x", "y", "z"], jobs)),
        "time_req": some(rng.choice([600.0, 1234.5, 7200.0, 172800.0, 2592000.0], jobs)),
        "processors_req": some(rng.choice([1.0, 3.0, 64.0], jobs)),
        "nodes_req": some(rng.choice([1.0, 2.0], jobs)),
        "mem_req": some(rng.lognormal(8, 1, jobs)),
        "gpus_req": some(rng.choice([0.0, 4.0], jobs)),
        "state": some(rng.choice(["COMPLETED", "FAILED", "TIMEOUT", "CANCELLED"], jobs)),
    }
    rows = [
        job(
            job_id=str(row),
            submit_time=submit_s[row],
            start_time=submit_s[row] + wait_s[row],
            end_time=submit_s[row] + wait_s[row] + run_s[row],
            runtime=run_s[row],
            **{name: values[row] for name, values in columns.items()},
        )
        for row in range(jobs)
    ]
    return job_columns(frame(rows))


@st.composite
def asked_logs(draw: st.DrawFn) -> tuple[Asked, LogTokens]:
    """Small logs of which every job is asked for."""
    log = draw(token_logs().filter(len))
    return asked(log), log_tokens(log)
