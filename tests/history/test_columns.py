import math
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rt_predictor.history.columns import (
    COLUMN,
    COLUMNS,
    TOLD_ALL,
    JobColumns,
    Told,
    asked_job,
    job_columns,
)
from rt_predictor.history.token_keys import NO_KEY, SLOTS, TOKEN_KEYS, slots_of
from rt_predictor.jobs.schema import REQUEST_SCHEMA
from rt_predictor.jobs.states import Ending
from tests.history.token_logs import Job, frame, job

numbers = st.sampled_from([None, 0.0, -0.0, 1.0, 3.0, 7.1, 1e300, 86400.0]) | st.floats(1, 1e12)
texts = st.sampled_from([None, "", "ann", "4.0", "é"]) | st.text(
    st.characters(exclude_categories=["Cs"]), max_size=3
)
requests = st.lists(
    st.builds(
        job,
        submit_time=st.floats(0, 4e9),
        **{
            name: numbers if dtype().is_numeric() else texts
            for name, dtype in REQUEST_SCHEMA.items()
            if name != "submit_time"
        },
    ),
    min_size=1,
    max_size=20,
)


def same_bits(a: np.ndarray, b: np.ndarray) -> bool:
    return bool(np.array_equal(a, b, equal_nan=a.dtype.kind == "f"))


@settings(max_examples=200, deadline=None)
@given(requests)
def test_one_asked_job_has_the_bits_that_it_has_among_many(drawn: list[Job]) -> None:
    many = job_columns(frame(drawn))
    for row, request in enumerate(drawn):
        one = asked_job({name: request[name] for name in REQUEST_SCHEMA})  # type: ignore[misc]
        assert one.submit_s == many.submit_s[row]
        assert one.keys == tuple(many.keys[row].tolist())
        assert same_bits(one.columns, many.columns[row])


def columns_of(**fields: object) -> JobColumns:
    return job_columns(frame([job(submit_time=0.0, **fields)]))


def value(jobs: JobColumns, name: str) -> float:
    return float(jobs.columns[0, COLUMN[name]])


def test_what_a_job_does_not_say_is_missing() -> None:
    nothing = job_columns(frame([dict.fromkeys(job())]))
    for place, (name, unit, _) in enumerate(COLUMNS):
        found = nothing.columns[0, place]
        if name != "request_id":
            assert found == 0 if unit == "code" else math.isnan(found), name
    assert nothing.told.tolist() == [Told.SUBMITTED]


def test_numbers_are_told_in_logarithms() -> None:
    jobs = columns_of(time_req=100.0, mem_req=7.0, gpus_req=0.0, end_time=9.0, runtime=0.5)
    assert value(jobs, "log_limit") == np.float32(math.log(100))
    assert value(jobs, "log_mem") == np.float32(math.log1p(7))
    assert value(jobs, "log_gpus") == 0
    assert (value(jobs, "runtime_s"), value(jobs, "log_runtime")) == (0.5, 0)


def test_a_runtime_is_known_once_its_job_has_ended() -> None:
    assert value(columns_of(start_time=2.0, end_time=9.0), "runtime_s") == 7
    running = columns_of(start_time=2.0, runtime=7.0)
    assert math.isnan(value(running, "runtime_s"))
    assert running.told.tolist() == [Told.SUBMITTED | Told.STARTED]


@pytest.mark.parametrize(
    ("state", "code"),
    [
        ("TIMEOUT", Ending.TIMEOUT),
        ("timeout", Ending.TIMEOUT),
        (None, Ending.UNKNOWN),
        ("RUNNING", Ending.UNKNOWN),
        ("COMPLETED", Ending.COMPLETED),
        ("OUT_OF_MEMORY", Ending.FAILED),
        ("CANCELLED by 12", Ending.CANCELLED),
        ("NODE_FAIL", Ending.LOST),
    ],
)
def test_states_are_told_by_their_first_word(state: str | None, code: int) -> None:
    assert value(columns_of(state=state), "state") == code


def test_cores_and_limit_together_are_the_request() -> None:
    first = columns_of(processors_req=4.0, time_req=100.0)
    assert value(first, "request_id") == value(
        columns_of(processors_req=4.0, time_req=100.0, user="bob", partition="q"), "request_id"
    )
    for other in ({"processors_req": 100.0, "time_req": 4.0}, {"time_req": None}):
        assert value(first, "request_id") != value(columns_of(**other), "request_id")


def test_jobs_that_never_ran_are_no_tokens() -> None:
    ran = columns_of(end_time=5.0, runtime=5.0)
    assert ran.is_token().tolist() == [True]
    assert columns_of(end_time=5.0, runtime=0.0).is_token().tolist() == [False]
    assert columns_of(runtime=5.0).is_token().tolist() == [False]
    assert job_columns(frame([job(submit_time=9.0, end_time=5.0, runtime=3.0)])).is_token()[0] == 0


def test_jobs_are_known_by_id_and_submit_time() -> None:
    idents = [
        int(columns_of(job_id="1").ident[0]),
        int(columns_of(job_id="2").ident[0]),
        int(job_columns(frame([job(submit_time=1.0)])).ident[0]),
    ]
    assert len(set(idents)) == 3
    assert int(columns_of(job_id="1", user="x", end_time=9.0).ident[0]) == idents[0]


def test_who_lacks_a_name_has_no_key_of_it() -> None:
    keys = columns_of(user=None, account=None, job_name="x", partition=None).keys[0]
    having = [key.name for key, found in zip(TOKEN_KEYS, keys, strict=True) if found != NO_KEY]
    assert having == ["strangers"]
    assert len(set(columns_of(user="x", account="x", job_name="x").keys[0].tolist())) == 5


def test_slots_of_all_keys_stand_side_by_side() -> None:
    names = [*(key.name for key in TOKEN_KEYS), "running"]
    taken = [place for name in names for place in range(SLOTS)[slots_of(name)]]
    assert taken == list(range(SLOTS))
    with pytest.raises(KeyError):
        slots_of("nobody")


def test_ids_are_the_same_in_every_process() -> None:
    program = (
        "from tests.history.token_logs import frame, job\n"
        "from rt_predictor.history.columns import job_columns\n"
        "jobs = job_columns(frame([job(submit_time=1.5, job_name='é')]))\n"
        "print(jobs.keys.tolist(), jobs.ident.tolist(), jobs.columns.tobytes().hex())"
    )
    jobs = job_columns(frame([job(submit_time=1.5, job_name="é")]))
    expected = f"{jobs.keys.tolist()} {jobs.ident.tolist()} {jobs.columns.tobytes().hex()}"
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert run.stdout.strip() == expected
    assert TOLD_ALL == 7
