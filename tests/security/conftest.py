"""A folder of certificates for each test."""

from pathlib import Path

import pytest

from tests.security.files import Place


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """A folder with a CA."""
    return Place(tmp_path)
