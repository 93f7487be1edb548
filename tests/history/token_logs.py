"""Small logs with all that is awkward, and the plainest way to say what their tokens are."""

from collections.abc import Sequence

import numpy as np
import polars as pl
from hypothesis import strategies as st

from rt_predictor.history.columns import COLUMN, JobColumns, Told, job_columns
from rt_predictor.history.token_keys import (
    QUEUED,
    RUNNING_SLOTS,
    SITE_SLOTS,
    SITE_STEP,
    TOKEN_KEYS,
    WALKED,
)
from rt_predictor.jobs.schema import JOB_SCHEMA

Job = dict[str, object]
DAY_S = 86400.0


def job(**fields: object) -> Job:
    plain: Job = dict.fromkeys(JOB_SCHEMA)
    plain.update(
        user="ann", processors_req=4.0, time_req=1000.0, partition="p", job_id="1", account="a"
    )
    plain.update(fields)
    return plain


def frame(jobs: Sequence[Job]) -> pl.DataFrame:
    return pl.DataFrame(list(jobs), schema=dict(JOB_SCHEMA))


def _drawn_job(number: int, submit: int, wait: int | None, run: int, **fields: object) -> Job:
    """A job that waits and runs so long; one without a wait never starts."""
    start = None if wait is None else float(submit + wait)
    end = float(submit + (wait or 0) + run)
    runtime = float(run) if wait is not None else 0.0
    times = {"submit_time": float(submit), "start_time": start, "end_time": end}
    return job(job_id=str(number), runtime=runtime, **times, **fields)


# Few users, sizes and seconds, so that keys meet and times tie; some run for months.
_drawn = st.tuples(
    st.fixed_dictionaries(
        {
            "submit": st.integers(0, 60),
            "wait": st.sampled_from([0, 0, 1, 5, 31 * 86400, None]),
            "run": st.sampled_from([0, 1, 1, 3, 10, 40, 3 * 86400, 40 * 86400]),
            "user": st.sampled_from(["ann", "ann", "bob", None]),
            "processors_req": st.sampled_from([1.0, 4.0, None]),
            "time_req": st.sampled_from([100.0, 200.0, 900.0, 1000.0, None]),
            "job_name": st.sampled_from(["x", "y", None]),
            "account": st.sampled_from(["a", None]),
            "partition": st.sampled_from(["p", "q", None]),
            "state": st.sampled_from(["COMPLETED", "CANCELLED by 7", "NODE_FAIL", None]),
        }
    ),
    st.integers(0, 7),
)


@st.composite
def token_logs(draw: st.DrawFn, max_jobs: int = 40) -> JobColumns:
    """Logs by submit, each job told of by any kinds of events."""
    drawn = draw(st.lists(_drawn, max_size=max_jobs))
    drawn.sort(key=lambda pair: pair[0]["submit"])
    jobs = [_drawn_job(number, **fields) for number, (fields, _) in enumerate(drawn)]
    whole = job_columns(frame(jobs))
    told = np.array([kinds for _, kinds in drawn], np.uint8) & whole.told
    return JobColumns(**{**whole.__dict__, "told": told})


def plain_tokens(log: JobColumns, asked: JobColumns, row: int, at_s: float) -> list[list[int]]:
    """Rows of each key, then the running ones, then the site's: of one asked job."""
    ended = [r for r in range(len(log)) if log.is_token()[r] and log.end_s[r] <= at_s]
    ended.sort(key=lambda r: (log.end_s[r], log.submit_s[r], log.ident[r]), reverse=True)
    user, says = asked.keys[row, 0], log.says_request()
    found = []
    for place, key in enumerate(TOKEN_KEYS):
        mine = asked.keys[row, place]
        rows = [r for r in ended if mine != 0 and log.keys[r, place] == mine and says[r]]
        if key.by_others or key.nearest:
            rows = rows[:WALKED]
        if key.by_others:
            rows = [r for r in rows if user == 0 or log.keys[r, 0] != user]
        if key.nearest:
            own = asked.columns[row, COLUMN["log_limit"]]
            rows.sort(key=lambda r: plain_apart(log.columns[r, COLUMN["log_limit"]], own))
        found.append(rows[: key.slots])
    found.append(_plain_running(log, asked, row, at_s)[:RUNNING_SLOTS])
    newest = (len(ended) - 1) // SITE_STEP * SITE_STEP
    places = range(newest, -1, -SITE_STEP)
    found.append([ended[::-1][place] for place in places][:SITE_SLOTS])
    return found


