"""Messages to jobs and predictions to messages."""

import math

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rt_predictor.api import codec
from rt_predictor.api.answer_bytes import FLAG_NUMBERS
from rt_predictor.api.codec import (
    check_batch_id,
    decode_job,
    decode_jobs,
    decode_many,
    encode_answers,
    encode_batch,
)
from rt_predictor.api.v1 import rt_predictor_pb2 as pb
from rt_predictor.errors import InvalidJobError, InvalidRequestError
from rt_predictor.jobs.asked import ASKED_SCHEMA, NOTHING_ASKED
from rt_predictor.jobs.normal import normal_partition
from rt_predictor.jobs.rules import NUMBER_RULES, TEXT_RULES, NumberRule
from rt_predictor.jobs.schema import REQUEST_SCHEMA
from rt_predictor.model.answer_flags import Flag
from rt_predictor.predict.dispatch import Failed, Scored
from tests.api.harness import job
from tests.predict.answers import predictions_of
from tests.predict.fakes import FakePredictor

NOW = 1_234_567.0
SENT = frozenset(pb.PredictRequest.DESCRIPTOR.fields_by_name)
read = pb.PredictResponse.FromString


def _now() -> float:
    return NOW


def _number(rule: NumberRule) -> st.SearchStrategy[float | int]:
    if rule.whole:
        return st.integers(math.ceil(rule.minimum), math.floor(rule.maximum))
    return st.floats(rule.minimum, rule.maximum)


valid_jobs = st.fixed_dictionaries(
    {
        **{rule.field: st.none() | _number(rule) for rule in NUMBER_RULES},
        **{
            rule.field: st.text(st.characters(exclude_categories=["Cs"]), max_size=rule.max_chars)
            for rule in TEXT_RULES
            if rule.field in SENT
        },
    }
)


@given(st.lists(valid_jobs, max_size=8))
def test_every_field_arrives_and_missing_is_null(
    jobs: list[dict[str, object]],
) -> None:
    decoded = decode_jobs((pb.PredictRequest(**job, partial=True) for job in jobs), _now)
    assert decoded.errors == {}
    expected = [
        {
            **{name: None if job.get(name) == "" else job.get(name) for name in REQUEST_SCHEMA},
            "partition": normal_partition(job["partition"]),
            **NOTHING_ASKED,
            "submit_time": NOW if job["submit_time"] is None else job["submit_time"],
        }
        for job in jobs
    ]
    assert decoded.valid == expected


odd_jobs = st.lists(
    st.fixed_dictionaries(
        {
            "processors_req": st.sampled_from([None, 0, 4, -1]),
            "nodes_req": st.sampled_from([None, 1, 10**7]),
            "gpus_req": st.sampled_from([None, 0, 2]),
            "mem_req": st.sampled_from([None, 1.5, math.nan]),
            "time_req": st.sampled_from([None, 60.0, math.inf]),
            "submit_time": st.sampled_from([None, 0.0, -1.0]),
            "partition": st.sampled_from(["", "p", "x" * 257]),
            "user": st.sampled_from(["", "u", "é" * 257]),
            "request_id": st.sampled_from(["", "1", "y" * 257]),
            "partial": st.booleans(),
            "elapsed": st.sampled_from([None, None, 0.0, 5.0, -1.0]),
            "as_of": st.sampled_from([None, NOW, NOW + 10, -1.0]),
            "confidence_level": st.sampled_from([None, 0.8, 1.0]),
            "quantiles": st.sampled_from([(), (0.1, 0.5), (0.0,)]),
            "explain": st.booleans(),
        }
    ),
    max_size=12,
)


@given(odd_jobs, st.integers(1, 5))
def test_many_jobs_are_read_as_few_are(jobs: list[dict[str, object]], slice_rows: int) -> None:
    requests = [pb.PredictRequest(qos="normal", **fields) for fields in jobs]
    few = decode_jobs(requests, _now)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(codec, "_SLICE_ROWS", slice_rows)
        many = decode_many(requests, _now)
    found = [{**NOTHING_ASKED, **row} for row in many.valid.to_dicts()]
    assert found == [
        {**row, "quantiles": row["quantiles"] and list(row["quantiles"])} for row in few.valid
    ]
    kinds = {**REQUEST_SCHEMA, **ASKED_SCHEMA}
    assert all(kind == kinds[name] for name, kind in many.valid.schema.items())
    assert many.request_ids == few.request_ids
    assert many.errors.keys() == few.errors.keys()
    for place, error in few.errors.items():
        assert (many.errors[place].field, many.errors[place].rule) == (error.field, error.rule)


