"""What several tests of predictions share."""

from pathlib import Path

import pytest

from tests.model.plain_bundle import write_plain_bundle


@pytest.fixture(scope="session")
def plain_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle that answers and needs no training."""
    return write_plain_bundle(tmp_path_factory.mktemp("plain") / "bundle")
