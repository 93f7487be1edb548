"""The Lua of the Slurm hooks: its own specifications, and real sockets that behave badly."""

import shutil
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.waiting import PATIENCE_S

from .conftest import HOOKS

LUA = Path(__file__).parent / "lua"
SPECS = sorted(path.name for path in LUA.glob("*_spec.lua"))
LONG_MS = 30_000
"""A time-out that is not met."""
SHORT_MS = 30


def run(*command: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*map(str, command)], capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )


@pytest.mark.parametrize("spec", SPECS)
def test_specification(lua: str, spec: str) -> None:
    found = run(lua, LUA / "run.lua", HOOKS, LUA / spec)
    assert found.returncode == 0, found.stdout + found.stderr


def ask(lua: str, path: Path, timeout_ms: int, times: int = 1, failures: int = 1000) -> list[str]:
    found = run(lua, LUA / "ask.lua", HOOKS, path, timeout_ms, times, failures)
    assert found.returncode == 0, found.stderr
    return found.stdout.splitlines()


@contextmanager
def server(
    path: Path, serve: Callable[[socket.socket], None] | None, backlog: int = 16
) -> Iterator[None]:
    """Listens at `path` and serves each connection; without `serve` accepts none."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen(backlog)

        def accept() -> None:
            while True:
                try:
                    client, _ = listener.accept()
                except OSError:
                    return
                with client:
                    if serve is not None:
                        serve(client)

        thread = threading.Thread(target=accept, daemon=True)
        if serve is not None:
            thread.start()
        try:
            yield
        finally:
            # Closing alone does not end an accept that waits.
            listener.shutdown(socket.SHUT_RDWR)
            if serve is not None:
                thread.join(PATIENCE_S)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "agent.sock"


def test_an_answer_in_pieces_is_an_answer(lua_with_socket: str, path: Path) -> None:
    asked: list[bytes] = []

    def serve(client: socket.socket) -> None:
        asked.append(client.recv(4096))
        for piece in (b'{"v":1,"predic', b'tion":{"predicted_runtime":60.5}}', b"\n"):
            client.sendall(piece)

    with server(path, serve):
        assert ask(lua_with_socket, path, LONG_MS) == ["predicted 60.5"]
    (line,) = asked
    assert line.endswith(b"\n")
    assert b'"user":"a\\"l"' in line


def test_an_agent_that_hangs_costs_the_time_out(lua_with_socket: str, path: Path) -> None:
    released = threading.Event()

    def hang(client: socket.socket) -> None:
        client.recv(4096)
        client.sendall(b'{"v":1,')
        released.wait(PATIENCE_S)

    with server(path, hang):
        try:
            assert ask(lua_with_socket, path, SHORT_MS) == ["timeout"]
        finally:
            released.set()


def test_an_agent_that_accepts_nobody_costs_the_time_out(lua_with_socket: str, path: Path) -> None:
    with server(path, None):
        assert ask(lua_with_socket, path, SHORT_MS, times=2) == ["timeout"] * 2


def test_a_full_queue_costs_no_more(lua_with_socket: str, path: Path) -> None:
    with server(path, None, backlog=1):
        waiting = []
        for _ in range(4):
            client = socket.socket(socket.AF_UNIX)
            client.setblocking(False)
            client.connect_ex(str(path))
            waiting.append(client)
        (why,) = ask(lua_with_socket, path, SHORT_MS)
        for client in waiting:
            client.close()
    assert not why.startswith("predicted")


def test_after_failures_the_agent_is_left_alone(lua_with_socket: str, path: Path) -> None:
    with server(path, None):
        found = ask(lua_with_socket, path, SHORT_MS, times=6, failures=2)
    assert found == ["timeout"] * 2 + ["paused"] * 4


def test_an_agent_that_is_not_there_is_no_error(lua_with_socket: str, path: Path) -> None:
    assert not ask(lua_with_socket, path, LONG_MS)[0].startswith("predicted")
    dead = socket.socket(socket.AF_UNIX)
    dead.bind(str(path))
    dead.close()
    assert "refused" in ask(lua_with_socket, path, LONG_MS)[0]


@pytest.mark.parametrize("answer", [b"", b"\xff\xfe\n", b'{"v":1}', b"x" * 100_000 + b"\n"])
def test_nonsense_is_no_prediction(lua_with_socket: str, path: Path, answer: bytes) -> None:
    def serve(client: socket.socket) -> None:
        client.recv(4096)
        client.sendall(answer)

    with server(path, serve):
        (why,) = ask(lua_with_socket, path, LONG_MS)
    assert why in ("closed", "an answer that cannot be read")


# the check of an installation


def check(lua: str, folder: Path, path: Path, **files: str) -> subprocess.CompletedProcess[str]:
    """The check, beside the hooks as they are or as `files` say, with an agent at `path`."""
    shutil.copytree(HOOKS, folder)
    settings = f'return {{ socket = "{path}", timeout_ms = {LONG_MS}, off_file = "{folder}/off" }}'
    for name, text in {"rt_predictor_conf": settings, **files}.items():
        (folder / f"{name}.lua").write_text(text)
    return run(lua, folder / "rt_predictor_check.lua")


def test_the_check_says_that_predictions_come(
    lua_with_socket: str, path: Path, tmp_path: Path
) -> None:
    asked: list[bytes] = []

    def serve(client: socket.socket) -> None:
        asked.append(client.recv(4096))
        client.sendall(b'{"v":1,"prediction":{"predicted_runtime":60.5,"model_version":"m1"}}\n')

    with server(path, serve):
        found = check(lua_with_socket, tmp_path / "etc", path)
    assert (found.returncode, len(set(asked))) == (0, 20), "no two requests alike"
    assert "20 predictions for 20 jobs" in found.stdout
    assert "by model m1" in found.stdout


def test_the_check_says_what_is_wrong(lua_with_socket: str, path: Path, tmp_path: Path) -> None:
    found = check(lua_with_socket, tmp_path / "none", path)
    assert found.returncode == 1
    assert f"no agent listens at {path}" in found.stdout
    (tmp_path / "off").mkdir()
    off = tmp_path / "off" / "off"
    off.touch()
    settings = f'return {{ off_file = "{off}" }}'
    found = check(lua_with_socket, tmp_path / "switched", path, rt_predictor_conf=settings)
    assert (found.returncode, f"remove {off}" in found.stdout) == (1, True)
    for name in ("job_submit", "cli_filter", "rt_predictor_conf"):
        found = check(lua_with_socket, tmp_path / name, path, **{name: "x x"})
        assert (found.returncode, f"{name}.lua:1:" in found.stdout) == (1, True)
    wrong = 'return { timeout = 10, off_file = "" }'
    found = check(lua_with_socket, tmp_path / "wrong", path, rt_predictor_conf=wrong)
    assert (found.returncode, "no such setting: timeout" in found.stdout) == (1, True)


def test_the_check_tells_an_agent_that_has_no_prediction(
    lua_with_socket: str, path: Path, tmp_path: Path
) -> None:
    answers = iter(
        [b'{"v":1,"prediction":{"predicted_runtime":60.5}}']
        + [b'{"v":1,"fallback":true,"reason":"deadline"}'] * 19
    )

    def serve(client: socket.socket) -> None:
        client.recv(4096)
        client.sendall(next(answers) + b"\n")

    with server(path, serve):
        found = check(lua_with_socket, tmp_path / "etc", path)
    assert found.returncode == 0
    assert "19 jobs without: no prediction (deadline)" in found.stdout
    assert "the service takes longer" in found.stdout
