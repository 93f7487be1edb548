"""`squeue --json` of several versions of Slurm (made up, in the forms that these print)."""

import json
from pathlib import Path

import pytest

from rt_predictor.errors import TraceError
from rt_predictor.traces import RequestLog, read_squeue

GOLDEN = Path(__file__).parent / "golden"
VERSIONS = sorted(path.name for path in GOLDEN.glob("squeue-*.json"))


@pytest.fixture
def read(tmp_path: Path):
    """Reads a document, or jobs of one."""

    def read(document: object) -> RequestLog:
        path = tmp_path / "queue.json"
        path.write_text(document if isinstance(document, str) else json.dumps(document))
        return read_squeue(path)

    return read


@pytest.fixture
def one(read):
    """Reads one job of these fields."""

    def one(**fields: object) -> dict[str, object]:
        return read({"jobs": [{"job_id": 1, **fields}]}).jobs.row(0, named=True)

    return one


def _set(number: float) -> dict[str, object]:
    return {"set": True, "infinite": False, "number": number}


def test_there_are_versions_to_read() -> None:
    assert len(VERSIONS) == 3


@pytest.mark.parametrize("version", VERSIONS)
def test_every_version_says_the_same(version: str) -> None:
    log = read_squeue(GOLDEN / version)
    assert log.jobs.to_dict(as_series=False) == {
        "submit_time": [1_700_000_000.0, 1_700_000_060.0, 1_700_000_120.0, 1_699_990_000.0],
        "processors_req": [8.0, 16.0, 1.0, 32.0],
        "nodes_req": [2.0, 2.0, 1.0, 1.0],
        "mem_req": [8192.0, 16_000.0, 500.0, 64_000.0],
        "gpus_req": [0.0, 4.0, 1.0, 0.0],
        "time_req": [5400.0, None, 600.0, 86_400.0],
        "partition": ["normal", "gpu", "normal", "normal"],
        "qos": ["normal", "normal", None, "normal"],
        "user": ["alice", "bob", "alice", "alice"],
        "account": ["physics", "physics", None, "physics"],
        "job_name": ["lattice", "train net", "sweep", "running"],
        **dict.fromkeys(["cluster", "array_job_id", "array_task_id", "het_job_id"], [None] * 4),
        "gpu_type": [None, None, "a100", None],
        "job_id": ["101", "102", "103", "104"],
        "start_time": [None, None, None, 1_699_999_000.0],
        "state": ["PENDING", "PENDING", "PENDING", "RUNNING"],
        "attempt": [None] * 4,
        "malformed": [None] * 4,
    }


@pytest.mark.parametrize(
    ("limit", "time_req"),
    [
        (90, 5400.0),
        (_set(90), 5400.0),
        ({"number": 90}, 5400.0),
        ({"set": False, "infinite": False, "number": 90}, None),
        ({"set": True, "infinite": True, "number": 0}, None),
        ({"set": False, "infinite": True, "number": 0}, None),
        (None, None),
        (0, None),
        (float("inf"), None),
        (float("nan"), None),
        ("Infinity", None),
        (0xFFFF_FFFE, None),
        (0xFFFF_FFFF, None),
    ],
)
def test_a_limit_that_is_none_is_missing(one, limit: object, time_req: float | None) -> None:
    assert one(time_limit=limit)["time_req"] == time_req


@pytest.mark.parametrize(
    ("fields", "gpus"),
    [
        ({"tres_req_str": "cpu=4,gres/gpu=3"}, 3.0),
        ({"tres_req_str": "cpu=4,gres/gpu:a100=1,gres/gpu:1g.5gb=2"}, 3.0),
        ({"tres_per_job": "gres:gpu:5"}, 5.0),
        ({"tres_per_node": "gres/gpu", "node_count": 3}, 3.0),
        ({"tres_per_node": "gres:gpu:a100:2(S:0-1),gres:gpu:v100:1", "node_count": 2}, 6.0),
        ({"tres_per_node": "gres/gpu:1g.5gb", "node_count": 1}, 1.0),
        ({"tres_per_task": "gres/gpu=2", "tasks": _set(4)}, 8.0),
        ({"tres_per_node": "gres/shard:4", "node_count": 1}, 0.0),
        ({}, 0.0),
    ],
)
def test_gpus_are_those_of_the_whole_job(one, fields: dict[str, object], gpus: float) -> None:
    assert one(**fields)["gpus_req"] == gpus


