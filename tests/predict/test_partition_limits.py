"""The longest limit of each partition, from settings and from what `scontrol` prints."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from rt_predictor.errors import StartupError
from rt_predictor.predict.partition_limits import PartitionLimits, read_partitions
from rt_predictor.settings import PredictionSettings

SCONTROL = """\
PartitionName=debug
   AllowGroups=ALL AllowAccounts=ALL AllowQos=ALL
   MaxNodes=UNLIMITED MaxTime=01:00:00 MinNodes=0 LLN=NO
   State=UP TotalCPUs=64 TotalNodes=2

PartitionName=batch
   AllowGroups=ALL Default=YES QoS=N/A
   DefaultTime=NONE MaxTime=7-00:00:00 MinNodes=0
PartitionName=open
   MaxTime=UNLIMITED
"""
ONE_LINE = "PartitionName=gpu AllowGroups=ALL MaxTime=2-12:00:00 State=UP\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "partitions"
    path.write_text(SCONTROL + ONE_LINE)
    return path


def test_limits_are_read_from_both_ways_that_scontrol_prints(file: Path) -> None:
    day_s = 86400.0
    assert read_partitions(file) == {"debug": 3600.0, "batch": 7 * day_s, "gpu": 2.5 * day_s}


def test_settings_go_before_the_file_and_what_is_not_known_is_not_bounded(file: Path) -> None:
    settings = PredictionSettings(partition_limits={"debug": 1800.0}, partitions_file=file)
    limits = PartitionLimits.of(settings)
    rows = [{"partition": name} for name in ("debug", "batch", "open", "other", None)]
    expected = [1800.0, 7 * 86400.0, np.inf, np.inf, np.inf]
    assert limits.of_jobs(rows).tolist() == expected
    assert limits.of_jobs(pl.DataFrame(rows)).tolist() == expected
    assert PartitionLimits({}).of_jobs(rows) == np.inf


def test_a_file_that_cannot_be_used_is_named_at_start(tmp_path: Path) -> None:
    with pytest.raises(StartupError, match=r"partitions_file .*none cannot be read"):
        read_partitions(tmp_path / "none")
    (tmp_path / "empty").write_text("slurm_load_partitions error\n")
    with pytest.raises(StartupError, match="names no partition: write what `scontrol"):
        read_partitions(tmp_path / "empty")
