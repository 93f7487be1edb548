"""`rt-predictor score` as a process: in a pipe, with the committed model."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.e2e.conftest import PATIENCE_S, PROJECT, environment


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
        assert (process.returncode, errors) == (0, b"")


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
        assert process.stderr.read() == b""


def test_an_interrupt_ends_it_while_it_waits_for_input(bundle: Path) -> None:
    with scoring("-", "--format", "jsonl", "--bundle", bundle) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(b'{"time_req": 3600}\n')
        process.stdin.flush()
        assert process.stdout.readline()
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE_S) == 130
