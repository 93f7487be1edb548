"""`rt-predictor score`: any file in, one row a job out."""

import gzip
import json
import time
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from rt_predictor.cli.local import NO_HISTORY
from rt_predictor.jobs.schema import REQUEST_SCHEMA

COLUMNS = [
    "job_id", "predicted_runtime", "confidence_lower", "confidence_upper", "confidence_level",
    "timeout_probability", "recommended_time_req", "model_version", "flags", "error",
]  # fmt: skip

NO_CORES = (
    "processors_req = 0.0: must be a whole number from 1 to 100,000,000 (cores of the whole job)"
)
HEADER = "job_id,processors_req,nodes_req,mem_req,time_req,partition,qos,user,submit_time"
CSV = f"""{HEADER}
a,32,4,128000,3600,normal,high,alice,2025-01-01T00:00:00Z
b,0,4,128000,3600,normal,high,alice,1735689600
c,32,4,125G,2:00:00,normal,high,alice,
"""
SWF = """; UnixStartTime: 1700000000
7 10 5 100 4 -1 -1 4 600 -1 1 3 1 -1 1 1 -1 -1
8 20 5 100 4 -1 -1 4 -1 -1 1 3 1 -1 1 1 -1 -1
9 20 5 -1 4 -1 -1 4 600 -1 5 3 1 -1 1 1 -1 -1
"""
SACCT = """JobIDRaw|User|Partition|QOS|Submit|Start|End|ElapsedRaw|TimelimitRaw|ReqCPUS|State
11|u|p|q|2024-01-01T00:00:00|2024-01-01T00:01:00|2024-01-01T00:02:00|60|10|4|COMPLETED
11.0|u|p|q|2024-01-01T00:00:00|2024-01-01T00:01:00|2024-01-01T00:02:00|60|10|4|COMPLETED
12|u|p|q|2024-01-01T00:00:00|2024-01-01T00:01:00|Unknown|60|20|4|RUNNING
13|u|p|q|2024-01-01T00:05:00|Unknown|Unknown|0|20|4|PENDING
"""
SQUEUE = {
    "meta": {},
    "jobs": [
        {"job_id": 31, "job_state": ["PENDING"], "time_limit": {"set": True, "number": 90}},
        {"job_id": 32, "job_state": ["RUNNING"], "time_limit": {"set": True, "number": 10}},
        {"job_id": 33, "job_state": ["PENDING"], "time_limit": "soon"},
    ],
}


def _read(path: Path) -> pl.DataFrame:
    match path.suffix:
        case ".csv":
            return pl.read_csv(path, schema_overrides={"job_id": pl.String})
        case ".parquet":
            return pl.read_parquet(path)
        case _:
            return pl.read_ndjson(path)


@pytest.fixture
def stdin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Puts a text in the place of stdin."""
    with ExitStack() as files:

        def put(text: str) -> None:
            path = tmp_path / "typed"
            path.write_text(text)
            monkeypatch.setattr("sys.stdin", files.enter_context(path.open()))

        yield put


@pytest.fixture
def score(run, bundle: Path, tmp_path: Path, predictors):
    """Scores a file's content with a bundle; gives the table, the result and what was asked."""

    def score(name: str, content: str | bytes, *arguments: object, out: str = "out.parquet"):
        source, target = tmp_path / name, tmp_path / out
        source.write_bytes(content.encode() if isinstance(content, str) else content)
        result = run("score", source, "-o", target, "--bundle", bundle, *arguments)
        assert result.code == 0, result.err
        asked = predictors[-1].asked
        return _read(target), result, pl.concat(asked or [pl.DataFrame(schema=REQUEST_SCHEMA)])

    return score


# what comes out


