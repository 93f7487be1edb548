from dataclasses import replace
from datetime import UTC
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rt_predictor.features.asked import JOBS_AT_ONCE, Asked
from rt_predictor.features.matrix import (
    ABSENT,
    CAP,
    COPIES,
    LONGEST_S,
    MISSING,
    PROPOSED,
    REQUEST,
    ROWS,
    SCALE,
    TOKEN_ROW,
    WIDTH,
    assemble,
)
from rt_predictor.features.one_job import assemble_one
from rt_predictor.features.proposals import PROPOSALS
from rt_predictor.features.request_features import BOUND, QUANTITIES, REQUEST_FEATURES
from rt_predictor.features.token_features import TOKEN_FEATURES
from rt_predictor.history.asked_tokens import AskedTokens
from rt_predictor.history.columns import COLUMN
from rt_predictor.history.log_tokens import LogTokens, log_tokens
from rt_predictor.history.token_keys import SLOTS, slots_of
from tests.features.asked_logs import asked, asked_log, asked_logs, random_log, repeated

RULES = [proposal.name for proposal in PROPOSALS]
TOKENS = [feature.name for feature in TOKEN_FEATURES]


def request_of(matrix: np.ndarray) -> dict[str, float]:
    """The features of the last job's request, by name."""
    return {f.name: float(v) for f, v in zip(REQUEST_FEATURES, matrix[-1, REQUEST], strict=True)}


def token_row(matrix: np.ndarray, name: str) -> np.ndarray:
    """One feature of the last job's tokens: [SLOTS]."""
    return matrix.reshape(-1, ROWS, SLOTS)[-1, TOKEN_ROW + TOKENS.index(name)]


def rules_of(matrix: np.ndarray) -> dict[str, float]:
    """What rules propose for the last job in s; those that are silent are left out."""
    said = zip(RULES, matrix[-1, SLOTS:COPIES], matrix[-1, MISSING][SLOTS:], strict=True)
    return {name: float(runtime_s) for name, runtime_s, missing in said if missing == 0}


def matrix_of(asked_jobs: Asked, tokens: LogTokens) -> np.ndarray:
    return assemble(asked_jobs, tokens.gather(slice(None)))


def alone_of(jobs: Asked, tokens: AskedTokens) -> np.ndarray:
    """The matrix of the first job, made for it alone."""
    submit_s, limit_s = jobs.submit_s.item(), jobs.limit_s.item()
    return assemble_one(jobs.columns[0], submit_s, limit_s, tokens, UTC)


def test_there_are_more_than_44_features_each_declared_with_unit_and_reason():
    features = (*REQUEST_FEATURES, *TOKEN_FEATURES)
    assert len(features) > 44
    assert all(feature.name and feature.unit and feature.why for feature in features)
    assert len({feature.name for feature in REQUEST_FEATURES}) == len(REQUEST_FEATURES)
    assert len({feature.name for feature in TOKEN_FEATURES}) == len(TOKEN_FEATURES)
    assert len(set(QUANTITIES)) == len(QUANTITIES)


@given(asked_logs())
@settings(max_examples=60, deadline=None)
def test_a_job_has_the_same_bits_alone_and_among_others(log):
    jobs, tokens = log
    whole = matrix_of(jobs, tokens)
    assert whole.shape == (len(jobs), WIDTH)
    assert np.isfinite(whole).all()
    for row in range(len(jobs)):
        one = slice(row, row + 1)
        assert assemble(jobs[one], tokens.gather(one)).tobytes() == whole[one].tobytes()
        alone = alone_of(jobs[one], tokens.gather(one))
        assert alone.tobytes() == whole[one].tobytes()


@pytest.mark.parametrize("together", [1, 2, 3, 7, 64, 127, JOBS_AT_ONCE, 512, 997])
def test_no_number_of_jobs_changes_a_bit(together):
    log = random_log(997)
    jobs, tokens = asked(log), log_tokens(log)
    whole = matrix_of(jobs, tokens)
    for first in range(0, len(jobs), together):
        some = slice(first, first + together)
        assert assemble(jobs[some], tokens.gather(some)).tobytes() == whole[some].tobytes()


def test_jobs_one_by_one_have_the_bits_of_all_together():
    log = random_log(997)
    jobs, tokens = asked(log), log_tokens(log)
    whole = matrix_of(jobs, tokens)
    for row in range(len(jobs)):
        one = slice(row, row + 1)
        assert alone_of(jobs[one], tokens.gather(one)).tobytes() == whole[one].tobytes()


