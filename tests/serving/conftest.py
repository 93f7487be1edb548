"""What several tests of the service share."""

from pathlib import Path

import pytest

from tests.model.plain_bundle import write_plain_bundle
from tests.security.files import Place


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """A folder with a CA."""
    return Place(tmp_path)


@pytest.fixture(scope="session")
def plain_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle that answers and needs no training."""
    return write_plain_bundle(tmp_path_factory.mktemp("plain") / "bundle")
