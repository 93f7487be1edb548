"""Amounts as users of Slurm write them."""

import pytest
import typer

from rt_predictor.cli.units import memory_mb, moment_s, time_limit_s


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("3600", 3600.0),
        ("90.5", 90.5),
        ("30:00", 1800.0),
        ("1:30:00", 5400.0),
        ("1-0", 86_400.0),
        ("1-12:30", 131_400.0),
        ("2-00:00:01", 172_801.0),
        (" 1:00:00 ", 3600.0),
    ],
)
def test_a_time_limit_is_seconds_or_a_span_of_slurm(text: str, seconds: float) -> None:
    assert time_limit_s(text) == seconds


@pytest.mark.parametrize("text", ["", "soon", "1h", "1:2:3:4", "-1:00"])
def test_any_other_time_limit_says_what_to_write(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="give seconds"):
        time_limit_s(text)


@pytest.mark.parametrize(
    ("text", "mb"),
    [("128000", 128_000.0), ("125G", 128_000.0), ("1.5t", 1_572_864.0), ("512K", 0.5)],
)
def test_memory_is_mb_or_a_size(text: str, mb: float) -> None:
    assert memory_mb(text) == mb


@pytest.mark.parametrize("text", ["", "much", "4Gn", "4000Mc", "4X"])
def test_memory_is_that_of_the_whole_job(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="MB of the whole job"):
        memory_mb(text)


@pytest.mark.parametrize(
    ("text", "unix_s"),
    [
        ("1735689600", 1_735_689_600.0),
        ("2025-01-01", 1_735_689_600.0),
        ("2025-01-01T00:00:00", 1_735_689_600.0),
        ("2025-01-01 01:00+01:00", 1_735_689_600.0),
        ("2025-01-01T00:00:00Z", 1_735_689_600.0),
    ],
)
def test_a_moment_is_unix_seconds_or_iso_and_utc_unless_it_says_otherwise(
    text: str, unix_s: float
) -> None:
    assert moment_s(text) == unix_s


@pytest.mark.parametrize("text", ["", "tomorrow", "2025-13-01"])
def test_any_other_moment_says_what_to_write(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="Unix seconds or ISO 8601"):
        moment_s(text)
