import os
import subprocess
import sys
from collections.abc import Callable

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rt_predictor.history import key_ids as module
from rt_predictor.history.key_ids import (
    ABOVE_ALL_IDS,
    NO_KEY,
    USER_KEY,
    key_ids,
    keys_fingerprint,
)
from rt_predictor.history.keys import KEYS, Key, key_hashes
from rt_predictor.jobs.schema import REQUEST_SCHEMA
from tests.history.jobs import frame, job

requests = st.lists(
    st.builds(
        job,
        user=st.sampled_from(["ann", "bob", "4.0", "", None]),
        account=st.sampled_from(["ann", "bob", None]),
        job_name=st.text(st.characters(exclude_categories=["Cs"]), max_size=3) | st.none(),
        partition=st.sampled_from(["ann", "p", None]),
        processors_req=st.sampled_from([1.0, 4.0, -0.0, 0.0, None]),
        time_req=st.sampled_from([1.0, 4.0, 1e300, None]),
    ),
    min_size=1,
    max_size=30,
)


@settings(max_examples=100, deadline=None)
@given(requests)
def test_ids_are_equal_where_keys_are_and_only_there(drawn: list[dict[str, object]]) -> None:
    jobs = frame(*drawn)
    ids, hashes = key_ids(jobs), key_hashes(jobs)
    for place, key in enumerate(KEYS):
        expected = hashes[key.name].to_list()
        found = [None if value == NO_KEY else value for value in ids[:, place].tolist()]
        assert [a is None for a in found] == [b is None for b in expected]
        for a, b in zip(found, expected, strict=True):
            assert [a == other for other in found] == [b == other for other in expected]
    assert (ids < ABOVE_ALL_IDS).all()


@given(requests)
@settings(max_examples=30, deadline=None)
def test_a_job_has_the_same_ids_alone_and_among_others(drawn: list[dict[str, object]]) -> None:
    jobs = frame(*drawn)
    alone = [key_ids(jobs[row : row + 1]) for row in range(len(jobs))]
    np.testing.assert_array_equal(key_ids(jobs), np.concatenate(alone))


@given(requests)
@settings(max_examples=30, deadline=None)
def test_a_row_has_the_ids_that_it_has_in_a_frame(drawn: list[dict[str, object]]) -> None:
    jobs = frame(*drawn)
    np.testing.assert_array_equal(key_ids(jobs.rows(named=True)), key_ids(jobs))


@given(requests)
@settings(max_examples=30, deadline=None)
def test_many_jobs_have_the_ids_of_few(drawn: list[dict[str, object]]) -> None:
    jobs = frame(*drawn)
    few = key_ids(jobs)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_FEW_JOBS", 0)
        np.testing.assert_array_equal(key_ids(jobs), few)


def test_different_keys_of_one_job_have_different_ids() -> None:
    ids = key_ids(frame(job(user="x", account="x", partition="x", job_name="x")))
    assert len(set(ids.ravel().tolist())) == len(KEYS)


def test_users_are_told_apart_by_their_column() -> None:
    jobs = frame(job(user="ann"), job(user="bob"), job(user="ann", account="z"), job(user=None))
    users = key_ids(jobs)[:, USER_KEY].tolist()
    assert users[0] == users[2] != users[1]
    assert users[3] == NO_KEY


def test_no_jobs_have_no_ids() -> None:
    assert key_ids(pl.DataFrame(schema=dict(REQUEST_SCHEMA))).shape == (0, len(KEYS))


def test_ids_are_the_same_in_every_process() -> None:
    program = "from rt_predictor.history.key_ids import keys_fingerprint; print(keys_fingerprint())"
    for seed in ("1", "2"):
        run = subprocess.run(
            [sys.executable, "-c", program],
            env=os.environ | {"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        )
        assert run.stdout.strip() == keys_fingerprint()


def _other_key(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(module, "KEYS", (*KEYS[:-1], Key("qos", ("qos",), "jobs of that QoS")))


def _other_hash(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(module, "_OFFSETS", module._OFFSETS + np.uint64(1 << 20))


@pytest.mark.parametrize("change", [_other_key, _other_hash])
def test_the_fingerprint_tells_other_keys_apart(
    change: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = keys_fingerprint()
    change(monkeypatch)
    assert keys_fingerprint() != before