@pytest.mark.parametrize("out", ["out.csv", "out.parquet", "out.jsonl"])
def test_every_job_has_its_row_in_its_place(score, out: str) -> None:
    table, result, _ = score("jobs.csv", CSV, out=out)
    assert table.columns == COLUMNS
    assert table["job_id"].to_list() == ["a", "b", "c"]
    assert table["predicted_runtime"].to_list() == [1800.0, None, 3600.0]
    assert table["confidence_lower"].to_list() == [900.0, None, 1800.0]
    assert table["confidence_upper"].to_list() == [3600.0, None, 7200.0]
    assert table["confidence_level"].to_list() == [0.9, None, 0.9]
    assert table["timeout_probability"].to_list() == [0.125, None, 0.125]
    assert table["recommended_time_req"].to_list() == [3660.0, None, 7260.0]
    assert table["model_version"].to_list() == ["m1", None, "m1"]
    assert table["error"].to_list() == [None, NO_CORES, None]
    assert result.out == ""


def test_what_could_not_be_predicted_is_counted_on_stderr(score, tmp_path: Path) -> None:
    _, result, _ = score("jobs.csv", CSV)
    assert result.err.splitlines()[1:] == [
        f"2 of 3 jobs scored into {tmp_path / 'out.parquet'}; 1 has an error: {NO_CORES}"
    ]


def test_in_a_pipe_success_is_silent(run, clients, tmp_path: Path) -> None:
    (tmp_path / "jobs.csv").write_text("time_req\n60\n")
    result = run("score", tmp_path / "jobs.csv", "-o", tmp_path / "o.csv", "--target", "far:1")
    assert (result.out, result.err) == ("", "")


def test_a_bundle_says_that_it_knows_no_history(score) -> None:
    _, result, _ = score("jobs.csv", "time_req\n60\n")
    assert result.out == ""
    assert result.err == f"{NO_HISTORY}\n"
    assert "rt-predictor history import" in NO_HISTORY


def test_on_a_terminal_progress_and_result_are_shown_on_stderr(
    score, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")  # rich takes this for a terminal
    _, result, _ = score("jobs.csv", "time_req\n60\n120\n")
    assert result.out == ""
    assert "scoring" in result.err
    assert "2 of 2 jobs scored into" in result.err


def test_flags_are_names_with_spaces_between(score) -> None:
    table, _, _ = score("jobs.csv", "nodes_req\n1\n")
    assert table["flags"].to_list() == ["cold_start_user no_time_limit"]
    assert table["timeout_probability"].to_list() == [None]


def test_a_record_without_an_id_has_its_number(score) -> None:
    table, _, _ = score("jobs.csv", "job_id,time_req\n,60\nx,60\n,60\n")
    assert table["job_id"].to_list() == ["1", "x", "3"]


def test_what_stood_at_the_output_is_replaced_whole_and_nothing_else_is_left(
    score, tmp_path: Path
) -> None:
    (tmp_path / "out.parquet").write_text("old")
    score("jobs.csv", CSV)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["jobs.csv", "out.parquet"]


def test_a_failure_leaves_what_stood_at_the_output(
    run, clients, service_down, tmp_path: Path
) -> None:
    (tmp_path / "jobs.csv").write_text(CSV)
    (tmp_path / "out.csv").write_text("old")
    result = run("score", tmp_path / "jobs.csv", "-o", tmp_path / "out.csv")
    assert result.code == 1
    assert (tmp_path / "out.csv").read_text() == "old"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["jobs.csv", "out.csv"]


@pytest.mark.parametrize(
    ("output", "says"),
    [
        ("out.xlsx", "name it *.csv, *.parquet, *.jsonl"),
        ("none/out.csv", "none does not exist"),
        ("folder.csv", "is a folder: name a file"),
        ("jobs.csv", "is the input: choose another file"),
    ],
)
def test_an_output_that_cannot_be_is_refused_before_any_work(
    run, predictors, tmp_path: Path, output: str, says: str
) -> None:
    (tmp_path / "folder.csv").mkdir()
    (tmp_path / "jobs.csv").write_text(CSV)
    result = run("score", tmp_path / "jobs.csv", "-o", tmp_path / output, "--bundle", "b")
    assert result.code == 2
    assert says in result.err
    assert predictors == []


def test_a_full_disk_is_one_line(
    score, run, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pl.DataFrame, "write_csv", full)
    (tmp_path / "jobs.csv").write_text(CSV)
    result = run("score", tmp_path / "jobs.csv", "-o", tmp_path / "out.csv", "--bundle", bundle)
    assert result.code == 2
    says = f"error: cannot write {tmp_path / 'out.csv'}: No space left on device"
    assert result.err.splitlines()[1:] == [says]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "give INPUT (- is stdin) or a folder to watch (--spool), not both"),
        (["x.csv", "--spool", "."], "not both"),
        (["--spool", "."], "name the folder that answers go to: -o DIR"),
        (["--spool", "none", "-o", "answers"], "none is no folder"),
    ],
)
def test_what_makes_no_sense_is_refused(run, bundle: Path, arguments: list[str], says: str) -> None:
    result = run("score", *arguments, "--bundle", bundle)
    assert (result.code, result.out) == (2, "")
    assert says in result.err


