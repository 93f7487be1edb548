"""`rt-predictor predict`."""

import json
from pathlib import Path

import pytest

from rt_predictor.client import Job

FULL = (
    "--processors", 32, "--nodes", 4, "--mem", 128_000, "--time", 3600, "--partition", "normal",
    "--qos", "high",
)  # fmt: skip


def test_people_get_a_few_lines_in_words(run, clients) -> None:
    result = run("predict", *FULL)
    assert result.code == 0
    assert result.out.splitlines() == [
        "understood     32 cores, 4 nodes, 125 GB of memory, limit 1 h, partition normal, QoS high",
        "predicted      47 min as a rule; half of such jobs take 35 min to 59 min",
        "90 % interval  12 min to 1 h 50 min",
        "time limit     1 h; chance to hit it: 12 %",
        "ask for        1 h 30 min, which is enough with a chance of 90 %",
        "models         catboost 50 min, xgboost 45 min",
        "less certain   no finished job of this user is known",
        "less certain   no job of this QoS is known",
        "model version  m1",
    ]
    assert result.err == ""


@pytest.mark.parametrize("arguments", [("--json",), ("--json", "-")])
def test_programs_get_one_document_and_nothing_else(run, clients, arguments) -> None:
    result = run("predict", *FULL, *arguments)
    assert result.err == ""
    assert json.loads(result.out) == {
        "predicted_runtime": 2820.0,
        "confidence_lower": 720.0,
        "confidence_upper": 6600.0,
        "confidence_level": 0.9,
        "timeout_probability": 0.12,
        "recommended_time_req": 5400.0,
        "recommendation_confidence": 0.9,
        "model_predictions": {"xgboost": 2700.0, "catboost": 3000.0},
        "model_version": "m1",
        "flags": ["cold_start_user", "unseen_qos"],
    }


@pytest.mark.parametrize(
    ("option", "field"), [("--confidence", "confidence_level"), ("--quantile", "quantiles")]
)
@pytest.mark.parametrize("level", ["0", "1", "1.5", "nan"])
def test_a_level_that_there_is_not_is_named(run, clients, option, field, level) -> None:
    result = run("predict", *FULL, option, level)
    assert result.code == 2
    assert f"{field} = {float(level)!r}: must lie between 0 and 1" in result.err
    assert clients == []


def test_any_level_and_any_quantiles_can_be_asked_for(run, clients) -> None:
    asked = ("--confidence", 0.8, "--quantile", 0.99, "--quantile", 0.05)
    result = run("predict", *FULL, *asked)
    assert clients[0].jobs[0].confidence_level == 0.8
    assert clients[0].jobs[0].quantiles == (0.25, 0.75, 0.99, 0.05)
    assert "99 % end within  1 h 10 min" in result.out.splitlines()
    assert "5 % end within   26 min" in result.out.splitlines()
    document = json.loads(run("predict", *FULL, *asked, "--json").out)
    assert [one["level"] for one in document["quantiles"]] == [0.99, 0.05]


def test_a_job_may_be_running(run, clients) -> None:
    result = run("predict", *FULL, "--elapsed", "0:20:00")
    (job,) = clients[0].jobs
    assert (job.elapsed, job.as_of - job.submit_time) == (1200.0, 1200.0)
    assert "running        for 20 min; 27 min to go, as a rule" in result.out.splitlines()
    document = json.loads(run("predict", *FULL, "--elapsed", 1200, "--json").out)
    assert document["remaining_runtime"] == 1620.0
    wrong = run("predict", *FULL, "--as-of", 100, "--submit-time", 200)
    assert wrong.code == 2
    assert "as_of = 100.0: must not be before submit_time" in wrong.err


def test_a_job_that_is_asked_about_as_of_a_time_was_submitted_then(run, clients) -> None:
    result = run("predict", *FULL, "--as-of", "2025-01-01")
    assert result.code == 0
    (job,) = clients[0].jobs
    assert (job.as_of, job.submit_time) == (1_735_689_600.0, 1_735_689_600.0)
    assert "submitted 2025-01-01 00:00 UTC" in result.out


def test_of_several_partitions_the_one_that_is_predicted_for_is_told(run, clients) -> None:
    result = run("predict", *FULL, "--partition", "gpu,long")
    assert "partition gpu, QoS" in result.out


def test_it_can_be_told_which_jobs_the_answer_rests_on(run, clients) -> None:
    result = run("predict", *FULL, "--explain")
    assert clients[0].jobs[0].explain
    lines = result.out.splitlines()
    place = next(n for n, line in enumerate(lines) if line.startswith("rests on"))
    assert lines[place : place + 3] == [
        "rests on       jobs of the user 80 %, models and rules 15 %, no job in particular 5 %",
        "  job          50 %: 47 min (ended 2 h before, 32 cores, limit 1 h)",
        "  job          25 %: 45 min (still running)",
    ]
    document = json.loads(run("predict", *FULL, "--explain", "--json").out)["explanation"]
    assert document["own_jobs"][1] == {"share": 0.25, "runtime": 2700.0, "age": 0.0}
    assert document["proposals"] == [{"name": "last2", "runtime": 2760.0, "share": 0.15}]