def test_the_kind_of_gpu_is_that_of_the_first(one) -> None:
    assert one(tres_req_str="cpu=4,gres/gpu=3,gres/gpu:a100=1")["gpu_type"] == "a100"
    assert one(tres_per_node="gres:gpu:v100:2(S:0-1)")["gpu_type"] == "v100"
    assert one(tres_per_node="gres:gpu:2")["gpu_type"] is None


def test_identity_and_start_are_read_in_both_forms_of_numbers(one) -> None:
    for number in (int, _set):
        job = one(
            cluster="alpha", array_job_id=number(7), array_task_id=number(0),
            het_job_id=number(0), restart_cnt=number(1), start_time=number(1_700_000_000),
            job_state="RUNNING",
        )  # fmt: skip
        assert job["cluster"] == "alpha"
        assert (job["array_job_id"], job["array_task_id"], job["het_job_id"]) == ("7", "0", None)
        assert (job["attempt"], job["start_time"]) == (1.0, 1_700_000_000.0)


def test_no_array_is_named_where_there_is_none(one) -> None:
    job = one(array_job_id=0, array_task_id={"set": False, "infinite": False, "number": 0})
    assert (job["array_job_id"], job["array_task_id"]) == (None, None)


def test_the_expected_start_of_a_waiting_job_is_no_start(one) -> None:
    assert one(job_state="PENDING", start_time=1_700_000_000)["start_time"] is None


def test_memory_for_each_core_or_node_is_made_that_of_the_job(one) -> None:
    assert one(memory_per_cpu=_set(1000), cpus=8)["mem_req"] == 8000.0
    assert one(memory_per_node=_set(1000), node_count=_set(3))["mem_req"] == 3000.0


def test_one_bad_job_leaves_the_others(read) -> None:
    log = read({"jobs": [{"job_id": 1}, 7, {"job_id": 2, "cpus": [1]}, {"job_id": 3}]})
    assert log.jobs["job_id"].to_list() == ["1", None, "2", "3"]
    assert log.jobs["malformed"].to_list() == [
        None,
        "the job is not a JSON object: '7'",
        "cpus = '[1]': must be a number",
        None,
    ]


def test_text_that_is_no_unicode_is_read(read) -> None:
    log = read('{"jobs": [{"job_id": 1, "name": "a\\ud800"}]}')
    assert log.jobs["job_name"].to_list() == ["a?"]


def test_an_empty_queue_has_no_jobs(read) -> None:
    assert read({"jobs": [], "errors": []}).jobs.is_empty()


@pytest.mark.parametrize(
    ("document", "says"),
    [
        ('{"jobs": [{"job_id": 1},', "is it cut short?"),
        ("[" * 100_000, "nested too deep"),
        ({"job_id": 7}, "it has no list named jobs"),
        ({"jobs": 7}, "it has no list named jobs"),
        ([1], "it has no list named jobs"),
        (
            {"jobs": [], "errors": [{"error": "E", "description": "Unable to contact slurm"}]},
            "an error of squeue: Unable to contact slurm",
        ),
        (
            {"jobs": [{"job_id": 1, "required": {}, "steps": [], "association": {}}]},
            "is from `sacct --json`: take `sacct -P`",
        ),
    ],
)
def test_what_is_no_queue_says_so(read, document: object, says: str) -> None:
    with pytest.raises(TraceError, match=r"queue\.json") as caught:
        read(document)
    assert says in str(caught.value)