def test_a_folder_is_emptied_into_another(run, bundle: Path, tmp_path: Path) -> None:
    jobs, answers = tmp_path / "jobs", tmp_path / "answers"
    jobs.mkdir()
    (jobs / "a.csv").write_text(CSV)
    (jobs / "queue.json").write_text(json.dumps(SQUEUE))
    result = run(
        "score", "--spool", jobs, "-o", answers, "--once", "--to", "csv", "--bundle", bundle
    )
    assert (result.code, result.out, result.err) == (0, "", f"{NO_HISTORY}\n")
    assert _read(answers / "a.csv.csv")["job_id"].to_list() == ["a", "b", "c"]
    assert _read(answers / "queue.json.csv")["job_id"].to_list() == ["31", "33"]


# what goes in


def test_csv_is_read_into_requests(score) -> None:
    _, _, asked = score("jobs.csv", CSV)
    assert asked.columns == list(REQUEST_SCHEMA)
    assert asked["mem_req"].to_list() == [128_000.0, 128_000.0]
    assert asked["time_req"].to_list() == [3600.0, 7200.0]
    assert asked["submit_time"][0] == 1_735_689_600.0
    assert asked["submit_time"][1] > 1.7e9, "a job without a submit time is submitted now"
    assert asked["user"].to_list() == ["alice", "alice"]


def test_memory_for_each_core_is_made_that_of_the_job(score) -> None:
    _, _, asked = score(
        "jobs.csv", "processors_req,nodes_req,mem_req\n8,2,1000Mc\n8,2,1Gn\n8,2,10\n"
    )
    assert asked["mem_req"].to_list() == [8000.0, 2048.0, 10.0]


def test_no_column_is_required_but_one_that_describes_a_job(
    score, run, bundle: Path, tmp_path: Path
) -> None:
    table, _, _ = score("jobs.csv", "user\nalice\n")
    assert len(table) == 1
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    result = run("score", tmp_path / "other.csv", "-o", tmp_path / "o.csv", "--bundle", bundle)
    assert result.code == 1
    assert "has no column that describes a job; it has a, b: rename" in result.err


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ("abc,,,", "nodes_req = 'abc': must be a number"),
        (",much,,", "mem_req = 'much': must be an amount of memory"),
        (",,soon,", "time_req = 'soon': must be a time span"),
        (",,,tomorrow", "submit_time = 'tomorrow': must be a time"),
        ("1.5,,,", "nodes_req = 1.5: must be a whole number"),
        ("1,,,,5", "the record has more than 4 fields"),
        (f"{'9' * 100}x,,,", f"nodes_req = '{'9' * 80}…': must be a number"),
    ],
)
def test_a_bad_record_is_an_error_in_its_place(score, row: str, says: str) -> None:
    table, _, asked = score(
        "jobs.csv", f"nodes_req,mem_req,time_req,submit_time\n1,1,1,1\n{row}\n2,2,2,2\n"
    )
    assert [error is None for error in table["error"]] == [True, False, True]
    assert table["error"][1].startswith(says)
    assert asked["nodes_req"].to_list() == [1.0, 2.0]


def test_semicolons_short_records_and_blank_lines_are_read(score) -> None:
    table, _, asked = score("jobs.csv", "nodes_req;user\n1;a\n\n2\n")
    assert table["error"].to_list() == [None, None]
    assert asked["user"].to_list() == ["a", None]


