"""Files are written in their place and nowhere else."""

from pathlib import Path

import pytest

from rt_predictor.durable_files import replace_file, write_file


@pytest.mark.parametrize(("write", "staged"), [(write_file, "state"), (replace_file, "state.new")])
def test_a_link_that_somebody_has_put_there_is_not_followed(
    tmp_path: Path, write: object, staged: str
) -> None:
    assert callable(write)
    mine = tmp_path / "mine"
    mine.write_text("mine")
    (tmp_path / staged).symlink_to(mine)
    write(tmp_path / "state", b"new")
    assert mine.read_text() == "mine"
    assert (tmp_path / "state").read_bytes() == b"new"
    assert not (tmp_path / "state").is_symlink()
