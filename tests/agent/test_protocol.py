"""The line protocol: what is understood, and what is said of the rest."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rt_predictor.agent.protocol import (
    LineError,
    Op,
    Reason,
    Request,
    error_line,
    fallback_line,
    line,
    parse,
)
from rt_predictor.client import Job

from .fakes import job


def of(**names: object) -> bytes:
    return json.dumps({"v": 1, **names}).encode()


def test_a_job_has_the_fields_and_units_of_the_api() -> None:
    fields = {
        "processors_req": 4, "nodes_req": 1, "mem_req": 1000, "time_req": 3600,
        "partition": "normal", "qos": "high", "user": "al", "account": "lab", "job_name": "sim",
        "gpus_req": 0, "submit_time": 1.7e9, "request_id": "r", "partial": False,
        "confidence_level": 0.5, "quantiles": [0.1, 0.9], "elapsed": 60, "as_of": 1.7e9 + 90,
        "explain": True, "cluster": "one", "array_job_id": "7", "array_task_id": "1",
        "het_job_id": "", "gpu_type": "a100",
    }  # fmt: skip
    assert set(fields) == {*vars(Job())}
    expected = Job(**{**fields, "quantiles": (0.1, 0.9)})  # type: ignore[arg-type]
    assert parse(of(id="x", job=fields)) == Request(Op.PREDICT, "x", expected)


def test_whole_numbers_may_be_written_as_lua_does() -> None:
    request = parse(b'{"v":1.0,"id":2,"job":{"processors_req":4.0,"time_req":6e2,"partial":true}}')
    assert request == Request(Op.PREDICT, 2, Job(processors_req=4, time_req=600.0, partial=True))
    assert isinstance(request.job.processors_req, int)  # type: ignore[union-attr]


def test_null_is_not_known() -> None:
    request = parse(of(job={"time_req": None, "user": None, "partial": True}))
    assert request.job == Job(partial=True)


def test_half_a_surrogate_pair_is_a_letter_that_cannot_be_read() -> None:
    request = parse(b'{"v":1,"job":{"partial":true,"user":"a\\ud800","job_name":"\\ud83d\\ude00"}}')
    assert request.job == Job(partial=True, user="a?", job_name="😀")


def test_an_id_is_json_again_in_the_answer() -> None:
    with pytest.raises(LineError, match='"id" must be') as refused:
        parse(b'{"v":1,"id":1e999,"op":"ping"}')
    assert json.loads(error_line(refused.value), parse_constant=pytest.fail)["v"] == 1


@pytest.mark.parametrize("op", [Op.PING, Op.STATS])
def test_other_requests_need_no_job(op: Op) -> None:
    assert parse(of(op=op.value, id=1)) == Request(op, 1)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (b"hello", "the line is not JSON"),
        (b"[" * 5000, "the line is not JSON"),
        (b'{"v":1,"job":{"time_req":NaN}}', "NaN is no JSON number"),
        (b"[1]", "the line is not a JSON object"),
        (b"{}", '"v" = null: this agent speaks version 1'),
        (of(v=2), '"v" = 2: this agent speaks version 1'),
        (of(jobs=[]), 'unknown name "jobs"'),
        (of(op="stop"), '"op" = "stop": must be one of "predict", "ping", "stats"'),
        (of(op=[1]), '"op" = [1]: must be one of'),
        (of(id=[1]), '"id" must be a number or text'),
        (of(id=True), '"id" must be a number or text'),
        (of(id="x" * 300), '"id" must be a number or text'),
    ],
)
def test_a_line_that_makes_no_sense_is_told_why(text: bytes, says: str) -> None:
    with pytest.raises(LineError) as caught:
        parse(text)
    assert says in str(caught.value)
    assert json.loads(error_line(caught.value))["error"]["code"] == "INVALID_ARGUMENT"


@pytest.mark.parametrize(
    ("fields", "field", "says"),
    [
        ({"time": 5}, "time", "no such field; did you mean time_req?"),
        ({"processors_req": 1.5}, "processors_req", "must be a whole number"),
        ({"processors_req": "4"}, "processors_req", "must be a number"),
        ({"processors_req": True}, "processors_req", "must be a number"),
        ({"processors_req": 0}, "processors_req", "from 1 to 100,000,000"),
        ({"time_req": 10**400}, "time_req", "must be a number of at most 1e308"),
        ({"time_req": -5}, "time_req", "from 1 to"),
        ({"user": 7}, "user", "must be text"),
        ({"user": "u" * 257}, "user", "at most 256 characters"),
        ({"partial": 1}, "partial", "must be true or false"),
        ({"partial": False}, "processors_req", "required"),
        ({"confidence_level": 1.5}, "confidence_level", "must lie between 0 and 1"),
        ({"quantiles": 0.5}, "quantiles", "must be a list of numbers"),
        ({"quantiles": [0.5, "a"]}, "quantiles", "must be a list of numbers"),
        ({"quantiles": [0.5, 1]}, "quantiles", "must lie between 0 and 1"),
        ({"elapsed": 5}, "as_of", "required with elapsed"),
    ],
)
def test_a_job_that_breaks_a_rule_is_told_field_and_rule(
    fields: dict[str, object], field: str, says: str
) -> None:
    with pytest.raises(LineError) as caught:
        parse(json.dumps({**job(**fields), "id": 5}).encode())
    answer = json.loads(error_line(caught.value))
    assert (answer["id"], answer["error"]["field"]) == (5, field)
    assert says in answer["error"]["message"]


@pytest.mark.parametrize("given", [None, [], 5, "job"])
def test_a_job_is_an_object(given: object) -> None:
    with pytest.raises(LineError, match=r"^job .*must be an object"):
        parse(of(job=given))


texts = st.text('a1ä"\n', max_size=5)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=5,
)
requests = st.fixed_dictionaries(
    {"v": st.sampled_from([1, 1.0, 2, "1"])},
    optional={
        "id": json_values,
        "op": st.sampled_from(["predict", "ping", "x"]) | json_values,
        "job": st.dictionaries(st.sampled_from([*vars(Job()), "x"]), json_values) | json_values,
    },
)


@settings(deadline=None)
@given(st.binary(max_size=60) | requests.map(lambda found: json.dumps(found).encode()))
def test_whatever_comes_is_understood_or_refused_in_one_line(text: bytes) -> None:
    try:
        parse(text)
    except LineError as error:
        answer = error_line(error)
        assert answer.count(b"\n") == 1
        assert len(answer) < 2000
        assert json.loads(answer)["v"] == 1


def test_answers_are_one_line_of_ascii_with_the_id_of_the_request() -> None:
    assert line("ä\n", pong=True) == b'{"v":1,"id":"\\u00e4\\n","pong":true}\n'
    assert line(None, pong=True) == b'{"v":1,"pong":true}\n'
    assert fallback_line(3, Reason.AWAY) == b'{"v":1,"id":3,"fallback":true,"reason":"away"}\n'
