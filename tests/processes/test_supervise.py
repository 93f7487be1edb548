"""What keeps a supervisor from starting any worker."""

import tempfile
from pathlib import Path

import pytest

from rt_predictor.api.sockets import shares_ports
from rt_predictor.errors import StartupError
from rt_predictor.processes.supervise import supervise
from rt_predictor.settings import Settings
from tests.api.harness import HOST
from tests.predict.fakes import fake_predictor

pytestmark = pytest.mark.skipif(not shares_ports(), reason="this system does not share ports")


async def test_without_a_temporary_folder_it_says_how_to_give_it_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "none"))
    settings = Settings().with_overrides({"server.host": HOST, "server.port": 0})
    with pytest.raises(StartupError, match="mount a tmpfs at /tmp"):
        await supervise(settings, fake_predictor)
