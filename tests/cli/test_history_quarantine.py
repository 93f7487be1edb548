"""`rt-predictor history quarantine`: doubtful events listed, believed and dropped."""

import json
from contextlib import closing
from pathlib import Path

import polars as pl
import pytest

from rt_predictor.cli.words import counted
from rt_predictor.eventlog.files import open_log
from rt_predictor.traces.generate import generate_jobs

JOBS = generate_jobs(10, seed=1).with_columns(user=pl.lit("ann"), job_id=pl.row_index() + 1)
LIMIT_S = 3600.0


@pytest.fixture
def path(tmp_path: Path, run) -> Path:
    """A log of ten imported jobs, of which jobs 3 and 4 ran for ten hours with a limit of one."""
    long = pl.col("job_id").is_in([3, 4])
    jobs = JOBS.with_columns(
        pl.lit(LIMIT_S).alias("time_req"),
        pl.when(long).then(36_000.0).otherwise(1800.0).alias("runtime"),
        (pl.col("submit_time") + 40_000).alias("end_time"),
        pl.lit(None, pl.Float64).alias("start_time"),
    )
    trace, config = tmp_path / "jobs.parquet", tmp_path / "settings.toml"
    jobs.with_columns(pl.col("job_id").cast(pl.String)).write_parquet(trace)
    path = tmp_path / "history.sqlite"
    config.write_text(
        f'[history]\npath = "{path}"\n[prediction]\nlimits_enforced = true\n',
    )
    result = run("history", "import", trace, "--config", config)
    assert result.code == 0, result.err
    assert result.out.startswith(f"10 records = 8 recorded in {path} + 0 known already")
    assert "2 in quarantine" in result.out
    return path


def counts(path: Path) -> tuple[int, int]:
    with closing(open_log(path)) as log:
        return log.count(), log.count_quarantined()


def test_what_is_in_quarantine_is_listed_with_the_reason(run, path: Path) -> None:
    result = run("history", "quarantine", "list", "--history", path)
    *lines, last = result.out.splitlines()
    assert last == "2 events in quarantine"
    assert [line.split(",")[0] for line in lines] == ["job 3", "job 4"]
    for part in ("ran for 10 h", "limit 1 h", "long over an enforced limit", "ann", "@import"):
        assert part in lines[0]
    one = run("history", "quarantine", "list", "--id", 4, "--json", "--history", path)
    (row,) = json.loads(one.out)
    assert (row["job_id"], row["runtime"], row["client"]) == ("4", 36_000.0, "@import")
    assert "quarantine" in run("history", "info", "--history", path).out


@pytest.mark.parametrize(
    ("which", "count"),
    [(("--id", 3), 1), (("--id", 3, "--id", 4), 2), (("--client", "@import"), 2), (("--all",), 2)],
)
@pytest.mark.parametrize("command", ["release", "drop"])
def test_events_are_believed_or_dropped(
    run, path: Path, command: str, which: tuple[object, ...], count: int
) -> None:
    done, gained = {"release": ("released", count), "drop": ("dropped", 0)}[command]
    dry = run("history", "quarantine", command, *which, "--dry-run", "--history", path)
    assert dry.out == f"{counted(count, 'event')} would be {done}\n"
    assert counts(path) == (8, 2)
    result = run("history", "quarantine", command, *which, "--history", path)
    assert (result.code, result.out.splitlines()[0]) == (0, f"{counted(count, 'event')} {done}")
    assert counts(path) == (8 + gained, 2 - count)


@pytest.mark.parametrize("command", ["release", "drop"])
@pytest.mark.parametrize("which", [(), ("--all", "--id", "3")])
def test_which_events_must_be_said(
    run, path: Path, command: str, which: tuple[object, ...]
) -> None:
    result = run("history", "quarantine", command, *which, "--history", path)
    assert result.code == 2
    assert "--id, --client, --user, or --all" in result.err
    assert counts(path) == (8, 2)
