"""Texts of job logs -> numbers."""

from datetime import datetime, timedelta, timezone

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rt_predictor.traces import expressions as read


def value(expression: pl.Expr) -> float | None:
    number: float | None = pl.select(expression).item()
    return number


def texts(*values: str | None) -> pl.DataFrame:
    return pl.DataFrame({"text": pl.Series(values, dtype=pl.String)})


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1-02:03:04", 93784),
        ("125-00:00:00", 10_800_000),
        ("02:03:04", 7384),
        ("100:00:00", 360_000),
        ("03:04", 184),
        ("00:01.250", 1.25),
        ("2-12", 216_000),
        ("2-12:30", 217_800),
        ("5", 300),
        ("0", 0),
    ],
)
def test_a_time_limit_in_any_form_slurm_accepts_is_read(text: str, seconds: float) -> None:
    assert value(read.span_s(pl.lit(text), bare_unit_s=60.0)) == seconds


@pytest.mark.parametrize("text", ["", "abc", "10:", ":10", "-5", "1-", "1:2:3:4", "UNLIMITED"])
def test_what_is_no_time_span_is_null(text: str) -> None:
    assert value(read.span_s(pl.lit(text), bare_unit_s=60.0)) is None


@settings(deadline=None)
@given(st.lists(st.integers(0, 500 * 86400), min_size=1, max_size=50))
def test_time_spans_survive_the_way_through_slurm_text(spans: list[int]) -> None:
    frame = texts(*(slurm_span(span) for span in spans))
    assert frame.select(read.span_s(pl.col("text"), 1.0)).to_series().to_list() == spans


def slurm_span(seconds: int) -> str:
    days, rest = divmod(seconds, 86400)
    clock = f"{rest // 3600:02}:{rest // 60 % 60:02}:{rest % 60:02}"
    return f"{days}-{clock}" if days else clock


@pytest.mark.parametrize(
    ("text", "mb"),
    [
        ("4000", 4000),
        ("4000M", 4000),
        ("4.50G", 4608),
        ("512K", 0.5),
        ("2T", 2 * 1024**2),
        ("1P", 1024**3),
        ("16GB", 16384),
        ("16gib", 16384),
        ("0?", 0),
    ],
)
def test_memory_of_the_whole_job_is_read(text: str, mb: float) -> None:
    assert value(whole_job(text, nodes=3, cpus=8)) == mb


@pytest.mark.parametrize(
    ("text", "mb"),
    [("48000Mn", 144_000), ("62.50Gn", 192_000), ("2800Mc", 22_400), ("2800c", 22_400)],
)
def test_memory_per_node_or_cpu_is_multiplied(text: str, mb: float) -> None:
    assert value(whole_job(text, nodes=3, cpus=8)) == mb


def test_a_per_cpu_bit_that_sacct_printed_into_the_number_is_undone() -> None:
    assert value(whole_job("2147486448Mn", nodes=1, cpus=8)) == 2800 * 8


def test_a_per_cpu_bit_is_only_seen_where_sacct_prints_it() -> None:
    assert value(whole_job("2048Tn", nodes=1, cpus=8)) == 2.0**31
    assert value(whole_job("2147486448M", nodes=1, cpus=8)) == 2147486448


def test_memory_per_node_without_a_number_of_nodes_is_null() -> None:
    assert value(whole_job("48000Mn", nodes=None, cpus=8)) is None


@pytest.mark.parametrize("text", ["", "M", "four", "4X", "4000 M", "-4M", "1e3M", "4Mx"])
def test_what_is_no_memory_is_null(text: str) -> None:
    assert value(read.memory_amount_mb(pl.lit(text))) is None


@settings(deadline=None)
@given(
    st.integers(1, 10**6),
    st.sampled_from(["", "K", "M", "G", "T"]),
    st.sampled_from(["", "n", "c"]),
    st.integers(1, 1000),
    st.integers(1, 1000),
)
def test_memory_is_amount_times_unit_times_what_it_is_for(
    amount: int, unit: str, per: str, nodes: int, cpus: int
) -> None:
    factor = {"K": 1 / 1024, "": 1, "M": 1, "G": 1024, "T": 1024**2}[unit]
    times = {"": 1, "n": nodes, "c": cpus}[per]
    assert value(whole_job(f"{amount}{unit}{per}", nodes, cpus)) == amount * factor * times


def whole_job(text: str, nodes: int | None, cpus: int | None) -> pl.Expr:
    column = pl.lit(text)
    return read.whole_job_mb(
        read.memory_amount_mb(column),
        read.memory_per(column),
        pl.lit(nodes, pl.Float64),
        pl.lit(cpus, pl.Float64),
    )