@pytest.mark.parametrize("stray", ['"x"y"', '5" disk', '"b" or "c"'])
def test_a_stray_quote_harms_its_record_alone(score, stray: str) -> None:
    table, _, asked = score("jobs.csv", f"nodes_req,job_name\n1,a\n2,{stray}\n3,d\n")
    assert table["error"].to_list() == [None] * 3
    assert asked["nodes_req"].to_list() == [1.0, 2.0, 3.0]
    assert asked["job_name"].to_list()[::2] == ["a", "d"]


def test_compressed_files_are_read(score) -> None:
    table, _, _ = score("jobs.csv.gz", gzip.compress(CSV.encode()))
    assert len(table) == 3


def test_files_without_jobs_give_no_rows(run, bundle: Path, tmp_path: Path) -> None:
    for name, content in (("a.csv", "nodes_req\n"), ("b.csv", "nodes_req")):
        (tmp_path / name).write_text(content)
        result = run("score", tmp_path / name, "-o", tmp_path / "o.csv", "--bundle", bundle)
        assert (result.code, result.err) == (0, f"{NO_HISTORY}\n")
        assert (tmp_path / "o.csv").read_text() == ",".join(COLUMNS) + "\n"


def test_a_log_in_csv_holds_zero_for_not_asked(score) -> None:
    head = "submit_time,nodes_req,mem_req"
    table, _, asked = score("log.csv", f"{head},runtime\n1,0,0,50\n")
    assert (table["error"].to_list(), asked["mem_req"].to_list()) == ([None], [None])
    table, _, _ = score("requests.csv", f"{head}\n1,0,0\n")
    assert table["error"][0].startswith("nodes_req = 0.0")


def test_a_column_map_says_which_column_is_which(score, tmp_path: Path) -> None:
    columns = tmp_path / "map.toml"
    columns.write_text('time_req = { column = "limit", unit = "min" }\nuser = "who"')
    _, _, asked = score("jobs.csv", "limit,who\n10,alice\n", "--columns", columns)
    assert (asked["time_req"].to_list(), asked["user"].to_list()) == ([600.0], ["alice"])


def test_a_mapped_column_that_is_not_there_is_named(run, bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "map.toml").write_text('user = "who"')
    (tmp_path / "jobs.csv").write_text("limit\n10\n")
    result = run(
        "score", tmp_path / "jobs.csv", "-o", tmp_path / "o.csv", "--bundle", bundle,
        "--columns", tmp_path / "map.toml",
    )  # fmt: skip
    assert result.code == 1
    assert "has no column 'who'; it has limit" in result.err


def test_a_time_zone_holds_for_times_without_one(score) -> None:
    _, _, asked = score(
        "jobs.csv", "submit_time\n2025-01-01T01:00:00\n", "--timezone", "Europe/Paris"
    )
    assert asked["submit_time"].to_list() == [1_735_689_600.0]


@pytest.mark.parametrize(
    "content",
    ["nodes_req,nodes_req\n1,2\n", 'nodes_req,user\n1,"open\n2,b\n'],
    ids=["twice", "quote"],
)
def test_a_csv_file_that_cannot_be_read_is_one_line(
    run, bundle: Path, tmp_path: Path, content: str
) -> None:
    (tmp_path / "jobs.csv").write_text(content)
    result = run("score", tmp_path / "jobs.csv", "-o", tmp_path / "o.csv", "--bundle", bundle)
    assert result.code == 1
    assert result.err.startswith("error: ")
    assert "jobs.csv" in result.err
    assert result.err.count("\n") == 1


