"""A log made ready to learn from."""

from pathlib import Path

import numpy as np
import polars as pl

from rt_predictor.features.matrix import WIDTH
from rt_predictor.history.columns import TOLD_ALL, Told
from rt_predictor.traces import read_trace
from rt_predictor.traces.generate import generate_jobs
from rt_predictor.training.prepare import PreparedLog, prepare_log, recorded_events, whole_log


def test_jobs_that_never_ran_wait_and_are_not_scored(tmp_path: Path) -> None:
    lines = [
        "User,Submit,Start,End,ElapsedRaw,TimelimitRaw,ReqCPUS,State",
        "ann,2020-01-01T00:00:00,2020-01-01T00:10:00,2020-01-01T01:10:00,3600,120,4,COMPLETED",
        "ann,2020-01-01T00:05:00,Unknown,2020-01-01T05:00:00,0,120,4,CANCELLED by 1",
        "ann,2020-01-01T02:00:00,2020-01-01T02:10:00,2020-01-01T03:10:00,3600,120,4,COMPLETED",
    ]
    (tmp_path / "a.txt").write_text("\n".join(line.replace(",", "|") for line in lines) + "\n")
    log = prepare_log(whole_log(read_trace(tmp_path / "a.txt")), "a")
    assert (len(log), log.rows.tolist()) == (3, [0, 2])
    waiting = log.tokens.in_flight[2, 1]
    assert waiting == 1


def test_a_job_has_the_same_inputs_in_whatever_order_the_log_comes() -> None:
    jobs = generate_jobs(400, seed=3)
    log, mixed = (
        prepare_log(frame, "x") for frame in (jobs, jobs.sample(400, shuffle=True, seed=1))
    )
    row_of = {name: row for row, name in enumerate(mixed.jobs["job_id"].to_list())}
    rows = np.array([row_of[name] for name in log.jobs["job_id"].to_list()])
    inputs = log.inputs(log.rows)
    assert inputs.shape == (len(log.rows), WIDTH)
    assert np.array_equal(inputs, mixed.inputs(rows[log.rows]))


def test_jobs_without_an_id_get_one_and_are_told_apart() -> None:
    jobs = generate_jobs(50, seed=3).with_columns(job_id=pl.lit(None, pl.String))
    log = prepare_log(jobs, "x")
    assert log.jobs["job_id"].null_count() == 0
    assert len(np.unique(log.columns.ident)) == 50


def test_what_had_ended_by_a_time_is_the_latest_of_it(small_log: PreparedLog) -> None:
    mark_s = float(np.median(small_log.end_s))
    every, some = small_log.ended_before(mark_s, 10**6), small_log.ended_before(mark_s, 100)
    assert small_log.end_s[every].max() <= mark_s
    assert len(some) == 100
    left = np.setdiff1d(every, some)
    assert small_log.end_s[some].min() >= small_log.end_s[left].max()
    assert (np.diff(some) > 0).all()


def test_a_log_without_waits_tells_nothing_of_starts() -> None:
    jobs = generate_jobs(1200, seed=3)
    at_once = jobs.with_columns(start_time=pl.col("submit_time"))
    assert recorded_events(jobs) == TOLD_ALL
    assert recorded_events(at_once) == Told.ENDED
    assert recorded_events(at_once[:100]) == TOLD_ALL, "a small idle cluster"
    assert np.isnan(prepare_log(at_once, "x").tokens.in_flight).all()
