"""`rt-predictor history`: what an operator takes out of a log, keeps and puts back."""

from contextlib import closing
from pathlib import Path

import pytest

from rt_predictor.eventlog.files import open_log
from rt_predictor.jobs.events import with_origin
from tests.eventlog.events import some_kinds

EVENTS = some_kinds(20)
NOW_S = 1.7e9


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "history.sqlite"
    with closing(open_log(path)) as log:
        log.append(with_origin(EVENTS[:40], "epilog", NOW_S))
        log.append(with_origin(EVENTS[40:], "@import", NOW_S + 3600))
    return path


def count(path: Path) -> int:
    with closing(open_log(path)) as log:
        return log.count()


def test_clients_are_listed(run, path: Path) -> None:
    lines = run("history", "clients", "--history", path).out.splitlines()
    assert lines[0].split() == [
        "40", "2023-11-14", "22:13", "UTC", "to", "2023-11-14", "22:13", "UTC", "epilog",
    ]  # fmt: skip
    assert lines[1].split()[-1] == "@import"


@pytest.mark.parametrize(
    "selection",
    [
        ("--client", "epilog"),
        ("--until", "2023-11-14T23:00"),
        ("--since", "2023-11-14", "--until", NOW_S + 1, "--client", "epilog"),
    ],
)
def test_a_client_is_withdrawn(run, path: Path, selection: tuple[object, ...]) -> None:
    dry = run("history", "withdraw", *selection, "--dry-run", "--history", path)
    assert dry.out == "40 events would be withdrawn\n"
    assert count(path) == 60
    result = run("history", "withdraw", *selection, "--history", path)
    assert (result.code, result.out.splitlines()[0]) == (0, "40 events withdrawn")
    assert count(path) == 20


def test_what_to_withdraw_must_be_said(run, path: Path) -> None:
    result = run("history", "withdraw", "--history", path)
    assert result.code == 2
    assert "--client, --user, --since or --until" in result.err
    assert count(path) == 60


def test_a_user_is_forgotten_and_what_is_not_reached_is_said(run, path: Path) -> None:
    user = EVENTS["user"][0]
    wanted = EVENTS.filter(user=user)
    path.with_name("history.sqlite.damaged-1").write_bytes(b"no database" * 1000)
    dry = run("history", "forget", "--user", user, "--dry-run", "--history", path)
    assert dry.out == f"{len(wanted)} events would be forgotten\n"
    result = run("history", "forget", "--user", user, "--history", path)
    assert result.code == 0, result.err
    assert result.out.startswith(f"{len(wanted)} events forgotten\n")
    assert f"not reached: {path}.damaged-1 cannot be read" in result.out
    assert "backups of the log, bundles that were trained meanwhile" in result.out
    assert count(path) == 60 - len(wanted)


def test_old_events_are_pruned(run, path: Path) -> None:
    before = float(EVENTS["event_time"].sort()[30])
    old = len(EVENTS.filter(EVENTS["event_time"] < before))
    dry = run("history", "prune", "--before", before, "--dry-run", "--history", path)
    assert dry.out == f"{old} events would be pruned\n"
    result = run("history", "prune", "--before", before, "--compact", "--history", path)
    assert result.out.startswith(f"{old} events pruned\n")
    assert count(path) == 60 - old
    with closing(open_log(path)) as log:
        assert log.append(EVENTS).recorded == 0


def test_a_log_is_backed_up_and_restored(run, path: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    assert run("history", "backup", copy, "--history", path).code == 0
    run("history", "withdraw", "--client", "epilog", "--history", path)
    result = run("history", "restore", copy, "--history", path)
    assert result.code == 0, result.err
    assert "the old log is" in result.out
    assert count(path) == 60
    again = run("history", "backup", copy, "--history", path)
    assert (again.code, "name another file" in again.err) == (1, True)


@pytest.mark.parametrize(
    "command",
    [
        ("clients",),
        ("withdraw", "--client", "a"),
        ("forget", "--user", "a", "--dry-run"),
        ("prune", "--before", 5),
        ("backup", "copy"),
    ],
)
def test_a_log_that_is_not_there_is_not_made(
    run, tmp_path: Path, command: tuple[object, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = run("history", *command, "--history", tmp_path / "none.sqlite")
    assert result.code == 1
    assert "there is no history log" in result.err
    assert list(tmp_path.iterdir()) == []