def test_jsonl_is_one_request_a_line(score) -> None:
    lines = [
        {"request_id": "a", "nodes_req": 4, "time_req": 3600.5, "user": "alice", "gpus_req": None},
        {"nodes_req": "2", "mem_req": "1G"},
        {},
        {"nodes_req": 1, "extra": {"x": 1}},
    ]
    table, _, asked = score("jobs.jsonl", "\n\n".join(map(json.dumps, lines)))
    assert table["job_id"].to_list() == ["a", "2", "3", "4"]
    *good, extra = table["error"].to_list()
    assert good == [None, None, None]
    assert "extra = {'x': 1}: no such field" in extra
    assert asked["nodes_req"].to_list() == [4.0, 2.0, None]
    assert asked["mem_req"].to_list() == [None, 1024.0, None]


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("{", "the line is not JSON"),
        ("[1]", "the line is not a JSON object: '[1]'"),
        ('{"nodes_req": [1]}', "nodes_req = [1]: must be a number or text"),
        ('{"nodes_req": true}', "nodes_req = True: must be a number or text"),
        ('{"nodes_req": NaN, "time_req": -1}', "time_req = -1.0: must be a number"),
        ('{"nodes_req": 0}', "nodes_req = 0.0: must be a whole number"),
    ],
)
def test_a_bad_line_is_an_error_in_its_place(score, line: str, says: str) -> None:
    good = '{"nodes_req": 1}'
    table, _, _ = score("jobs.ndjson", f"{good}\n{line}\n{good}\n")
    assert [error is None for error in table["error"]] == [True, False, True]
    assert table["error"][1].startswith(says)


def test_jsonl_is_known_by_its_content(score) -> None:
    table, _, _ = score("jobs.txt", '{"nodes_req": 1}\n')
    assert len(table) == 1


def test_parquet_is_read_as_it_is_typed(score, tmp_path: Path) -> None:
    source = pl.DataFrame(
        {
            "job_id": [7.0, None],
            "nodes_req": pl.Series([1, 2], dtype=pl.UInt8),
            "time_req": [3600.5, None],
            "submit_time": [datetime(2025, 1, 1, tzinfo=UTC)] * 2,
            "user": pl.Series(["a", None], dtype=pl.Categorical),
            "account": [["nested"], ["nested"]],
        }
    )
    source.write_parquet(tmp_path / "source.parquet")
    table, _, asked = score("jobs.parquet", (tmp_path / "source.parquet").read_bytes())
    assert table["job_id"].to_list() == ["7", "2"]
    assert asked["nodes_req"].to_list() == [1.0, 2.0]
    assert asked["time_req"].to_list() == [3600.5, None]
    assert asked["submit_time"].to_list() == [1_735_689_600.0] * 2
    assert asked["user"].to_list() == ["a", None]
    assert asked["account"].to_list() == [None, None]


def test_spans_of_parquet_are_seconds(score, tmp_path: Path) -> None:
    source = pl.DataFrame({"time_req": [timedelta(hours=1)]})
    source.write_parquet(tmp_path / "source.parquet")
    _, _, asked = score("jobs.parquet", (tmp_path / "source.parquet").read_bytes())
    assert asked["time_req"].to_list() == [3600.0]


def test_damaged_parquet_is_one_line(run, bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "jobs.parquet").write_bytes(b"PAR1 and then nothing")
    result = run("score", tmp_path / "jobs.parquet", "-o", tmp_path / "o.csv", "--bundle", bundle)
    assert result.code == 1
    assert "jobs.parquet as Parquet" in result.err


def test_a_swf_log_gives_its_finished_jobs(score) -> None:
    table, result, asked = score("log.swf", SWF)
    assert table["job_id"].to_list() == ["7", "8"]
    assert table["predicted_runtime"].to_list() == [300.0, 100.0]
    assert asked["submit_time"].to_list() == [1_700_000_010.0, 1_700_000_020.0]
    assert "left out: 1 no runtime" in result.err


def test_sacct_text_gives_its_jobs_whether_they_have_ended_or_not(score) -> None:
    table, result, asked = score("log.txt", SACCT)
    assert table["job_id"].to_list() == ["11", "12", "13"]
    assert asked["time_req"].to_list() == [600.0, 1200.0, 1200.0]
    assert "left out: 1 job step" in result.err


