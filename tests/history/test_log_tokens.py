from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from rt_predictor.history.asked_tokens import NO_JOB, AskedTokens
from rt_predictor.history.columns import COLUMN, JobColumns, job_columns
from rt_predictor.history.log_tokens import LogTokens, log_tokens
from rt_predictor.history.token_keys import (
    FINISHED_SLOTS,
    NO_ROW,
    SITE_SLOTS,
    SITE_STEP,
    SLOTS,
    TOKEN_KEYS,
    WALKED,
    slots_of,
)
from tests.history.token_logs import (
    DAY_S,
    frame,
    job,
    plain_in_flight,
    plain_tokens,
    token_logs,
)

FIELDS = ("submit_s", "start_s", "end_s", "patience_s", "ident", "told", "columns", "keys")


def taken(jobs: JobColumns, rows: np.ndarray) -> JobColumns:
    return JobColumns(*(getattr(jobs, name)[rows] for name in FIELDS))


def said(answer: AskedTokens) -> list[np.ndarray]:
    """All that is said, without row numbers."""
    return [
        *(getattr(answer, name) for name in ("columns", "age_s", "gap_s", "elapsed_s")),
        answer.in_flight,
        answer.site_columns[answer.site_of],
    ]


def assert_same(found: AskedTokens, expected: AskedTokens) -> None:
    for a, b in zip(said(found), said(expected), strict=True):
        np.testing.assert_array_equal(a, b)


def check_against_plain(found: LogTokens, log: JobColumns, asked: JobColumns, at_s: object) -> None:
    names = [*(key.name for key in TOKEN_KEYS), "running"]
    answer = found.gather(slice(None))
    for row, at in enumerate(np.asarray(at_s).tolist()):
        *expected, site = plain_tokens(log, asked, row, at)
        for name, rows in zip(names, expected, strict=True):
            slots = found.rows[row, slots_of(name)]
            padded = rows + [NO_ROW] * (len(slots) - len(rows))
            assert slots.tolist() == padded, (row, name)
        seen = answer.site_rows[answer.site_of[row]]
        assert seen[seen >= 0].tolist() == site
        figures = np.array(plain_in_flight(log, asked, row, at), np.float32)
        np.testing.assert_array_equal(found.in_flight[row], figures)


@settings(max_examples=150, deadline=None)
@given(token_logs())
def test_tokens_are_the_last_jobs_of_each_key(log: JobColumns) -> None:
    check_against_plain(log_tokens(log), log, log, log.submit_s)


@settings(max_examples=100, deadline=None)
@given(token_logs(), st.data())
def test_any_job_can_be_asked_for_at_any_time(log: JobColumns, data: st.DataObject) -> None:
    times = st.sampled_from([0.0, 30.0, 61.0, 4 * DAY_S, 31 * DAY_S, 80 * DAY_S])
    asked = taken(log, np.array(data.draw(st.permutations(range(len(log)))), dtype=int))
    at_s = np.array(data.draw(st.lists(times, min_size=len(log), max_size=len(log))))
    check_against_plain(log_tokens(log, asked, at_s), log, asked, at_s)


@settings(max_examples=150, deadline=None)
@given(token_logs(), st.data())
def test_the_future_changes_nothing(log: JobColumns, data: st.DataObject) -> None:
    """Removes what was submitted after a time, and changes what ended after it."""
    at = data.draw(st.sampled_from(log.submit_s.tolist() or [0.0]))
    asked = np.flatnonzero(log.submit_s == at)
    past = np.flatnonzero(log.submit_s <= at)
    end_s = log.end_s.copy()
    columns = log.columns.copy()
    ahead = end_s > at
    end_s[ahead] += data.draw(st.integers(0, 50))
    columns[ahead, COLUMN["runtime_s"]] = 77.0
    columns[ahead, COLUMN["log_runtime"]] = 77.0
    columns[ahead, COLUMN["state"]] = 3.0
    late = log.start_s > at
    start_s = np.where(late, log.start_s + 1e7, log.start_s)
    other = taken(replace(log, end_s=end_s, columns=columns, start_s=start_s), past)
    before = log_tokens(log).gather(asked)
    at_s = np.full(len(asked), at)
    after = log_tokens(other, taken(log, asked), at_s).gather(slice(None))
    assert_same(after, before)


@settings(max_examples=50, deadline=None)
@given(token_logs(), st.data())
def test_the_order_of_the_log_changes_nothing(log: JobColumns, data: st.DataObject) -> None:
    order = np.array(data.draw(st.permutations(range(len(log)))), dtype=int)
    found = log_tokens(taken(log, order)).gather(slice(None))
    assert_same(found, log_tokens(log).gather(order))


def log_of(*jobs: dict[str, object]) -> JobColumns:
    return job_columns(frame([{**job, "job_id": str(row)} for row, job in enumerate(jobs)]))


def run(submit: float, seconds: float, **fields: object) -> dict[str, object]:
    return job(
        submit_time=submit,
        start_time=submit,
        end_time=submit + seconds,
        runtime=seconds,
        **fields,
    )