def test_nothing_is_left_of_other_jobs_in_the_same_room():
    log = random_log(300)
    jobs, tokens = asked(log), log_tokens(log)
    whole = matrix_of(jobs, tokens)
    room = whole[::-1].copy()
    assert assemble(jobs, tokens.gather(slice(None)), out=room) is room
    assert room.tobytes() == whole.tobytes()


def test_no_jobs_are_no_rows():
    log = random_log(5)
    none = slice(0, 0)
    assert assemble(asked(log)[none], log_tokens(log).gather(none)).shape == (0, WIDTH)


@given(asked_logs(), st.data())
@settings(max_examples=40, deadline=None)
def test_a_job_of_which_everything_is_missing_has_features(log, data):
    jobs, tokens = log
    lost = data.draw(st.lists(st.sampled_from(sorted(COLUMN)), unique=True))
    columns = jobs.columns.copy()
    for name in lost:
        columns[:, COLUMN[name]] = 0 if name.endswith("_id") or name == "state" else np.nan
    limit_s = np.where(np.isnan(columns[:, COLUMN["log_limit"]]), np.nan, jobs.limit_s)
    matrix = matrix_of(Asked(columns, jobs.submit_s * np.nan, limit_s), tokens)
    assert np.isfinite(matrix).all()
    assert (np.abs(matrix[:, REQUEST]) <= BOUND).all()
    assert (matrix[:, PROPOSED] >= 1).all()


@given(asked_logs())
@settings(max_examples=40, deadline=None)
def test_names_of_users_and_places_say_nothing_by_themselves(log):
    jobs, tokens = log
    codes = [column for name, column in COLUMN.items() if name.endswith("_id")]
    renamed = tokens.known.columns.copy()
    renamed[:, codes] *= 3
    mine = jobs.columns.copy()
    mine[:, codes] *= 3
    elsewhere = replace(tokens, known=tokens.known._replace(columns=renamed))
    same = matrix_of(replace(jobs, columns=mine), elsewhere)
    assert same.tobytes() == matrix_of(jobs, tokens).tobytes()


def test_rules_say_what_their_names_say():
    runtimes_s = [50.0, 10.0, 20.0, 30.0, 40.0, 70.0]  # the last one last
    matrix = matrix_of(*asked_log(repeated(runtimes_s, time_req=100.0, job_name="x")))
    rules = rules_of(matrix)
    assert rules["last2"] == 55
    assert rules["user_median5"] == rules["request_median5"] == 30
    assert rules["name_median4"] == 35
    assert rules["backoff_median5"] == 30
    assert rules["user_ratio5"] == pytest.approx(30)
    assert not {"account_median3", "strangers_median6"} & set(rules)


def test_shares_of_limits_are_taken_of_the_asked_limit():
    jobs = repeated([10.0, 20.0, 30.0], time_req=100.0)
    jobs[-1]["time_req"] = 1000.0
    assert rules_of(matrix_of(*asked_log(jobs)))["user_ratio5"] == pytest.approx(200)


def test_without_jobs_of_this_size_like_limits_are_looked_at_first():
    short = repeated([10.0, 11.0, 12.0], time_req=100.0, processors_req=2.0)[:-1]
    long = repeated([900.0, 901.0, 902.0, 903.0], time_req=1000.0, processors_req=3.0)
    long[-1].update(time_req=110.0, processors_req=4.0)
    for number, late in enumerate(long):
        late["job_id"] = str(number + 10)
        for name in ("submit_time", "start_time", "end_time"):
            late[name] = late[name] + 5000.0  # type: ignore[operator]
    rules = rules_of(matrix_of(*asked_log(short + long)))
    assert rules["backoff_median5"] == 11
    assert rules["user_median5"] == 110, "cut at the limit"


def test_nothing_is_proposed_past_the_limit_but_by_jobs_that_ran_past_theirs():
    jobs = repeated([5000.0, 5000.0], time_req=1000.0)
    matrix = matrix_of(*asked_log(jobs))
    assert rules_of(matrix)["last2"] == 1000
    assert matrix[-1, slots_of("own").start] == 4000


@pytest.mark.parametrize("limit_s", [1.0, 172800.0, 2592001.0, 1e8 + 1])
def test_scale_and_cap_are_the_limit_itself(limit_s):
    matrix = matrix_of(*asked_log(repeated([10.0], time_req=limit_s)))
    assert matrix[-1, SCALE] == matrix[-1, CAP] == np.float32(limit_s)