def test_sacct_text_of_waiting_jobs_needs_no_field_of_an_outcome(score) -> None:
    table, _, asked = score("log.txt", "JobIDRaw|User|ReqCPUS|TimelimitRaw\n5|u|4|10\n")
    assert table["job_id"].to_list() == ["5"]
    assert asked["processors_req"].to_list() == [4.0]
    assert asked["submit_time"][0] > 1.7e9, "it is submitted now"


def test_a_line_of_sacct_that_cannot_be_read_is_an_error_in_its_place(score) -> None:
    table, _, _ = score("log.txt", SACCT.replace("2024-01-01T00:05:00", "soon"))
    assert table["error"].to_list() == [None, None, "submit is not a time"]


def test_jobs_of_a_log_are_chosen_by_their_states(score, run, bundle, tmp_path: Path) -> None:
    table, _, _ = score("log.txt", SACCT, "--states", "pd,RUNNING")
    assert table["job_id"].to_list() == ["12", "13"]
    table, _, _ = score("log.txt", SACCT, "--states", "all")
    assert table["job_id"].to_list() == ["11", "12", "13"]
    (tmp_path / "jobs.csv").write_text(CSV)
    result = run("score", tmp_path / "jobs.csv", "--states", "PENDING", "--bundle", bundle)
    assert (result.code, result.out) == (2, "")
    assert "--states is for squeue and sacct" in result.err
    result = run("score", tmp_path / "log.txt", "--states", "WAITING", "--bundle", bundle)
    assert (result.code, result.out) == (2, "")
    assert "unknown state WAITING: choose from all, PENDING, RUNNING" in result.err


def test_squeue_gives_the_jobs_that_wait(score) -> None:
    table, result, asked = score("queue.json", json.dumps(SQUEUE))
    assert table["job_id"].to_list() == ["31", "33"]
    assert asked["time_req"].to_list() == [5400.0]
    assert table["error"].to_list() == [None, "time_limit = 'soon': must be a number"]
    assert "not asked for (--states): 1 running" in result.err


NOW_S = 1_714_600_000
RUNNING_QUEUE = {
    "last_update": {"set": True, "infinite": False, "number": NOW_S},
    "jobs": [
        {"job_id": 1, "job_state": ["RUNNING"], "start_time": NOW_S - 600, "time_limit": 60},
        {"job_id": 2, "job_state": ["RUNNING"], "time_limit": 60},
        {"job_id": 3, "job_state": ["PENDING"], "start_time": NOW_S + 900, "time_limit": 60},
        {
            "job_id": 4,
            "job_state": ["RUNNING"],
            "start_time": NOW_S - 5000,
            "suspend_time": NOW_S - 100,
            "pre_sus_time": 300,
            "time_limit": 60,
        },
        {
            "job_id": 5,
            "job_state": ["SUSPENDED"],
            "start_time": NOW_S - 5000,
            "pre_sus_time": 70,
            "time_limit": 60,
        },
    ],
}


def test_what_runs_is_answered_given_how_long_it_has_run(score) -> None:
    table, _, asked = score("queue.json", json.dumps(RUNNING_QUEUE), "--states", "all")
    assert asked["elapsed"].to_list() == [600.0, None, 400.0, 70.0]
    assert asked["as_of"].to_list() == [NOW_S, None, NOW_S, NOW_S]
    assert table.columns == [*COLUMNS, "remaining_runtime"]
    assert table["remaining_runtime"].to_list() == [1200.0, None, None, 1400.0, 1730.0]
    assert table["error"][1].startswith("state = RUNNING: the job runs, and nothing says for how l")
    assert table["error"].null_count() == 4


def test_a_running_job_of_sacct_has_run_for_its_elapsed_time(score) -> None:
    table, _, asked = score("log.txt", SACCT)
    start_s = 1_704_067_260.0
    assert asked["elapsed"].to_list() == [None, 60.0, None]
    assert asked["as_of"].to_list() == [None, start_s + 60, None]
    assert table["remaining_runtime"].to_list() == [None, 540.0, None]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("jobs.csv", "time_req,elapsed,as_of\n600,0:01:00,2024-05-01T10:00:00\n600,,\n"),
        (
            "jobs.jsonl",
            '{"time_req": 600, "elapsed": 60, "as_of": 1714557600}\n{"time_req": 600}\n',
        ),
    ],
)
def test_a_record_may_say_how_long_its_job_has_run(score, name: str, content: str) -> None:
    table, _, asked = score(name, content)
    assert asked["elapsed"].to_list() == [60.0, None]
    assert asked["as_of"].to_list() == [1_714_557_600.0, None]
    assert asked["submit_time"][0] == 1_714_557_540.0, "it was submitted when it started"
    assert table["remaining_runtime"].to_list() == [240.0, None]