def test_an_empty_slot_says_nothing() -> None:
    answer = log_tokens(log_of(run(0, 5))).gather([0])
    assert (answer.rows == NO_ROW).all()
    np.testing.assert_array_equal(answer.columns[0], np.tile(NO_JOB, (SLOTS, 1)))
    assert np.isnan(answer.in_flight).all()
    assert np.isnan(answer.age_s).all()


def test_a_job_that_ends_in_the_second_of_a_submit_is_seen() -> None:
    answer = log_tokens(log_of(run(0, 5), run(5, 1), run(4, 1))).gather([1, 2])
    assert answer.rows[0, 0] == 2  # both ended at 5, and the later submitted one counts as last
    assert answer.rows[0, 1] == 0
    assert answer.age_s[0, :2].tolist() == [0, 0]
    assert answer.gap_s[0, :2].tolist() == [1, 5]
    assert answer.rows[1, 0] == NO_ROW


def test_a_running_job_does_not_say_how_it_will_end() -> None:
    answer = log_tokens(log_of(run(0, 50, state="TIMEOUT"), run(7, 1))).gather([1])
    running = answer.columns[0, FINISHED_SLOTS]
    assert answer.rows[0, FINISHED_SLOTS] == 0
    assert answer.elapsed_s[0, FINISHED_SLOTS] == 7
    assert np.isnan(running[[COLUMN["runtime_s"], COLUMN["log_runtime"]]]).all()
    assert running[COLUMN["state"]] == 0
    assert running[COLUMN["log_cores"]] == np.float32(np.log(4))


def test_only_jobs_of_others_are_strangers() -> None:
    mine = [run(second, 1) for second in range(10)]
    theirs = [run(second, 1, user="bob") for second in range(3)]
    log = log_of(*theirs, *mine, run(100, 1))
    rows = log_tokens(log).rows[-1]
    assert rows[slots_of("strangers")].tolist() == [2, 1, 0] + [NO_ROW] * 3
    assert rows[slots_of("account")].tolist() == [2, 1, 0]


def test_strangers_are_looked_for_among_the_last_jobs_only() -> None:
    mine = [run(second, 1) for second in range(1, WALKED + 1)]
    theirs = run(0, 1, user="bob")
    for hidden, jobs in ((1, mine), (0, mine[1:])):
        rows = log_tokens(log_of(theirs, *jobs, run(100, 1))).rows[-1]
        assert rows[slots_of("strangers")][0] == (NO_ROW if hidden else 0)


def test_jobs_of_the_nearest_limit_are_taken_the_nearest_first() -> None:
    limits = [100.0, 400.0, None, 210.0, 200.0, 95.0, 210.0, 3000.0, 10.0, 190.0]
    log = log_of(*(run(second, 1, time_req=limit) for second, limit in enumerate(limits)))
    for own, nearest in ((205.0, [6, 3, 4, 9, 1, 0]), (None, [2, 9, 8, 7, 6, 5])):
        asked = log_of(run(100, 1, time_req=own))
        found = log_tokens(log, asked).rows[0]
        assert found[slots_of("same_request")].tolist() == nearest
        assert found[slots_of("strangers")].tolist() == [NO_ROW] * 6
        stranger = log_of(run(100, 1, time_req=own, user="bob"))
        found = log_tokens(log, stranger).rows[0]
        assert found[slots_of("same_request")].tolist() == [NO_ROW] * 6
        assert found[slots_of("strangers")].tolist() == nearest


def test_few_jobs_are_all_taken_however_far_their_limits_are() -> None:
    limits = [10.0, None, 90_000.0]
    log = log_of(*(run(second, 1, time_req=limit) for second, limit in enumerate(limits)))
    for user, kind in (("ann", "same_request"), ("bob", "strangers")):
        asked = log_of(run(100, 1, time_req=200.0, user=user))
        assert log_tokens(log, asked).rows[0, slots_of(kind)].tolist() == [0, 2, 1] + [NO_ROW] * 3


def test_near_limits_are_looked_for_among_the_last_jobs_only() -> None:
    far = [run(second, 1, time_req=50.0) for second in range(1, WALKED + 1)]
    same = run(0, 1, time_req=900.0)
    for hidden, jobs in ((1, far), (0, far[1:])):
        rows = log_tokens(log_of(same, *jobs, run(100, 1, time_req=900.0))).rows[-1]
        assert (rows[slots_of("same_request")][0] != 0) == hidden


def test_every_sixteenth_job_stands_for_the_site() -> None:
    log = log_of(*(run(second, 1, user=f"u{second}") for second in range(2000)))
    answer = log_tokens(log).gather([1, 15, 17, 1999])
    newest = answer.site_rows[answer.site_of][:, 0]
    assert newest.tolist() == [0, 0, 16, 1984]
    last = answer.site_rows[answer.site_of[3]]
    assert last.tolist() == list(range(1984, 1984 - SITE_STEP * SITE_SLOTS, -SITE_STEP))
