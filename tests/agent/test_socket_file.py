"""The socket file: whose it is, who may use it, and what becomes of it."""

import grp
import os
import socket
import stat
from pathlib import Path

import pytest

from rt_predictor.agent import socket_file
from rt_predictor.agent.socket_file import listening
from rt_predictor.errors import StartupError

MODE = 0o660


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "agent.sock"


@pytest.fixture
def stale(path: Path) -> Path:
    """What an agent leaves behind that was killed."""
    dead = socket.socket(socket.AF_UNIX)
    dead.bind(str(path))
    dead.close()
    return path


def connect(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))


def test_it_has_its_permissions_and_is_gone_afterwards(path: Path) -> None:
    own_group = grp.getgrgid(os.getgid()).gr_name
    with listening(path, 0o600, own_group):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert path.stat().st_gid == os.getgid()
        connect(path)
    assert [file.name for file in path.parent.iterdir()] == ["agent.sock.lock"]


def test_a_stale_one_is_taken_over(stale: Path) -> None:
    with pytest.raises(ConnectionRefusedError):
        connect(stale)
    with listening(stale, MODE, ""):
        connect(stale)


def test_one_that_is_listened_on_is_left_alone(path: Path) -> None:
    with listening(path, MODE, ""):
        with (
            pytest.raises(StartupError, match="another agent listens at"),
            listening(path, MODE, ""),
        ):
            pass
        connect(path)


def test_a_stranger_who_listens_is_left_alone_too(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as stranger:
        stranger.bind(str(path))
        stranger.listen()
        with pytest.raises(StartupError, match="another agent listens"), listening(path, MODE, ""):
            pass
        connect(path)


def test_one_whose_queue_is_full_counts_as_listened_on(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket_file, "_PATIENCE_S", 0.05)
    waiting = []
    with socket.socket(socket.AF_UNIX) as hung:
        hung.bind(str(path))
        hung.listen(1)
        for _ in range(3):
            client = socket.socket(socket.AF_UNIX)
            client.setblocking(False)
            client.connect_ex(str(path))
            waiting.append(client)
        with pytest.raises(StartupError, match="another agent listens"), listening(path, MODE, ""):
            pass
    for client in waiting:
        client.close()


def test_a_file_that_is_no_socket_is_left_alone(path: Path) -> None:
    path.write_text("precious")
    with pytest.raises(StartupError, match="is no socket"), listening(path, MODE, ""):
        pass
    assert path.read_text() == "precious"


def test_somebody_elses_socket_in_its_place_is_not_removed(path: Path) -> None:
    with listening(path, MODE, ""):
        path.unlink()
        path.write_text("another's")
    assert path.read_text() == "another's"


@pytest.mark.parametrize(
    ("name", "group", "says"),
    [
        ("no/such/folder.sock", "", "does the folder exist"),
        ("agent.sock", "no-such-group", "there is no group 'no-such-group'"),
        ("a" * 120, "", "longer than 100 bytes"),
    ],
)
def test_what_cannot_be_is_said_in_one_line(
    tmp_path: Path, name: str, group: str, says: str
) -> None:
    with pytest.raises(StartupError, match=says), listening(tmp_path / name, MODE, group):
        pass
    assert not list(tmp_path.glob("*.sock"))