@given(st.integers(0, 40), st.sets(st.integers(0, 39)), st.integers(1, 7))
def test_invalid_jobs_are_left_out_of_the_frame_whatever_their_places(
    count: int, bad: set[int], slice_rows: int
) -> None:
    requests = [job(processors_req=-1 if n in bad else n + 1) for n in range(count)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(codec, "_SLICE_ROWS", slice_rows)
        decoded = decode_many(requests, _now)
    good = [n for n in range(count) if n not in bad]
    assert decoded.valid["processors_req"].to_list() == [n + 1 for n in good]
    assert set(decoded.errors) == bad & set(range(count))
    assert len(decoded) == count


def test_zero_that_was_sent_is_not_missing() -> None:
    assert decode_job(job(gpus_req=0), _now)["gpus_req"] == 0.0
    assert decode_job(job(), _now)["gpus_req"] is None
    assert decode_job(job(submit_time=0.0), _now)["submit_time"] == 0.0


def test_the_clock_is_read_once_for_all_jobs_that_come_together() -> None:
    readings = iter((1.0, 2.0))
    rows = decode_jobs([job(submit_time=None)] * 3, lambda: next(readings)).valid
    assert [row["submit_time"] for row in rows] == [1.0, 1.0, 1.0]


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"nodes_req": 0}, "nodes_req"),
        ({"mem_req": math.nan}, "mem_req"),
        ({"time_req": math.inf}, "time_req"),
        ({"time_req": 0.0}, "time_req"),
        ({"qos": ""}, "qos"),
        ({"user": "x" * 257}, "user"),
        ({"request_id": "x" * 257}, "request_id"),
        ({"submit_time": -1.0}, "submit_time"),
        ({"confidence_level": 0.0}, "confidence_level"),
        ({"confidence_level": 1.0}, "confidence_level"),
        ({"confidence_level": math.nan}, "confidence_level"),
        ({"quantiles": [0.5, 1.5]}, "quantiles"),
        ({"quantiles": [0.5] * 101}, "quantiles"),
        ({"elapsed": 5.0}, "as_of"),
        ({"elapsed": -1.0, "as_of": 2e9}, "elapsed"),
        ({"elapsed": 7.0, "as_of": 1.7e9 + 5}, "elapsed"),
        ({"as_of": 1.7e9 - 1}, "as_of"),
        ({"time_req": None}, "time_req"),
        ({"gpu_type": "x" * 257}, "gpu_type"),
    ],
)
def test_a_job_that_breaks_a_rule_is_an_error_naming_the_field(
    fields: dict[str, object], field: str
) -> None:
    with pytest.raises(InvalidJobError) as raised:
        decode_job(job(**fields), _now)
    assert raised.value.field == field
    assert [one.field for one in decode_many([job(**fields)], _now).errors.values()] == [field]


def test_a_partial_job_may_lack_required_fields_but_not_break_rules() -> None:
    row = decode_job(pb.PredictRequest(partial=True), _now)
    assert row == {**dict.fromkeys(REQUEST_SCHEMA), **NOTHING_ASKED, "submit_time": NOW}
    with pytest.raises(InvalidJobError, match="nodes_req = 0"):
        decode_job(pb.PredictRequest(partial=True, nodes_req=0), _now)


def test_an_error_keeps_little_of_a_text_that_is_too_long() -> None:
    decoded = decode_jobs([job(job_name="x" * 1_000_000)], _now)
    assert len(str(decoded.errors[0])) < 200
    assert decoded.errors[0].field == "job_name"


def test_an_id_that_is_too_long_is_not_given_back() -> None:
    decoded = decode_jobs([job(request_id="x" * 1000), job(request_id="ok")], _now)
    assert list(decoded.request_ids) == ["", "ok"]
    with pytest.raises(InvalidRequestError, match="batch_id has 257 characters"):
        check_batch_id("x" * 257)
    check_batch_id("x" * 256)