def plain_apart(theirs: np.float32, own: np.float32) -> float:
    """How far two limits are apart; one without a limit is far from all that have one."""
    if np.isnan(theirs) or np.isnan(own):
        return 0.0 if np.isnan(theirs) and np.isnan(own) else 1e9
    return float(np.abs(theirs - own))


def plain_queue(log: JobColumns, asked: JobColumns, row: int, at_s: float) -> list[int]:
    """The user's jobs that are told of before a time, the latest first."""
    known = []
    for r in range(len(log)):
        told = log.told[r]
        since = log.submit_s[r] if told & Told.SUBMITTED else log.start_s[r]
        if told & (Told.SUBMITTED | Told.STARTED) and since < at_s:
            known.append((since, log.ident[r], r))
    user = asked.keys[row, 0]
    known = [k for k in known if user != 0 and log.keys[k[2], 0] == user]
    return [r for _, _, r in sorted(known, reverse=True)][:QUEUED]


def plain_state(log: JobColumns, r: int, at_s: float) -> str:
    """Whether a job of the queue runs, waits or is over."""
    if log.told[r] & Told.ENDED and log.end_s[r] <= at_s:
        return "over"
    if log.told[r] & Told.STARTED and log.start_s[r] <= at_s:
        return "runs" if at_s < log.start_s[r] + log.patience_s[r] else "over"
    return "waits" if at_s < log.submit_s[r] + 30 * DAY_S else "over"


def plain_itself(
    queue: list[int], log: JobColumns, asked: JobColumns, row: int, at_s: float
) -> int | None:
    """The job of the queue that is the asked one itself: alike, with the nearest start."""
    request = COLUMN["request_id"]
    own = [
        r
        for r in queue
        if not (log.told[r] & Told.ENDED and log.end_s[r] <= at_s)
        and log.submit_s[r] == asked.submit_s[row]
        and log.columns[r, request] == asked.columns[row, request]
    ]

    def start(jobs: JobColumns, r: int, told: bool) -> float | None:
        return jobs.start_s[r] if told and jobs.start_s[r] <= at_s else None

    def apart(r: int) -> float:
        starts = start(log, r, bool(log.told[r] & Told.STARTED)), start(asked, row, True)
        if None in starts:
            return 0.0 if starts == (None, None) else float("inf")
        return abs(starts[0] - starts[1])  # type: ignore[operator]

    return min(own, key=apart, default=None)


def plain_open(log: JobColumns, asked: JobColumns, row: int, at_s: float) -> list[int]:
    """The queue without the asked job itself."""
    queue = plain_queue(log, asked, row, at_s)
    itself = plain_itself(queue, log, asked, row, at_s)
    return [r for r in queue if r != itself]


def _plain_running(log: JobColumns, asked: JobColumns, row: int, at_s: float) -> list[int]:
    queue = plain_open(log, asked, row, at_s)
    runs = [r for r in queue if plain_state(log, r, at_s) == "runs"]
    return sorted(runs, key=lambda r: -log.start_s[r])


def plain_in_flight(log: JobColumns, asked: JobColumns, row: int, at_s: float) -> list[float]:
    """The figures of one asked job."""
    if not plain_queue(log, asked, row, at_s):
        return [float("nan")] * 6
    queue = plain_open(log, asked, row, at_s)
    runs = [r for r in queue if plain_state(log, r, at_s) == "runs"]
    waits = [r for r in queue if plain_state(log, r, at_s) == "waits"]
    request = asked.columns[row, COLUMN["request_id"]]

    def alike(rows: list[int]) -> list[int]:
        return [r for r in rows if log.columns[r, COLUMN["request_id"]] == request]

    def longest(rows: list[int]) -> float:
        return max((at_s - log.start_s[r] for r in rows), default=float("nan"))

    counts = [len(runs), len(waits), len(alike(runs)), len(alike(waits))]
    return [*map(float, counts), longest(alike(runs)), longest(runs)]