def test_a_bundle_answers_at_the_level_asked_for(run, predictors, bundle: Path) -> None:
    result = run("predict", *FULL, "--bundle", bundle, "--json", "--confidence", 0.45)
    document = json.loads(result.out)
    assert (document["confidence_level"], document["confidence_upper"]) == (0.45, 2700.0)


def test_a_dash_elsewhere_is_not_swallowed(run, clients) -> None:
    assert run("predict", *FULL, "-").code == 2
    run("predict", *FULL, "--user", "-")
    assert clients[-1].jobs[0].user == "-"


def test_the_service_is_asked_with_every_option(run, clients) -> None:
    result = run(
        "predict", *FULL, "--user", "u", "--account", "a", "--job-name", "j", "--gpus", 0,
        "--submit-time", "2025-01-01T00:00:00Z", "--target", "far:1", "--timeout", 2.5,
        "--confidence", 0.5,
    )  # fmt: skip
    assert result.code == 0
    (client,) = clients
    assert (client.target, client.timeout_s) == ("far:1", 2.5)
    assert client.jobs == [
        Job(
            processors_req=32, nodes_req=4, mem_req=128_000.0, time_req=3600.0, partition="normal",
            qos="high", user="u", account="a", job_name="j", gpus_req=0,
            submit_time=1_735_689_600.0, confidence_level=0.5, quantiles=(0.25, 0.75),
        )
    ]  # fmt: skip


def test_the_service_of_this_machine_is_asked_by_default(run, clients) -> None:
    run("predict", *FULL)
    assert clients[0].target == "localhost:50051"


def test_amounts_can_be_written_as_slurm_does(run, clients) -> None:
    run("predict", *FULL, "--mem", "125G", "--time", "1-00:00:00")
    assert (clients[0].jobs[0].mem_req, clients[0].jobs[0].time_req) == (128_000.0, 86_400.0)


def test_what_is_missing_is_named_by_its_option(run, clients) -> None:
    result = run("predict", "--processors", 32, "--mem", 1, "--time", 60, "--qos", "high")
    assert result.code == 2
    assert result.err == (
        "error: --nodes, --partition not given: add what is missing, or --partial to go without\n"
    )
    assert clients == []


def test_a_job_can_be_partial(run, clients) -> None:
    result = run("predict", "--processors", 32, "--partial")
    assert result.code == 0
    assert "chance to hit it" not in result.out
    assert "understood     32 cores, no time limit" in result.out
    assert clients[0].jobs == [Job(processors_req=32, partial=True, quantiles=(0.25, 0.75))]


@pytest.mark.parametrize("option", ["--processors", "--nodes", "--mem", "--time"])
def test_a_wrong_amount_names_field_value_and_rule(run, clients, option: str) -> None:
    result = run("predict", *FULL, option, "0")
    assert result.code == 2
    assert "_req = 0" in result.err
    assert "must be a" in result.err
    assert clients == []


def test_a_service_that_is_away_is_one_line_and_exit_1(run, clients, service_down) -> None:
    result = run("predict", *FULL)
    assert (result.code, result.err) == (1, "error: no service answers at localhost:50051\n")


def test_a_bundle_answers_without_a_service(run, clients, predictors, bundle: Path) -> None:
    result = run("predict", *FULL, "--bundle", bundle, "--json")
    assert result.code == 0
    assert json.loads(result.out) == {
        "predicted_runtime": 1800.0,
        "confidence_lower": 900.0,
        "confidence_upper": 3600.0,
        "confidence_level": 0.9,
        "timeout_probability": 0.125,
        "recommended_time_req": 3660.0,
        "recommendation_confidence": 0.9,
        "model_predictions": {"xgboost": 1800.0, "lightgbm": 2700.0},
        "model_version": "m1",
        "flags": [],
    }
    assert clients == []
    (predictor,) = predictors
    assert predictor.settings.model.path == bundle
    (row,) = predictor.asked[0].to_dicts()
    assert row["submit_time"] > 1.7e9
    assert (row["user"], row["gpus_req"], row["mem_req"]) == (None, None, 128_000.0)


def test_a_bundle_is_told_what_is_zero_and_what_is_not_known(run, predictors, bundle: Path) -> None:
    result = run(
        "predict", "--partial", "--gpus", 0, "--submit-time", 0, "--bundle", bundle, "--json"
    )
    assert json.loads(result.out)["timeout_probability"] is None
    (row,) = predictors[0].asked[0].to_dicts()
    assert (row["gpus_req"], row["submit_time"], row["time_req"]) == (0.0, 0.0, None)


def test_only_one_can_answer(run, clients, bundle: Path) -> None:
    result = run("predict", *FULL, "--bundle", bundle, "--target", "far:1")
    assert (result.code, result.err) == (
        2, "error: give --target or --bundle, not both: one of them answers\n"
    )  # fmt: skip


def test_a_missing_bundle_exits_3(run, tmp_path: Path) -> None:
    result = run("predict", *FULL, "--bundle", tmp_path / "none")
    assert result.code == 3
    assert result.err.startswith(f"error: no model bundle at {tmp_path / 'none'}: ")