def test_a_job_without_limit_has_no_timeout_probability() -> None:
    jobs = decode_jobs([job(), job()], _now)
    found = predictions_of([1, 2], timeout_probability=np.array([0.5, np.nan]))
    first, second = map(read, encode_answers(jobs, [Scored(range(2), found)]))
    assert first.HasField("timeout_probability")
    assert not second.HasField("timeout_probability")


def test_every_flag_has_a_number_and_every_number_a_flag() -> None:
    numbers = {number for flag in Flag for number in FLAG_NUMBERS[flag]}
    assert numbers == set(pb.PredictionFlag.values()) - {pb.PREDICTION_FLAG_UNSPECIFIED}
    assert len(FLAG_NUMBERS[sum(Flag)]) == len(Flag)


@given(
    st.lists(st.sampled_from(["valid", "invalid"]), max_size=30),
    st.integers(1, 6),
    st.integers(1, 5),
    st.data(),
)
def test_answers_come_in_the_order_of_the_jobs_however_they_were_found(
    kinds: list[str], slice_rows: int, part_rows: int, data: st.DataObject
) -> None:
    requests = [
        job(nodes_req=1 if kind == "valid" else 0, request_id=str(place), processors_req=place + 1)
        for place, kind in enumerate(kinds)
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(codec, "_SLICE_ROWS", slice_rows)
        jobs = decode_many(requests, _now)
        parts: list[Scored | Failed] = []
        failed_rows: set[int] = set()
        for start in range(0, len(jobs.valid), part_rows):
            rows = range(start, min(start + part_rows, len(jobs.valid)))
            if data.draw(st.booleans()):
                frame = jobs.valid[rows.start : rows.stop].with_columns(
                    time_req=pl.col("processors_req") * 2, submit_time=pl.lit(0.0)
                )
                parts.append(Scored(rows, FakePredictor().predict(frame)))
            else:
                parts.append(Failed(rows, RuntimeError("secret")))
                failed_rows |= set(rows)
        answers = list(map(read, encode_answers(jobs, parts)))
        batch = pb.PredictBatchResponse.FromString(encode_batch("b", "v1", jobs, parts))

    assert [answer.request_id for answer in answers] == [str(n) for n in range(len(kinds))]
    row = 0
    failed = 0
    for place, (kind, answer) in enumerate(zip(kinds, answers, strict=True)):
        if kind == "invalid":
            assert (answer.error.code, answer.error.field) == (3, "nodes_req")
        elif row in failed_rows:
            assert answer.error.code == 13
            assert "secret" not in answer.error.message
        else:
            assert answer.predicted_runtime == place + 1
        row += kind == "valid"
        failed += answer.HasField("error")
    assert (batch.batch_id, batch.model_version, batch.failed) == ("b", "v1", failed)
    for one, other in zip(batch.predictions, answers, strict=True):
        if other.error.code == 13:  # each encoding logs an error under an id of its own
            one.error.message = other.error.message
        assert one == other


def test_every_job_is_answered_as_it_asks() -> None:
    asked = [None, 0.5, 0.95, 1.0, 0.8]
    requests = [
        job(request_id=str(n), confidence_level=level, quantiles=[0.1] * n)
        for n, level in enumerate(asked)
    ]
    few, many = decode_jobs(requests, _now), decode_many(requests, _now)
    assert len(few.valid) == len(many.valid) == 4
    found = FakePredictor().predict(few.valid)
    parts = [Scored(range(4), found)]
    streamed = list(map(read, encode_answers(few, parts)))
    for decoded in (few, many):
        assert "must lie between 0 and 1" in str(decoded.errors[3])
        batch = pb.PredictBatchResponse.FromString(encode_batch("b", "v7", decoded, parts))
        levels = [answer.confidence_level for answer in batch.predictions]
        assert levels == [0.9, 0.5, 0.95, 0.0, 0.8]
        assert [len(answer.quantiles) for answer in batch.predictions] == [0, 1, 2, 0, 4]
        assert list(batch.predictions) == streamed
