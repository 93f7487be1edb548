"""Feeds that name the cluster and feeds that do not tell a service of the same jobs."""

from contextlib import closing
from pathlib import Path

import polars as pl
import pytest

from rt_predictor.eventlog.files import open_log
from rt_predictor.follow.feed import Batch
from rt_predictor.follow.run import Pace, follow, recorder_of
from rt_predictor.history.history import History
from rt_predictor.settings import HistorySettings
from rt_predictor.traces.generate import generate_jobs
from tests.api.harness import HOST, running
from tests.predict.fakes import FakePredictor
from tests.waiting import PATIENCE_S

JOBS = generate_jobs(20, seed=1)


class Once:
    """Gives all jobs, under one cluster."""

    def __init__(self, cluster: str | None) -> None:
        named = pl.lit(cluster, pl.String).alias("cluster")
        self.batch = Batch(JOBS.with_columns(named))

    async def read(self) -> Batch:
        return self.batch

    def recorded(self, batch: Batch) -> None:
        self.batch = Batch(batch.jobs.clear())


@pytest.mark.parametrize("order", [("alpha", None), (None, "alpha")])
async def test_a_followed_job_of_home_is_one_with_its_cluster_and_without(
    tmp_path: Path, order: tuple[str | None, ...]
) -> None:
    path = tmp_path / "history.sqlite"
    history = History(HistorySettings(path=path, home_cluster="alpha"))
    async with running(FakePredictor(), history) as service:
        recorder = recorder_of(f"{HOST}:{service.port}", PATIENCE_S)
        for cluster in (*order, "beta"):
            await follow(Once(cluster), recorder, Pace(interval_s=0.01, once=True))
    history.stop()
    with closing(open_log(path)) as log:
        assert log.count_conflicts() == 0
        clusters = log.read_after(0, 100).events["cluster"].to_list()
    assert (clusters.count(None), clusters.count("beta")) == (20, 20)