def test_a_job_that_runs_does_so_as_of_now(score) -> None:
    _, _, asked = score("jobs.jsonl", '{"time_req": 600, "elapsed": 60}\n')
    assert abs(asked["as_of"][0] - time.time()) < 3600
    table, _, _ = score("jobs.jsonl", '{"elapsed": -1}\n{"elapsed": 99, "submit_time": 4e9}\n')
    assert table["error"][0].startswith("elapsed = -1.0: must be a number")
    assert table["error"][1].startswith("as_of = ")


def test_in_lines_only_what_runs_has_a_remaining_time(run, bundle: Path, stdin, predictors) -> None:
    stdin('{"time_req": 600, "elapsed": 60}\n{"time_req": 600}\n')
    result = run("score", "-", "--format", "jsonl", "--bundle", bundle)
    first, second = (json.loads(line) for line in result.out.splitlines())
    assert first["remaining_runtime"] == 240.0
    assert list(second) == COLUMNS


def test_in_a_log_of_ended_jobs_elapsed_is_no_running_time(score) -> None:
    table, result, asked = score("log.csv", "time_req,elapsed,runtime\n600,60,60\n")
    assert asked.columns == list(REQUEST_SCHEMA)
    assert table.columns == COLUMNS
    assert "columns that are not read: elapsed" in result.err


QUEUE_TEXT = """JOBID|PARTITION|NAME|USER|STATE|TIME_LIMIT|NODES|CPUS|MIN_MEMORY|SUBMIT_TIME
11|gpu|sim|u1|PENDING|1-00:00:00|1|4|4000M|2024-05-01T10:00:00
12|gpu|sim|u1|PENDING|10:00|1|4|4000M|2024-05-01T10:00:00
13|gpu|sim|u1|RUNNING|10:00|1|4|4000M|2024-05-01T10:00:00
"""


@pytest.mark.parametrize("arguments", [(), ("--format", "squeue")])
def test_text_of_squeue_is_read_with_its_limits(score, arguments: tuple[str, ...]) -> None:
    table, result, asked = score("queue.txt", QUEUE_TEXT, *arguments)
    assert table["job_id"].to_list() == ["11", "12"]
    assert asked["time_req"].to_list() == [86_400.0, 600.0]
    assert asked["mem_req"].to_list() == [4000.0] * 2
    assert "note: no job has gpus_req, qos, account; note: MIN_MEMORY is taken" in result.err


def test_text_of_squeue_without_separators_says_what_to_do(
    run, bundle: Path, tmp_path: Path
) -> None:
    path = tmp_path / "queue.txt"
    path.write_text(
        "  JOBID PARTITION NAME USER ST TIME NODES NODELIST(REASON)\n 1 p n u PD 0:00 1 x\n"
    )
    result = run("score", path, "--bundle", bundle)
    assert (result.code, result.out) == (1, "")
    assert "take `squeue --json`, or `squeue -o '%i|" in result.err


def test_other_states_alone_are_no_news_in_a_pipe(score) -> None:
    jobs = [job for job in SQUEUE["jobs"] if job["job_id"] != 33]
    _, result, _ = score("queue.json", json.dumps({"jobs": jobs}))
    assert (result.out, result.err) == ("", f"{NO_HISTORY}\n")


@pytest.mark.parametrize("indent", [None, 2])
def test_squeue_is_known_by_its_content_and_may_come_by_stdin(
    run, bundle: Path, stdin, indent: int | None
) -> None:
    stdin(json.dumps(SQUEUE, indent=indent))
    result = run("score", "-", "--states", "all", "--bundle", bundle)
    assert result.code == 0, result.err
    answers = [json.loads(line) for line in result.out.splitlines()]
    assert [answer["job_id"] for answer in answers] == ["31", "32", "33"]
    assert list(answers[0]) == COLUMNS


