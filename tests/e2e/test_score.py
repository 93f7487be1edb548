"""`rt-predictor score` as a process: in a pipe, with the committed model."""

import json
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rt_predictor.cli.local import NO_HISTORY
from tests.e2e.conftest import PROJECT, environment
from tests.waiting import PATIENCE_S, until


@contextmanager
def scoring(*arguments: object) -> Iterator[subprocess.Popen[bytes]]:
    """The program with pipes for stdin, stdout and stderr; it is gone afterwards."""
    process = subprocess.Popen(
        [sys.executable, "-m", "rt_predictor", "score", *map(str, arguments)],
        cwd=PROJECT, env=environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        process.communicate(timeout=PATIENCE_S)


def test_a_pipe_is_answered_line_by_line(bundle: Path) -> None:
    with scoring("-", "--bundle", bundle) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for number in (1, 2):
            process.stdin.write(b'{"job_id": "job %d", "time_req": 3600}\n' % number)
            process.stdin.flush()
            answer = json.loads(process.stdout.readline())
            assert answer["job_id"] == f"job {number}"
            assert answer["predicted_runtime"] > 0
        rest, errors = process.communicate(b"not a job\n", timeout=PATIENCE_S)
        assert json.loads(rest)["error"].startswith("the line is not JSON")
        assert (process.returncode, errors.decode()) == (0, f"{NO_HISTORY}\n")


def test_a_reader_that_goes_away_ends_it_without_a_word(bundle: Path) -> None:
    with scoring("-", "--bundle", bundle) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(b'{"time_req": 3600}\n')
        process.stdin.flush()
        assert process.stdout.readline()
        process.stdout.close()
        process.stdin.write(b'{"time_req": 3600}\n')
        process.stdin.flush()
        assert process.wait(PATIENCE_S) == 1
        assert process.stderr is not None
        assert process.stderr.read().decode() == f"{NO_HISTORY}\n"


def test_an_interrupt_ends_it_while_it_waits_for_input(bundle: Path) -> None:
    with scoring("-", "--format", "jsonl", "--bundle", bundle) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(b'{"time_req": 3600}\n')
        process.stdin.flush()
        assert process.stdout.readline()
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE_S) == 130


def test_a_spool_survives_being_killed_again_and_again(bundle: Path, tmp_path: Path) -> None:
    jobs, answers = tmp_path / "jobs", tmp_path / "answers"
    jobs.mkdir()
    chance = random.Random(5)
    taken: list[str] = []

    def take() -> int:
        files = list(answers.glob("*.jsonl"))
        for path in files:
            taken.extend(json.loads(line)["job_id"] for line in path.read_text().splitlines())
            path.unlink()
        return len(files)

    for life in range(3):
        for number in range(100):
            unfinished = jobs / f".{life}-{number}"
            unfinished.write_text(f'{{"job_id": "{life}-{number}", "time_req": 3600}}\n')
            unfinished.rename(jobs / f"{life}-{number}.json")
        with scoring("--spool", jobs, "-o", answers, "--bundle", bundle, "--poll", 0.01) as process:
            until(lambda process=process: bool(take() or process.poll() is not None), pause_s=0.002)
            assert process.poll() is None
            time.sleep(chance.uniform(0, 0.02))
            process.kill()
    with scoring("--spool", jobs, "-o", answers, "--bundle", bundle, "--once") as process:
        assert process.wait(PATIENCE_S) == 0
    take()
    assert len(taken) == 300
    assert len(set(taken)) == 300
    assert not list(jobs.glob("*.json"))


def test_a_spool_stops_when_it_is_told_to(bundle: Path, tmp_path: Path) -> None:
    jobs, answers = tmp_path / "jobs", tmp_path / "answers"
    jobs.mkdir()
    (jobs / "a.json").write_text('{"time_req": 3600}\n')
    with scoring("--spool", jobs, "-o", answers, "--bundle", bundle) as process:
        until((answers / "a.json.jsonl").exists)
        process.terminate()
        assert process.wait(PATIENCE_S) == 0
