"""Where an answer comes from: the user's own jobs by name, those of others only together."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from rt_predictor.jobs.asked import NOTHING_ASKED
from rt_predictor.jobs.schema import REQUEST_SCHEMA
from rt_predictor.predict.explain import MOST_JOBS
from rt_predictor.predict.predictions import Explanation
from rt_predictor.predict.predictor import Predictor
from tests.predict.plain import a_log, events_of, knowing

LOG = a_log(1500)
JOBS = LOG.tail(200).select(list(REQUEST_SCHEMA))
WHO_ASK = np.arange(len(JOBS)) % 3 == 0


@pytest.fixture(scope="module")
def predictor(plain_bundle: Path) -> Predictor:
    return knowing(plain_bundle, events_of(LOG))


@pytest.fixture(scope="module")
def told(predictor: Predictor) -> dict[int, Explanation]:
    """Row -> explanation of the jobs that ask for one."""
    return dict(predictor.predict(JOBS.with_columns(explain=pl.Series(WHO_ASK))).explanations)


def test_those_who_ask_are_told_and_no_others(told: dict[int, Explanation]) -> None:
    assert sorted(told) == np.flatnonzero(WHO_ASK).tolist()


def test_shares_add_up_to_all_of_the_distribution(told: dict[int, Explanation]) -> None:
    for one in told.values():
        shares = [
            *(job.share for job in one.own_jobs),
            *(said.share for said in one.proposals.values()),
            one.other_own_share,
            one.others_share,
            one.grid_share,
        ]
        assert min(shares) >= 0
        assert sum(shares) == pytest.approx(1, abs=1e-6)


def test_own_jobs_are_those_of_the_user_that_had_ended_each_once(
    told: dict[int, Explanation],
) -> None:
    with_own = 0
    for row, one in told.items():
        job = JOBS.row(row, named=True)
        mine = LOG.filter(
            (pl.col("user") == job["user"]) & (pl.col("submit_time") < job["submit_time"])
        )
        known = {
            (round(runtime, 3), cores, limit)
            for runtime, cores, limit in mine.select("runtime", "processors_req", "time_req").rows()
        }
        ended = [own for own in one.own_jobs if own.age_s > 0]
        for own in ended:
            assert (round(own.runtime_s, 3), own.cores, own.limit_s) in known
        assert len({(own.age_s, own.runtime_s, own.share) for own in ended}) == len(ended)
        shares = [own.share for own in one.own_jobs]
        assert shares == sorted(shares, reverse=True)
        assert len(shares) <= MOST_JOBS
        with_own += bool(ended)
    assert with_own > len(told) / 2


def test_what_is_said_alone_is_what_is_said_in_a_batch(
    predictor: Predictor, told: dict[int, Explanation]
) -> None:
    for row in list(told)[:20]:
        job = {**JOBS.row(row, named=True), **NOTHING_ASKED, "explain": True}
        assert predictor.predict([job]).explanations == {0: told[row]}


def test_what_a_job_has_outlived_has_no_share(predictor: Predictor) -> None:
    asked = {**JOBS.row(0, named=True), **NOTHING_ASKED, "explain": True}
    before = predictor.predict([asked]).explanations[0]
    (shortest, *_, longest) = sorted(job.runtime_s for job in before.own_jobs)
    assert shortest < longest
    ran = {"elapsed": shortest, "as_of": asked["submit_time"]}
    one = predictor.predict([{**asked, **ran}]).explanations[0]
    assert min(job.runtime_s for job in one.own_jobs) > shortest
    outlived = {**ran, "elapsed": 1e8}
    one = predictor.predict([{**asked, **outlived}]).explanations[0]
    assert (one.own_jobs, one.grid_share) == ((), 1.0)


def test_who_is_not_known_rests_on_others_and_on_the_grid(predictor: Predictor) -> None:
    stranger = {**JOBS.row(0, named=True), **NOTHING_ASKED, "user": "nobody", "explain": True}
    one = predictor.predict([stranger]).explanations[0]
    assert one.own_jobs == ()
    assert one.other_own_share == 0
    assert one.others_share > 0


def test_explanations_stay_with_their_jobs_in_parts_and_copies(predictor: Predictor) -> None:
    asked = predictor.predict(JOBS.with_columns(explain=pl.Series(WHO_ASK)))
    part = asked.part(2, 10)
    assert part.explanations == {row - 2: asked.explanations[row] for row in (3, 6, 9)}
    copies = asked.rows(np.array([3, 0, 3, 1]))
    third, first = asked.explanations[3], asked.explanations[0]
    assert copies.explanations == {0: third, 1: first, 2: third}
