"""`rt-predictor history`: job logs into the outcome log, or into a service."""

import json
from pathlib import Path

import polars as pl
import pytest

from rt_predictor.client import Access, Recorded
from rt_predictor.eventlog.files import open_log, open_or_replace_log
from rt_predictor.jobs.events import ended_events, finished_jobs, log_events
from rt_predictor.traces.generate import generate_jobs

JOBS = generate_jobs(40, seed=1)


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    """A log with one job that ended before it began."""
    bad = JOBS[:1].with_columns(end_time=pl.col("submit_time") - 5, job_id=pl.lit("bad"))
    path = tmp_path / "jobs.parquet"
    pl.concat([JOBS, bad]).write_parquet(path)
    return path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "var" / "history.sqlite"


def test_an_import_can_be_repeated(run, trace: Path, path: Path) -> None:
    first = run("history", "import", trace, "--history", path)
    assert first.code == 0, first.err
    assert first.out == (
        f"41 records = 40 recorded in {path} + 0 known already + 1 left out (1 end before submit)\n"
    )
    again = run("history", "import", trace, "--history", path)
    assert again.out.startswith(f"41 records = 0 recorded in {path} + 40 known already + 1 left")
    log = open_log(path)
    jobs = finished_jobs(log.read_after(0, 100).events)
    assert jobs.equals(JOBS.sort("end_time", maintain_order=True))
    log.close()


def test_the_log_of_the_settings_is_filled(run, trace: Path, path: Path, tmp_path: Path) -> None:
    config = tmp_path / "settings.toml"
    config.write_text(f'[history]\npath = "{path}"\n')
    assert run("history", "import", trace, "--config", config).code == 0
    shown = run("history", "info", "--config", config)
    assert shown.code == 0
    words = dict(line.split(maxsplit=1) for line in shown.out.splitlines())
    assert (words["log"], words["events"], words["snapshot"]) == (str(path), "40", "none")


def test_info_is_one_document_for_programs(run, trace: Path, path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"no database" * 1000)
    open_or_replace_log(path).close()
    run("history", "import", trace, "--history", path)
    found = json.loads(run("history", "info", "--history", path, "--json", "-").out)
    assert (found["path"], found["events"], found["snapshot_age_s"]) == (str(path), 40, None)
    assert found["bytes"] == path.stat().st_size
    assert found["set_aside"][0].startswith("history.sqlite.damaged-")
    assert "damaged" in run("history", "info", "--history", path).out


def test_a_log_that_is_not_there_is_not_made(run, path: Path) -> None:
    result = run("history", "info", "--history", path)
    assert (result.code, path.exists()) == (1, False)
    assert f"there is no history log {path}" in result.err


def test_a_damaged_log_is_left_alone_and_told_of(run, trace: Path, path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"no database" * 1000)
    result = run("history", "import", trace, "--history", path)
    assert result.code == 1
    assert "cannot be opened" in result.err
    assert [file.name for file in path.parent.glob("*damaged*")] == []


CA = ("--ca", "ca.pem")


