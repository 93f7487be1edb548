"""The program as its users and their scripts run it, against a real service."""

import json
import re
import shlex
import subprocess
import sys
import textwrap
from pathlib import Path

import polars as pl
import pytest

from rt_predictor.cli.local import NO_HISTORY
from rt_predictor.jobs.schema import REQUEST_SCHEMA
from rt_predictor.traces.generate import generate_jobs
from tests.waiting import PATIENCE_S

from .conftest import PROJECT, Program, Service, environment

JOBS = 300
SWF_LINE = "{n} {submit} 5 100 4 -1 -1 4 {limit} -1 1 3 1 -1 1 1 -1 -1"
SACCT_HEADER = "JobIDRaw|User|Partition|QOS|Submit|Start|End|ElapsedRaw|TimelimitRaw|ReqCPUS|State"
SACCT_LINE = (
    "{n}|u{n}|normal|normal|2024-01-01T00:00:00|2024-01-01T00:01:00|2024-01-01T00:02:00|60|{n}|4|"
    "COMPLETED"
)


PAGES = (PROJECT / "README.md", *sorted(PROJECT.glob("docs/*.md")))
"""Pages whose examples are run."""


def _documented_commands() -> list[str]:
    joined = re.sub(r"\\\n\s*", " ", "\n".join(page.read_text() for page in PAGES))
    found = re.findall(r"^\s*\$?\s*\S*\brt-predictor (predict .*)$", joined, re.MULTILINE)
    return list(dict.fromkeys(" ".join(command.split()) for command in found))


def test_the_readme_shows_how_to_ask() -> None:
    assert "rt-predictor predict --" in PAGES[0].read_text()


@pytest.mark.parametrize("command", _documented_commands())
def test_the_documented_example_answers(program: Program, service: Service, command: str) -> None:
    words = shlex.split(command, comments=True)
    source = [] if {"--target", "--bundle"} & set(words) else ["--target", service.target]
    result = program(*words, *source)
    assert result.returncode == 0, result.stderr
    assert result.stdout
    result = program(*words, *source, *([] if "--json" in words else ["--json"]))
    assert json.loads(result.stdout)["predicted_runtime"] > 0


def test_the_documented_python_runs(service: Service) -> None:
    fenced = r"^( *)```python\n(.*?)^ *```"
    examples = [
        textwrap.dedent(code)
        for page in PAGES
        for _, code in re.findall(fenced, page.read_text(), re.DOTALL | re.MULTILINE)
        if "asyncio.run(" in code
    ]
    assert len(examples) >= 2
    for code in examples:
        result = subprocess.run(
            [sys.executable, "-c", code.replace("localhost:50051", service.target)],
            env=environment(), capture_output=True, text=True, timeout=PATIENCE_S, check=False,
        )  # fmt: skip
        assert result.returncode == 0, result.stderr
        assert result.stdout


def test_a_service_and_its_bundle_say_the_same_of_a_job(
    program: Program, service: Service, bundle: Path
) -> None:
    job = ("predict", "--processors", 8, "--time", "2:00:00", "--submit-time", 1e9, "--partial")
    by_service = program(*job, "--json", "-", "--target", service.target)
    by_bundle = program(*job, "--json", "-", "--bundle", bundle)
    answer = json.loads(by_service.stdout)
    assert answer.pop("model_predictions") == pytest.approx(
        json.loads(by_bundle.stdout)["model_predictions"]
    )
    assert answer.items() <= json.loads(by_bundle.stdout).items()


def test_a_service_and_its_bundle_say_the_same_of_the_model(
    program: Program, service: Service, bundle: Path
) -> None:
    told = [
        json.loads(program("info", "--json", *source).stdout)
        for source in (("--target", service.target), ("--bundle", bundle))
    ]
    for document in told:
        del document["uptime_seconds"], document["predictions_served"]
    assert told[0] == told[1]
    assert "feature" in program("info", "--target", service.target).stdout


def test_health_is_the_exit_code(program: Program, service: Service) -> None:
    assert program("health", "--target", service.target).returncode == 0
    away = program("health", "--target", "localhost:1", "--timeout", PATIENCE_S)
    assert away.returncode == 1
    assert away.stderr.startswith("error: no service answers at localhost:1 (")
    assert away.stderr.count("\n") == 1