def test_without_a_limit_the_scale_is_what_jobs_here_take():
    matrix = matrix_of(*asked_log(repeated([100.0, 100.0], time_req=None)))
    assert matrix[-1, SCALE] == pytest.approx(100, rel=1e-5)
    assert matrix[-1, CAP] == np.float32(LONGEST_S)
    first = matrix[0, SCALE]
    assert first == pytest.approx(np.exp(8.0), rel=1e-5), "nothing is known here yet"


def test_empty_slots_are_missing_and_say_nothing():
    matrix = matrix_of(*asked_log(repeated([10.0, 20.0])))
    missing = matrix[-1, MISSING][:SLOTS]
    own = slots_of("own")
    assert missing[own].tolist() == [0, 0] + [np.float32(ABSENT)] * (own.stop - own.start - 2)
    assert not token_row(matrix, "runtime_to_scale")[own.start + 2 : own.stop].any()
    assert not token_row(matrix, "same_user")[own.start + 2 : own.stop].any()


def test_a_running_job_is_as_long_as_it_has_run():
    jobs = repeated([10.0, 100_000.0], time_req=200_000.0)
    jobs[-1]["submit_time"] = jobs[-2]["start_time"] + 600.0  # type: ignore[operator]
    matrix = matrix_of(*asked_log(jobs))
    running = slots_of("running").start
    assert matrix[-1, running] == 600
    assert token_row(matrix, "limit_used")[running] == pytest.approx(
        np.log(600 / 200_000), abs=1e-5
    )
    request = request_of(matrix)
    assert request["running_now"] == pytest.approx(np.log(2) / 2)
    assert request["in_flight_known"] == 1


def test_codes_that_are_missing_are_not_the_same():
    matrix = matrix_of(*asked_log(repeated([10.0], job_name=None, account=None)))
    own = slots_of("own").start
    assert token_row(matrix, "same_user")[own] == 1
    assert token_row(matrix, "same_name")[own] == token_row(matrix, "same_account")[own] == 0


def test_how_regular_a_user_is_counts():
    regular = request_of(matrix_of(*asked_log(repeated([600.0] * 9))))
    other = request_of(matrix_of(*asked_log(repeated([60.0, 600.0, 6000.0] * 3))))
    assert regular["own_spread"] == regular["request_range"] == 0
    assert other["own_spread"] > 2
    assert other["request_range"] == pytest.approx(np.log(100) / 2, rel=1e-3)


def test_round_limits_are_told_by_exact_seconds():
    def whole(limit_s: float) -> list[float]:
        request = request_of(matrix_of(*asked_log(repeated([1.0], time_req=limit_s))))
        return [request[f"whole_{name}"] for name in ("10_minutes", "hours", "days")]

    assert whole(86400.0 * 30) == [1, 1, 1]
    assert whole(86400.0 * 30 + 1) == [0, 0, 0]
    assert whole(5400.0 + 600) == [1, 0, 0]


def test_the_calendar_is_that_of_the_site():
    jobs, tokens = asked_log(repeated([10.0]))
    seen = tokens.gather(slice(None))
    noon = 1_750_000_000 // 86400 * 86400.0 + 43200  # a Sunday of summer time
    jobs = replace(jobs, submit_s=np.full(len(jobs), noon))
    utc = request_of(assemble(jobs, seen, UTC))
    paris = request_of(assemble(jobs, seen, ZoneInfo("Europe/Paris")))
    assert utc["cos_day"] == pytest.approx(-1)
    assert paris["cos_day"] == pytest.approx(np.cos(np.pi * 14 / 12))
    assert utc["weekend"] == 1
    friday_evening = replace(jobs, submit_s=np.full(len(jobs), noon - 2 * 86400 + 43200 - 1800))
    assert request_of(assemble(friday_evening, seen, UTC))["weekend"] == 0
    assert request_of(assemble(friday_evening, seen, ZoneInfo("Europe/Paris")))["weekend"] == 1


def test_another_limit_keeps_what_is_known():
    jobs, tokens = asked_log(repeated([100.0] * 4, time_req=1000.0))
    seen = tokens.gather(slice(None))
    other = assemble(jobs.with_limits(np.full(len(jobs), 2000.0)), seen)
    assert other[-1, SCALE] == 2000
    assert rules_of(other)["request_median5"] == 100
    own = slots_of("own").start
    assert token_row(other, "limit_to_asked")[own] == pytest.approx(-np.log(2), abs=1e-6)
    assert token_row(other, "same_limit")[own] == token_row(other, "same_request")[own] == 0
