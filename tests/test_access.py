"""How a client reaches a service: which files, and where a token may go."""

from pathlib import Path

import grpc
import pytest

from rt_predictor.client import Access, Client
from rt_predictor.errors import UsageError
from tests.security.files import Place


@pytest.mark.parametrize(
    "target", ["localhost:1", "127.0.0.1:1", "127.9.9.9:1", "[::1]:1", "unix:/run/rt.sock"]
)
async def test_to_this_machine_a_token_goes_in_plain_text(target: str) -> None:
    async with Client(target, access=Access(token="secret")):
        pass


@pytest.mark.parametrize(
    "target", ["far:1", "10.0.0.7:1", "localhost.evil.example:1", "dns:///far:1", "[2001:db8::1]:1"]
)
async def test_to_other_machines_a_token_needs_tls_or_a_word(target: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"would travel to .* in plain text: use TLS"):
        Client(target, access=Access(token="secret"))
    async with (
        Client(target, access=Access(token="secret", plain_text_token=True)),
        Client(target, access=Access(token="secret", tls=True)),
        Client(target, access=Access(token="secret", ca=Place(tmp_path).ca_file)),
        Client(target),
    ):
        pass


def test_a_token_is_not_shown() -> None:
    assert "secret" not in repr(Access(token="secret"))


def test_a_token_file_is_read_without_its_line_end(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text("secret\n")
    assert Access(token_file=path).metadata() == (("authorization", "Bearer secret"),)
    assert Access().metadata() == ()


@pytest.mark.parametrize("content", [b"two\nlines", b"\xff\xfe", "tök".encode()])
def test_a_file_that_holds_no_token_is_told(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "token"
    path.write_bytes(content)
    with pytest.raises(UsageError, match="token"):
        Access(token_file=path).metadata()


def test_a_token_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="holds no token"):
        Client("localhost:1", access=Access(token_file=tmp_path / "none"))


def test_files_of_tls_that_cannot_be_used_are_told(tmp_path: Path) -> None:
    place = Place(tmp_path)
    with pytest.raises(UsageError, match="go together"):
        Access(certificate=place.issue().certificate).channel("a:1")
    with pytest.raises(UsageError, match="cannot be read: No such file"):
        Access(ca=tmp_path / "none").channel("a:1")
    (tmp_path / "text").write_text("no certificate")
    with pytest.raises(UsageError, match="is not a PEM file"):
        Access(ca=tmp_path / "text").channel("a:1")


@pytest.mark.parametrize(("target", "direct"), [("localhost:1", True), ("node7:1", False)])
async def test_no_proxy_leads_to_this_machine(
    monkeypatch: pytest.MonkeyPatch, target: str, direct: bool
) -> None:
    given: list[tuple[tuple[str, object], ...]] = []
    monkeypatch.setattr(
        grpc.aio, "insecure_channel", lambda _target, options: given.append(tuple(options))
    )
    Access().channel(target)
    assert (("grpc.enable_http_proxy", 0) in given[0]) is direct