def _write(path: Path) -> None:
    """A file of jobs in the format that its name says."""
    requests = generate_jobs(JOBS, seed=3).select("job_id", *REQUEST_SCHEMA)
    match path.suffix:
        case ".csv":
            requests.write_csv(path)
        case ".parquet":
            requests.write_parquet(path)
        case ".jsonl":
            requests.write_ndjson(path)
        case ".swf":
            lines = [SWF_LINE.format(n=n, submit=n, limit=60 * n) for n in range(1, JOBS + 1)]
            path.write_text("; UnixStartTime: 1700000000\n" + "\n".join(lines) + "\n")
        case ".sacct":
            lines = [SACCT_LINE.format(n=n) for n in range(1, JOBS + 1)]
            path.write_text("\n".join([SACCT_HEADER, *lines]) + "\n")


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".jsonl", ".swf", ".sacct"])
def test_a_file_of_any_format_is_scored_alike_by_a_service_and_its_bundle(
    program: Program, service: Service, bundle: Path, tmp_path: Path, suffix: str
) -> None:
    jobs = tmp_path / f"jobs{suffix}"
    _write(jobs)
    tables = []
    for name, source, says in (
        ("a.parquet", ("--target", service.target, "--chunk", 128), ""),
        ("b.parquet", ("--bundle", bundle), f"{NO_HISTORY}\n"),
    ):
        result = program("score", jobs, "-o", tmp_path / name, *source)
        assert (result.returncode, result.stdout, result.stderr) == (0, "", says)
        tables.append(pl.read_parquet(tmp_path / name))
    assert tables[0].equals(tables[1])
    assert len(tables[0]) == JOBS
    assert tables[0]["predicted_runtime"].is_not_null().all()


@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
def test_bad_records_of_a_file_have_an_error_and_the_others_an_answer(
    program: Program, service: Service, tmp_path: Path, suffix: str
) -> None:
    jobs = tmp_path / "jobs.csv"
    jobs.write_text("job_id,processors_req,time_req\na,4,3600\nb,0,3600\nc,4,soon\nd,8,7200\n")
    out = tmp_path / f"out{suffix}"
    result = program("score", jobs, "-o", out, "--target", service.target)
    assert result.returncode == 0
    assert "2 of 4 jobs scored" in result.stderr
    table = pl.read_csv(out) if suffix == ".csv" else pl.read_ndjson(out)
    assert table["job_id"].to_list() == ["a", "b", "c", "d"]
    assert table["error"].is_null().to_list() == [True, False, False, True]
    assert table["predicted_runtime"].is_null().to_list() == [False, True, True, False]


def test_a_real_log_is_scored(
    program: Program, service: Service, tmp_path: Path, trace_path
) -> None:
    log = trace_path("NREL-Eagle-sample1000.csv.gz")
    result = program("score", log, "-o", tmp_path / "o.csv", "--target", service.target)
    assert result.returncode == 0, result.stderr
    table = pl.read_csv(tmp_path / "o.csv")
    assert len(table) == 1000
    assert table["error"].is_null().all()


SMALL_MODEL = {
    f"RT_PREDICTOR_TRAINING__{name}": value
    for name, value in (
        ("THREADS", "1"),
        ("XGBOOST__TREES", "5"),
        ("LIGHTGBM__TREES", "5"),
        ("CATBOOST__TREES", "5"),
    )
}


def test_a_script_gets_one_json_document_and_a_report_of_a_log(
    program: Program, tmp_path: Path
) -> None:
    log = tmp_path / "jobs.csv"
    generate_jobs(1500, seed=3).write_csv(log)
    result = program("evaluate", log, "-o", tmp_path, "--json", "-", **SMALL_MODEL)
    assert result.returncode == 0, result.stderr
    document = json.loads(result.stdout)
    assert document["models"]["ensemble"]["mae"] > 0
    assert "jobs.csv" in (tmp_path / "report.html").read_text()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["jobs.csv", "report.html"]
