"""Calls are sampled without ever waiting, whatever becomes of the candidate."""

import socket
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from prometheus_client import CollectorRegistry

from rt_predictor.errors import InvalidRequestError
from rt_predictor.jobs.schema import REQUEST_SCHEMA
from rt_predictor.observability.metrics import Metrics
from rt_predictor.shadow.folder import ShadowFolder
from rt_predictor.shadow.sampler import (
    MOST_JOBS,
    SampledPredictor,
    Sampler,
    pack_sample,
    unpack_sample,
)
from rt_predictor.traces.generate import generate_jobs
from tests.predict.fakes import FakePredictor

JOBS = generate_jobs(500, seed=3).select(list(REQUEST_SCHEMA))
ROWS = JOBS[:3].rows(named=True)


class Sampled:
    """A sampled predictor, and what became of the samples."""

    def __init__(self, place: ShadowFolder) -> None:
        self.registry = CollectorRegistry()
        self.sampler = Sampler(place, Metrics(self.registry))
        self.predictor = SampledPredictor(FakePredictor(), self.sampler)

    def count(self, result: str) -> float | None:
        name = "rt_predictor_shadow_samples_total"
        return self.registry.get_sample_value(name, {"result": result})


@pytest.fixture
def place(tmp_path: Path) -> ShadowFolder:
    return ShadowFolder(tmp_path, share=1.0)


@pytest.fixture
def calls(place: ShadowFolder) -> Iterator[socket.socket]:
    """Where a candidate listens that reads only when it is asked to."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as calls:
        calls.bind(str(place.socket))
        calls.settimeout(60)
        yield calls


@pytest.fixture
def sampled(place: ShadowFolder) -> Iterator[Sampled]:
    found = Sampled(place)
    yield found
    found.sampler.close()


def test_a_candidate_is_sent_jobs_and_what_was_answered(
    sampled: Sampled, calls: socket.socket
) -> None:
    answers = sampled.predictor.predict(ROWS)
    jobs, served_s = unpack_sample(calls.recv(1 << 20))
    assert jobs == [{**row, "elapsed": None, "as_of": None} for row in ROWS]
    np.testing.assert_array_equal(served_s, answers.runtime_s)
    assert (sampled.count("sent"), sampled.count("dropped")) == (len(ROWS), 0)


def test_how_long_jobs_have_run_is_sent_too(sampled: Sampled, calls: socket.socket) -> None:
    running = {**ROWS[0], "elapsed": 60.0, "as_of": 1.7e9, "explain": True, "quantiles": (0.5,)}
    sampled.predictor.predict([running])
    (job,), _ = unpack_sample(calls.recv(1 << 20))
    assert job == {**ROWS[0], "elapsed": 60.0, "as_of": 1.7e9}


def test_of_a_large_run_some_jobs_are_sent_from_all_of_it(
    sampled: Sampled, calls: socket.socket
) -> None:
    answers = sampled.predictor.predict(JOBS)
    jobs, served_s = unpack_sample(calls.recv(1 << 20))
    assert len(jobs) == MOST_JOBS
    ends = [{**JOBS.row(place, named=True), "elapsed": None, "as_of": None} for place in (0, -1)]
    assert [jobs[0], jobs[-1]] == ends
    assert set(served_s) <= set(answers.runtime_s)


def test_where_nobody_listens_answers_are_as_ever(sampled: Sampled) -> None:
    expected = FakePredictor().predict(ROWS)
    np.testing.assert_array_equal(sampled.predictor.predict(ROWS).runtime_s, expected.runtime_s)
    assert (sampled.count("sent"), sampled.count("dropped")) == (0, len(ROWS))


def test_what_a_busy_candidate_has_no_room_for_is_dropped_and_counted(
    sampled: Sampled, calls: socket.socket
) -> None:
    runs = 0
    while not sampled.count("dropped"):  # it would wait for ever here if it waited
        sampled.predictor.predict(ROWS)
        runs += 1
    sent, dropped = sampled.count("sent"), sampled.count("dropped")
    assert sent
    assert (sent + dropped, dropped) == (runs * len(ROWS), len(ROWS))
    for _ in range(round(sent) // len(ROWS)):
        calls.recv(1 << 20)
    sampled.predictor.predict(ROWS)
    assert sampled.count("sent") == sent + len(ROWS)


def test_names_that_make_a_message_too_long_are_no_trouble(
    sampled: Sampled, calls: socket.socket
) -> None:
    sampled.predictor.predict(JOBS.with_columns(user=pl.lit("\x01" * 100_000)))
    assert sampled.count("dropped") == MOST_JOBS


def test_only_a_share_is_sent(tmp_path: Path) -> None:
    for share, least, most in ((0.0, 0, 0), (0.3, 200, 400)):
        sampled = Sampled(ShadowFolder(tmp_path, share))
        for _ in range(1000):
            sampled.predictor.predict(ROWS[:1])
        assert least <= (sampled.count("dropped") or 0) <= most
        sampled.sampler.close()


def test_no_jobs_are_no_sample(sampled: Sampled) -> None:
    sampled.sampler.offer([], FakePredictor().predict(ROWS))
    assert sampled.count("dropped") == 0


def test_it_tells_of_the_model_what_the_predictor_does(sampled: Sampled) -> None:
    plain = FakePredictor()
    assert sampled.predictor.describe() == plain.describe()
    assert sampled.predictor.model_version == plain.model_version
    assert sampled.predictor.views == plain.views
    assert sampled.predictor.member_names == plain.member_names


@pytest.mark.parametrize(
    "message",
    [b"", b"\xff", b"[]", b"{}", b'{"jobs": [[1]], "served_s": [1]}', b'{"jobs": 1, "served_s": 1}',
     pack_sample(ROWS, np.ones(2))],
)  # fmt: skip
def test_a_message_that_is_none_is_refused(message: bytes) -> None:
    with pytest.raises(InvalidRequestError, match="a sample of calls"):
        unpack_sample(message)