@pytest.mark.parametrize(
    ("text", "number"), [("16", 16), ("2K", 2048), ("1.50K", 1536), ("1M", 2**20), ("x", None)]
)
def test_counts_with_a_unit_are_powers_of_1024(text: str, number: float | None) -> None:
    assert value(read.count(pl.lit(text))) == number


@pytest.mark.parametrize(
    ("text", "number"),
    [("552.21", 552.21), ("-1", -1), ("1e3", 1000), ("nan", None), ("inf", None), ("1,5", None)],
)
def test_only_finite_numbers_are_numbers(text: str, number: float | None) -> None:
    assert value(read.number(pl.lit(text))) == number


@pytest.mark.parametrize(
    ("tres", "gpus"),
    [
        ("billing=8,cpu=28,gres/gpu=8,node=1", 8),
        ("gres/gpu=2", 2),
        ("cpu=1,gres/gpu:v100=2,gres/gpu:a100=3", 5),
        ("gres/gpu=4,gres/gpu:v100=4", 4),
        ("cpu=1,gres/gpumem=40G", 0),
        ("cpu=1", 0),
        (None, None),
    ],
)
def test_gpus_of_a_tres_list(tres: str | None, gpus: float | None) -> None:
    assert value(read.tres_gpus(pl.lit(tres, pl.String))) == gpus


def test_no_gpus_is_not_a_negative_zero() -> None:
    assert str(value(read.tres_gpus(pl.lit("cpu=1")))) == "0.0"


def test_amounts_of_a_tres_list_are_found_by_their_whole_name() -> None:
    tres = pl.lit("billing=3,cpu=2,mem=4000M,node=1")
    assert pl.select(read.tres_amount(tres, "mem")).item() == "4000M"
    assert pl.select(read.tres_amount(tres, "em")).item() is None


@pytest.mark.parametrize(
    ("text", "zone", "moment"),
    [
        ("2024-01-02T03:04:05", "UTC", "2024-01-02T03:04:05+00:00"),
        ("2024-01-02 03:04:05", "UTC", "2024-01-02T03:04:05+00:00"),
        ("2024-01-02T03:04:05.250", "UTC", "2024-01-02T03:04:05.250+00:00"),
        ("2024-01-02T03:04:05", "Europe/Paris", "2024-01-02T02:04:05+00:00"),
        ("2024-07-02T03:04:05", "Europe/Paris", "2024-07-02T01:04:05+00:00"),
        ("2024-01-02T03:04:05Z", "Europe/Paris", "2024-01-02T03:04:05+00:00"),
        ("2024-01-02T03:04:05+02:00", "Europe/Paris", "2024-01-02T01:04:05+00:00"),
        ("2024-01-02 03:04:05-0530", "UTC", "2024-01-02T08:34:05+00:00"),
        ("2024-10-27T02:30:00", "Europe/Paris", "2024-10-27T00:30:00+00:00"),
        ("2024-03-31T02:30:00", "Europe/Paris", "2024-03-31T01:30:00+00:00"),
    ],
)
def test_iso_times_become_utc_seconds(text: str, zone: str, moment: str) -> None:
    seconds = value(read.timestamp_s(pl.lit(text), zone))
    assert seconds == datetime.fromisoformat(moment).timestamp()


def test_an_epoch_number_is_a_time() -> None:
    assert value(read.timestamp_s(pl.lit("1700000000"), "Europe/Paris")) == 1_700_000_000
    assert value(read.timestamp_s(pl.lit("1700000000500"), "UTC", 1e-3)) == 1_700_000_000.5


@pytest.mark.parametrize("text", ["", "Unknown", "2024-13-01T00:00:00", "yesterday"])
def test_what_is_no_time_is_null(text: str) -> None:
    assert value(read.timestamp_s(pl.lit(text), "UTC")) is None


@settings(deadline=None)
@given(
    st.datetimes(datetime(1990, 1, 1), datetime(2090, 1, 1)),
    st.integers(-14 * 60, 14 * 60),
)
def test_times_survive_the_way_through_iso_text(naive: datetime, offset_min: int) -> None:
    moment = naive.replace(tzinfo=timezone(timedelta(minutes=offset_min)))
    seconds = value(read.timestamp_s(pl.lit(moment.isoformat()), "UTC"))
    assert seconds == pytest.approx(moment.timestamp(), abs=1e-5)


def test_words_for_missing_are_null_in_any_case() -> None:
    frame = texts("Unknown", "UNKNOWN", "", "known", None)
    cleaned = frame.select(read.words_to_null(pl.col("text"), frozenset({"UNKNOWN"})))
    assert cleaned.to_series().to_list() == [None, None, None, "known", None]