def test_jobs_go_to_a_service(run, trace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[pl.DataFrame] = []

    class FakeClient:
        def __init__(self, target: str, *, timeout_s: float, access: Access) -> None:
            assert (target, timeout_s) == ("somewhere:1", 5.0)
            assert access == Access(ca=Path("ca.pem"))

        async def __aenter__(self) -> "FakeClient":
            return self

        async def __aexit__(self, *_: object) -> None:
            pass

        async def record_events(self, events: pl.DataFrame) -> Recorded:
            sent.append(events)
            return Recorded(len(events) - 3, 1, 2)

    monkeypatch.setattr("rt_predictor.cli.history_import.Client", FakeClient)
    monkeypatch.setattr("rt_predictor.cli.history_import._PIECE_EVENTS", 20)
    result = run(
        "history", "import", trace, "--target", "somewhere:1", "--timeout", 5, "--ca", "ca.pem"
    )
    assert result.code == 0, result.err
    assert "= 34 recorded in somewhere:1 + 2 known already + 4 refused by the service" in result.out
    assert pl.concat(sent).equals(ended_events(JOBS.sort("end_time", maintain_order=True)))


def test_jobs_that_wait_run_or_were_cancelled_come_in_too(run, path: Path, tmp_path: Path) -> None:
    (tmp_path / "jobs.txt").write_text(
        "JobID|User|Submit|Start|End|ElapsedRaw|State\n"
        "1|al|2024-01-01T00:00:00|2024-01-01T01:00:00|2024-01-01T02:00:00|3600|COMPLETED\n"
        "2|al|2024-01-01T00:00:00|Unknown|2024-01-01T01:30:00|0|CANCELLED by 7\n"
        "3|al|2024-01-01T00:00:00|Unknown|Unknown|0|PENDING\n"
        "4|al|2024-01-01T00:00:00|2024-01-01T01:00:00|Unknown|60|RUNNING\n"
    )
    result = run("history", "import", tmp_path / "jobs.txt", "--history", path)
    assert result.code == 0, result.err
    log = open_log(path)
    events = log.read_after(0, 9).events
    log.close()
    assert events.select("kind", "job_id").rows() == [
        ("submitted", "3"),
        ("started", "4"),
        ("cancelled", "2"),
        ("ended", "1"),
    ]
    assert events["client"].unique().to_list() == ["@import"]
    assert result.out == f"4 records = 4 recorded in {path} + 0 known already + 0 left out\n"
    assert "left out" not in result.err


def test_what_became_of_all_records_adds_up(run, path: Path, tmp_path: Path) -> None:
    header = "JobID|User|Submit|Start|End|ElapsedRaw|TimelimitRaw|State\n"
    at = "2024-01-01T"
    ended = f"1|al|{at}00:00:00|{at}01:00:00|{at}02:00:00|3600|100|COMPLETED\n"
    first = (
        ended,
        f"1.batch||{at}00:00:00|{at}01:00:00|{at}02:00:00|3600||COMPLETED\n",
        f"1.0||{at}00:00:00|{at}01:00:00|{at}02:00:00|3600||COMPLETED\n",
        f"2|al|{at}00:00:00|Unknown|{at}01:30:00|0|100|CANCELLED by 7\n",
        f"3|al|{at}00:00:00|{at}01:00:00|{at}02:00:00|7200|100|COMPLETED\n",
        f"4|al|{at}00:00:00|{at}01:00:00|Unknown|60|100|RUNNING\n",
        f"5|al|{at}00:00:00|Unknown|Unknown|0|100|PENDING\n",
        f"6|al|{at}00:00:00|{at}01:00:00|{at}04:00:00|10800|10|COMPLETED\n",
        *(f"{n}|al|{at}00:00:00|{at}01:00:00|{at}02:00:00|3600|9|FOO\n" for n in range(10, 40)),
    )
    (tmp_path / "a.txt").write_text(header + "".join(first) + "7|al|soon|x|y|z|1|FAILED\n")
    (tmp_path / "b.txt").write_text(header + ended)
    (tmp_path / "s.toml").write_text(
        f'[history]\npath = "{path}"\n[prediction]\nlimits_enforced = true\n'
    )
    logs = (tmp_path / "a.txt", tmp_path / "b.txt")
    result = run("history", "import", *logs, "--config", tmp_path / "s.toml")
    assert result.code == 0, result.err
    assert result.out == (
        f"40 records = 34 recorded in {path} + 0 known already + 1 in quarantine + 5 left out (2 "
        "job steps, 1 runtime longer than from start to end, 1 malformed, 1 in several of the "
        "files)\n"
    )
    assert "1 in quarantine: `rt-predictor history quarantine list` says why" in result.err
    assert "states that are not known: FOO (30)" in result.err


def test_a_service_and_a_file_are_too_much(run, trace: Path, path: Path) -> None:
    result = run("history", "import", trace, "--target", "somewhere:1", "--history", path)
    assert result.code == 2
    assert "not both" in result.err


def test_jobs_without_an_id_get_one_that_stays() -> None:
    nameless = JOBS.with_columns(
        job_id=pl.when(pl.int_range(pl.len()) % 2 == 0).then("job_id").otherwise(None)
    )
    twice = pl.concat([nameless, nameless[1:2]])
    events, broken = log_events(twice)
    assert broken == ()
    assert events["job_id"].null_count() == 0
    assert events["job_id"].n_unique() == 41, "equal jobs are two jobs"
    again, _ = log_events(twice.sample(fraction=1.0, shuffle=True, seed=1))
    assert set(again["job_id"]) == set(events["job_id"])


def test_what_a_log_puts_for_not_asked_for_is_no_reason_to_skip_a_job() -> None:
    events, broken = log_events(JOBS.with_columns(mem_req=pl.lit(0.0), time_req=pl.lit(-1.0)))
    assert broken == ()
    assert events["mem_req"].null_count() == events["time_req"].null_count() == 40


@pytest.mark.parametrize("first", ["alpha", None])
def test_jobs_of_the_home_cluster_are_known_with_its_name_and_without(
    run, path: Path, tmp_path: Path, first: str | None
) -> None:
    config = tmp_path / "settings.toml"
    config.write_text(f'[history]\npath = "{path}"\nhome_cluster = "alpha"\n')
    for cluster, recorded in ((first, 40), (None if first else "alpha", 0), ("beta", 40)):
        trace = tmp_path / f"{cluster}.parquet"
        named = pl.lit(cluster, pl.String).alias("cluster")
        JOBS.with_columns(named).write_parquet(trace)
        result = run("history", "import", trace, "--config", config)
        assert result.out.startswith(f"40 records = {recorded} recorded in"), result.err
    log = open_log(path)
    assert log.read_after(0, 100).events["cluster"].drop_nulls().unique().to_list() == ["beta"]
    log.close()
