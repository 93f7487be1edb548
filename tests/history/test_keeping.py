"""Who floods history drives himself out of memory, and nobody else."""

from collections.abc import Callable

import numpy as np
import polars as pl
import pytest

from rt_predictor.history.columns import job_columns
from rt_predictor.history.fold import Fold
from rt_predictor.history.fold_keeper import FoldKeeper
from rt_predictor.history.token_keys import slots_of
from rt_predictor.history.value_ids import value_id
from rt_predictor.jobs.events import ended_events
from tests.history.fakes import FakeLearner
from tests.history.token_logs import frame, job

ROOM = 1000
"""Jobs and keys that stay in memory."""
USERS = 50
JOBS_EACH = 6
FLOOD = 3 * ROOM
STRANGER = "@ipv4"

UNNAMED = pl.lit(None, pl.String)
"""Jobs without a user."""
ONE_NAME = pl.lit("stranger")
EVER_NEW_NAMES = pl.concat_str(pl.lit("u"), pl.col("job_id"))


def fold_that_trusts_all_but(*strangers: str) -> Fold:
    learner = FakeLearner(strangers=frozenset(map(value_id, strangers)))
    return FoldKeeper(learner, max_events=ROOM, max_keys=4 * ROOM).empty()


def jobs_of_users() -> pl.DataFrame:
    """Jobs of a site, some of each of its users."""
    each = range(USERS * JOBS_EACH)
    times = {"submit_time": 0.0, "start_time": 1.0, "end_time": 10.0, "runtime": 9.0}
    return frame([job(job_id=f"own{n}", user=f"user{n % USERS}", **times) for n in each])


def flood(user: pl.Expr, account: pl.Expr) -> pl.DataFrame:
    """Jobs that end later than any of the site's, each of another size."""
    number = pl.int_range(FLOOD)
    plain = job(submit_time=5.0, start_time=6.0, end_time=20.0, runtime=14.0)
    jobs = pl.concat([frame([plain])] * FLOOD)
    jobs = jobs.with_columns(job_id=number.cast(pl.String), processors_req=number + 1.0)
    return jobs.with_columns(user=user, account=account)


def taken(fold: Fold, jobs: pl.DataFrame, client: str) -> None:
    fold.take(ended_events(jobs, client, 100.0), fold.position + len(jobs))


def own_jobs(fold: Fold) -> np.ndarray:
    """How many of their jobs each of the users finds: [USERS]."""
    asked = job_columns(
        frame([job(user=f"user{n}", submit_time=1000.0, account=None) for n in range(USERS)])
    )
    found = fold.store.tokens_of(asked, asked.submit_s).columns[:, slots_of("own"), 0]
    return np.isfinite(found).sum(axis=1)


@pytest.mark.parametrize("user", [UNNAMED, ONE_NAME, EVER_NEW_NAMES])
@pytest.mark.parametrize("account", [pl.lit("a"), EVER_NEW_NAMES])
def test_a_flood_of_a_stranger_makes_no_user_a_cold_start(user: pl.Expr, account: pl.Expr) -> None:
    fold = fold_that_trusts_all_but(STRANGER)
    taken(fold, jobs_of_users(), "@local")
    taken(fold, flood(user, account), STRANGER)
    fold.store.evict()
    assert len(fold.store) <= ROOM
    assert own_jobs(fold).tolist() == [JOBS_EACH] * USERS


@pytest.mark.parametrize("user", [UNNAMED, ONE_NAME])
def test_nor_does_one_of_the_same_client_under_one_name(user: pl.Expr) -> None:
    fold = fold_that_trusts_all_but()
    taken(fold, jobs_of_users(), "@local")
    taken(fold, flood(user, pl.lit("a")), "@local")
    fold.store.evict()
    assert own_jobs(fold).tolist() == [JOBS_EACH] * USERS


def test_trusted_clients_share_memory_as_if_they_were_one() -> None:
    """What a site imported once must not hold half of it for good."""

    def last_ends(clients: Callable[[int], str]) -> list[float]:
        fold = fold_that_trusts_all_but(STRANGER)
        jobs = flood(ONE_NAME, pl.lit("a")).with_columns(end_time=20.0 + pl.int_range(FLOOD))
        for number, part in enumerate(jobs.iter_slices(FLOOD // 2)):
            taken(fold, part, clients(number))
        fold.store.evict()
        return sorted(fold.store.to_arrays()["times_s"][:, 2].tolist())

    assert last_ends(lambda number: ("@import", "@local")[number]) == last_ends(lambda _: "@local")


def test_a_job_that_a_stranger_told_first_is_of_whoever_tells_its_end() -> None:
    fold = fold_that_trusts_all_but(STRANGER)
    mine = jobs_of_users()
    started = ended_events(mine, STRANGER, 100.0).with_columns(
        kind=pl.lit("submitted"), event_time="submit_time"
    )
    fold.take(started, len(started))
    taken(fold, mine, "@local")
    taken(fold, flood(EVER_NEW_NAMES, pl.lit("a")), STRANGER)
    fold.store.evict()
    assert own_jobs(fold).tolist() == [JOBS_EACH] * USERS
