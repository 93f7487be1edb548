import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rt_predictor.features import categories
from rt_predictor.features.assemble import NUMBERS, Assembler, Range, training_ranges
from rt_predictor.features.categories import fit_category
from rt_predictor.features.declared import CATEGORY_FIELDS, HISTORY_INPUTS, INPUTS, REQUEST_INPUTS
from rt_predictor.jobs.schema import REQUEST_SCHEMA
from rt_predictor.traces.generate import generate_jobs

_USED = [*NUMBERS, "submit_time", *CATEGORY_FIELDS]
COLUMN = {item.name: place for place, item in enumerate(INPUTS)}


def nothing_known(jobs: pl.DataFrame) -> np.ndarray:
    return np.full((len(jobs), len(HISTORY_INPUTS)), np.nan, dtype=np.float32)


@pytest.fixture(scope="module")
def jobs() -> pl.DataFrame:
    return generate_jobs(500, seed=3)


@pytest.fixture(scope="module")
def assembler(jobs: pl.DataFrame) -> Assembler:
    return Assembler(
        tuple(fit_category(f, jobs, min_jobs=5, max_names=9, salt="s") for f in CATEGORY_FIELDS)
    )


def test_numbers_pass_through_and_missing_is_nan(jobs: pl.DataFrame, assembler: Assembler) -> None:
    holes = jobs.with_columns(mem_req=pl.lit(None, dtype=pl.Float64))
    matrix = assembler.assemble(holes, nothing_known(holes))
    assert matrix.dtype == np.float32
    assert matrix.shape == (500, len(INPUTS))
    assert np.isnan(matrix[:, COLUMN["mem_req"]]).all()
    np.testing.assert_array_equal(matrix[:, COLUMN["time_req"]], jobs["time_req"].to_numpy())


def test_history_stands_after_the_request(jobs: pl.DataFrame, assembler: Assembler) -> None:
    history = np.arange(2 * len(HISTORY_INPUTS), dtype=np.float32).reshape(2, -1)
    matrix = assembler.assemble(jobs[:2], history)
    np.testing.assert_array_equal(matrix[:, len(REQUEST_INPUTS) :], history)
    names = tuple(item.name for item in HISTORY_INPUTS)
    assert tuple(item.name for item in INPUTS[len(REQUEST_INPUTS) :]) == names


@pytest.mark.parametrize(
    ("submit_time", "second_of_day", "second_of_week"),
    [
        (0.0, 0, 3 * 86400),  # Thursday 1970-01-01 00:00
        (4 * 86400.0, 0, 0),  # Monday
        (1_700_000_000.0, 80_000, 86_400 + 80_000),  # Tuesday 2023-11-14 22:13:20
    ],
)
def test_calendar_is_counted_from_midnight_and_monday_utc(
    submit_time: float,
    second_of_day: float,
    second_of_week: float,
    jobs: pl.DataFrame,
    assembler: Assembler,
) -> None:
    job = jobs[:1].with_columns(submit_time=pl.lit(submit_time))
    row = assembler.assemble(job, nothing_known(job))[0]
    assert row[COLUMN["second_of_day"]] == second_of_day
    assert row[COLUMN["second_of_week"]] == second_of_week


odd_jobs = st.lists(
    st.fixed_dictionaries(
        {
            **{name: st.none() | st.floats(0, 1e12) for name in NUMBERS},
            "submit_time": st.floats(0, 4_102_444_800),
            **{name: st.none() | st.text(max_size=5) for name in CATEGORY_FIELDS},
        }
    ),
    max_size=20,
)


@given(odd=odd_jobs, known=st.sets(st.integers(0, 499), max_size=20))
def test_a_job_is_assembled_alone_as_in_bulk(
    odd: list[dict[str, object]], known: set[int], jobs: pl.DataFrame, assembler: Assembler
) -> None:
    """Bit for bit: the few are looked up one by one, the many by Polars."""
    some = pl.concat(
        [
            pl.DataFrame(odd, schema={name: REQUEST_SCHEMA[name] for name in _USED}),
            jobs[sorted(known)].select(_USED),
        ]
    )
    history = np.arange(len(some) * len(HISTORY_INPUTS), dtype=np.float32)
    history = history.reshape(len(some), len(HISTORY_INPUTS))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(categories, "_FEW_VALUES", 0)
        bulk = assembler.assemble(some, history)
    alone = [assembler.assemble(some[row], history[row : row + 1]) for row in range(len(some))]
    assert bulk.tobytes() == b"".join(row.tobytes() for row in alone)
    rows = [{name: job.get(name) for name in REQUEST_SCHEMA} for job in some.rows(named=True)]
    assert bulk.tobytes() == assembler.assemble(rows, history).tobytes()


def test_an_empty_frame_gives_an_empty_matrix(jobs: pl.DataFrame, assembler: Assembler) -> None:
    assert assembler.assemble(jobs[:0], nothing_known(jobs[:0])).shape == (0, len(INPUTS))


def test_categories_in_another_order_are_refused(assembler: Assembler) -> None:
    with pytest.raises(ValueError, match="expected"):
        Assembler(assembler.categories[::-1])


def test_ranges_leave_out_what_no_job_has(jobs: pl.DataFrame) -> None:
    ranges = training_ranges(jobs.with_columns(gpus_req=pl.lit(None, dtype=pl.Float64)))
    assert set(ranges) == set(NUMBERS) - {"gpus_req"}
    low, high = jobs["time_req"].min(), jobs["time_req"].max()
    assert ranges["time_req"] == Range(low, high)