def test_answers_on_stdout_are_in_any_format(run, bundle: Path, stdin) -> None:
    stdin(CSV)
    result = run("score", "-", "--to", "csv", "--bundle", bundle)
    assert result.code == 0, result.err
    assert result.out.splitlines()[0] == ",".join(COLUMNS)
    assert len(result.out.splitlines()) == 4


def test_a_file_may_have_any_name_where_its_format_is_said(score) -> None:
    table, _, _ = score("jobs", CSV, "--format", "csv", "--to", "parquet", out="answers.parquet")
    assert len(table) == 3


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "stdin is empty"),
        (
            "hello\n",
            "cannot tell the format of stdin (first line 'hello'): say which of swf, sacct, "
            "csv, parquet, jsonl, squeue it is with --format",
        ),
        ('{\n "time_req": 60\n}\n', "one JSON object a line, as jq -c prints them"),
        ('[{"time_req": 60}]', "one JSON object a line, as jq -c prints them"),
    ],
)
def test_what_is_wrong_with_stdin_is_said_of_stdin(run, bundle, stdin, text, says) -> None:
    stdin(text)
    result = run("score", "-", "--bundle", bundle)
    assert (result.code, result.out) == (1, "")
    assert says in result.err


def test_sacct_text_without_a_header_is_read_with_its_fields(score) -> None:
    header, _, body = SACCT.partition("\n")
    fields = header.replace("|", ", ")
    table, _, _ = score("log", body, "--format", "sacct", "--fields", fields)
    assert table["job_id"].to_list() == ["11", "12", "13"]


@pytest.mark.parametrize("content", ["", "hello world\n"])
def test_a_file_that_is_nothing_known_is_one_line(
    run, bundle: Path, tmp_path: Path, content: str
) -> None:
    (tmp_path / "what").write_text(content)
    result = run("score", tmp_path / "what", "-o", tmp_path / "o.csv", "--bundle", bundle)
    assert result.code == 1
    assert result.err.startswith("error: ")


def test_a_file_that_is_not_there_is_one_line(run, bundle: Path, tmp_path: Path) -> None:
    result = run("score", tmp_path / "none.csv", "-o", tmp_path / "o.csv", "--bundle", bundle)
    assert (result.code, result.err) == (1, f"error: {tmp_path / 'none.csv'} does not exist\n")


# who answers


def test_a_service_is_asked_in_chunks_for_valid_jobs_alone(run, clients, tmp_path: Path) -> None:
    rows = [f"{n},{60 * n},u" for n in range(6)] + ["9,60,mallory"]
    (tmp_path / "jobs.csv").write_text("nodes_req,time_req,user\n" + "\n".join(rows))
    result = run(
        "score", tmp_path / "jobs.csv", "-o", tmp_path / "o.csv", "--target", "far:1",
        "--chunk", 4, "--timeout", 9,
    )  # fmt: skip
    assert result.code == 0
    (client,) = clients
    assert (client.target, client.timeout_s, client.chunks) == ("far:1", 9.0, [4, 2])
    table = _read(tmp_path / "o.csv")
    assert table["job_id"].to_list() == ["1", "2", "3", "4", "5", "6", "7"]
    assert table["error"].is_null().to_list() == [False, *[True] * 5, False]
    assert table["error"][6] == "user = 'mallory': is not welcome"
    assert table["predicted_runtime"].to_list()[1:6] == [2820.0] * 5
    assert table["timeout_probability"].to_list()[1:6] == [0.12] * 5
    assert table["flags"][1] == "cold_start_user unseen_qos"
    assert "2 have errors" in result.err


def test_only_one_can_answer(run, clients, bundle: Path, tmp_path: Path) -> None:
    result = run(
        "score", "x.csv", "-o", tmp_path / "o.csv", "--bundle", bundle, "--target", "far:1"
    )
    assert result.code == 2
