"""Tables of jobs in Arrow IPC streams, and the tables of their answers."""

import io
import math

import numpy as np
import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from rt_predictor.api import ipc_stream
from rt_predictor.api.arrow import JobTable, Question, decode_table, encode_table
from rt_predictor.api.ipc_stream import check_stream, column_kinds
from rt_predictor.errors import InvalidRequestError, TooLargeError
from rt_predictor.jobs.schema import REQUEST_SCHEMA
from rt_predictor.predict.dispatch import Failed, Scored
from rt_predictor.traces.generate import generate_jobs
from tests.predict.fakes import MEMBERS, FakePredictor

NOW = 1_234_567.0
ROWS = 100
NOTHING = Question()
OLDEST = pl.CompatLevel.oldest()


def stream_of(table: pl.DataFrame, **options: object) -> bytes:
    file = io.BytesIO()
    table.write_ipc_stream(file, **options)
    return file.getvalue()


def decoded(
    stream: bytes,
    question: Question = NOTHING,
    *,
    partial: bool = True,
    max_rows: int = ROWS,
) -> JobTable:
    return decode_table(stream, question, partial=partial, max_rows=max_rows, clock=lambda: NOW)


def generated(count: int = 5) -> pl.DataFrame:
    return generate_jobs(count, seed=1).select(list(REQUEST_SCHEMA))


def answered(table: JobTable) -> pl.DataFrame:
    """The answers of the fake model, read back."""
    rows = range(len(table.frame))
    parts = [Scored(rows, FakePredictor().predict(table.frame))] if rows else []
    return pl.read_ipc_stream(encode_table(table, parts, MEMBERS)[0])


@pytest.mark.parametrize("options", [{}, {"compat_level": OLDEST}])
def test_a_table_of_jobs_arrives_as_it_was(options: dict[str, object]) -> None:
    jobs = generated()
    table = decoded(stream_of(jobs, **options))
    assert table.frame.equals(jobs)
    assert not table.errors
    assert table.request_ids is None
    assert len(table) == len(jobs)


def test_columns_come_in_any_order_and_number_type_and_may_be_missing() -> None:
    table = decoded(
        stream_of(
            pl.DataFrame(
                {
                    "user": ["alice", "", None],
                    "time_req": pl.Series([60, None, 7], dtype=pl.Int16),
                    "processors_req": pl.Series([1.0, 2.0, None], dtype=pl.Float32),
                    "qos": [None, None, None],
                    "gpus_req": pl.Series([None, None, None], dtype=pl.Null),
                    "mem_req": pl.Series([2**39, 1, 2], dtype=pl.UInt64),
                }
            )
        )
    )
    assert dict(table.frame.schema) == {name: kind() for name, kind in REQUEST_SCHEMA.items()}
    assert table.frame["user"].to_list() == ["alice", None, None]
    assert table.frame["time_req"].to_list() == [60.0, None, 7.0]
    assert table.frame["mem_req"].to_list() == [2.0**39, 1.0, 2.0]
    assert table.frame["submit_time"].to_list() == [NOW] * 3
    assert table.frame["gpus_req"].to_list() == table.frame["qos"].to_list() == [None] * 3


def test_several_record_batches_are_one_table() -> None:
    jobs = generated(20)
    parts = pl.concat([jobs[:7], jobs[7:]], rechunk=False)
    assert parts.n_chunks() == 2
    assert decoded(stream_of(parts)).frame.equals(jobs)


def test_an_empty_table_has_an_empty_answer() -> None:
    for stream in (stream_of(generated()[:0]), stream_of(pl.DataFrame())):
        table = decoded(stream)
        assert len(table) == len(answered(table)) == 0


def test_a_bad_row_gets_its_own_error_and_the_others_their_answers() -> None:
    jobs = generated(6).with_columns(
        processors_req=pl.Series([1.0, 0.0, 2.0, math.nan, 1.5, 3.0]),
        user=pl.Series(["a", "b", "é" * 257, "c", "d", "x" * 100_000]),
        request_id=pl.Series(["0", "1", "2", "3", "4", None]),
    )
    table = decoded(stream_of(jobs))
    assert {row: error.field for row, error in table.errors.items()} == {
        1: "processors_req", 2: "user", 3: "processors_req", 4: "processors_req", 5: "user",
    }  # fmt: skip
    answers = answered(table)
    assert answers["request_id"].to_list() == ["0", "1", "2", "3", "4", None]
    assert answers["predicted_runtime"].is_null().to_list() == [False] + [True] * 5
    assert answers["error"].is_null().to_list() == [True] + [False] * 5
    assert answers["error_code"].to_list() == [None, 3, 3, 3, 3, 3]
    assert answers["error_field"].to_list() == [
        None, "processors_req", "user", "processors_req", "processors_req", "user",
    ]  # fmt: skip
    assert max(len(text) for text in answers["error"].drop_nulls()) < 300
    assert "processors_req = 0.0: must be a whole number from 1" in answers["error"][1]


def test_required_fields_are_required_unless_partial() -> None:
    stream = stream_of(generated().drop("qos"))
    assert {error.field for error in decoded(stream, partial=False).errors.values()} == {"qos"}
    assert not decoded(stream).errors


def test_a_request_id_that_is_too_long_is_an_error_of_its_job() -> None:
    jobs = generated(2).with_columns(request_id=pl.Series(["y" * 257, "ok"]))
    table = decoded(stream_of(jobs))
    assert table.errors[0].field == "request_id"
    assert answered(table)["request_id"].to_list() == [None, "ok"]


def test_answers_have_every_column_and_what_the_model_failed_on_an_error() -> None:
    jobs = generated(4).with_columns(user=pl.Series([None, "a", "b", "c"]))
    table = decoded(stream_of(jobs.with_columns(time_req=pl.Series([None, 60.0, 60.0, 60.0]))))
    said = FakePredictor().predict(table.frame[:2])
    parts = [Scored(range(2), said), Failed(range(2, 4), ValueError("secret"))]
    stream, failed = encode_table(table, parts, MEMBERS)
    answers = pl.read_ipc_stream(stream)
    assert answers.columns == [
        "predicted_runtime", "confidence_lower", "confidence_upper", "timeout_probability",
        "recommended_time_req", *MEMBERS, "flags", "error_code", "error_field", "error",
    ]  # fmt: skip
    assert failed == 2
    assert answers["predicted_runtime"].to_list() == [*said.runtime_s, None, None]
    assert answers["timeout_probability"].to_list() == [None, 0.25, None, None]
    assert answers["catboost"].to_list() == [*said.members_s[:, 2], None, None]
    assert answers["flags"].to_list() == [*said.flags, None, None]
    assert answers["error_code"].to_list() == [None, None, 13, 13]
    assert "secret" not in answers["error"][2]


@pytest.mark.parametrize(
    ("table", "said"),
    [
        (pl.DataFrame({"time_limit": [1]}), "the column 'time_limit' is not known: rename it"),
        (pl.DataFrame({"time_req": ["60"]}), "'time_req' is a string, it must be a number"),
        (pl.DataFrame({"user": [5]}), "'user' is a number, it must be a string"),
        (pl.DataFrame({"user": [b"x"]}), "'user' is of another type, it must be a string"),
        (pl.DataFrame({"time_req": [[1]]}), "'time_req' is of another type"),
        (pl.DataFrame({"time_req": [True]}), "'time_req' is of another type"),
        (pl.DataFrame({"user": pl.Series(["a"], dtype=pl.Categorical)}), "'user' is of another"),
    ],
)
def test_a_column_that_is_not_taken_is_named(table: pl.DataFrame, said: str) -> None:
    with pytest.raises(InvalidRequestError, match=said):
        decoded(stream_of(table))


def test_a_table_over_a_limit_is_refused_before_it_is_decoded() -> None:
    with pytest.raises(TooLargeError, match=r"101 is over the limit of 100 \(server.max_batch_jo"):
        decoded(stream_of(generated(101)))


@pytest.mark.parametrize("compression", ["lz4", "zstd"])
def test_compression_is_refused(compression: str) -> None:
    stream = stream_of(generated(), compression=compression)
    with pytest.raises(InvalidRequestError, match="send it uncompressed"):
        decoded(stream)


def test_one_text_for_a_thousand_rows_is_refused_if_it_is_large() -> None:
    texts = pl.Series("user", ["é" * 500_000]).new_from_index(0, ROWS)
    with pytest.raises(TooLargeError, match="the size of the texts of one column"):
        decoded(stream_of(pl.DataFrame({"user": texts})))


def test_one_name_for_a_thousand_rows_is_taken() -> None:
    texts = pl.Series("job_name", ["n" * 250]).new_from_index(0, 1000)
    table = decoded(stream_of(pl.DataFrame({"job_name": texts})), max_rows=1000)
    assert len(table.frame) == 1000


@pytest.mark.parametrize(
    ("stream", "said"),
    [
        (b"", "byte 0: a message must begin with ff ff ff ff"),
        (b"PAR1 and so on", "byte 0: a message must begin with ff ff ff ff"),
        (b"\xff\xff\xff\xff\0\0\0\0", "it ends before the schema"),
        (b"\xff\xff\xff\xff\x10\0\0\0", "a header of 16 bytes does not fit"),
        (stream_of(generated())[:40], "does not fit"),
        (stream_of(generated()) [:-300], "does not fit"),
        (stream_of(generated())[:-8] + stream_of(generated()), "the schema comes twice"),
        (stream_of(generated())[:-8] + b"rest", "a message must begin with ff ff ff ff"),
    ],
)  # fmt: skip
def test_bytes_that_are_no_stream_are_refused_saying_what_and_where(
    stream: bytes, said: str
) -> None:
    with pytest.raises(InvalidRequestError, match=said):
        decoded(stream)


def test_a_column_that_is_there_twice_is_named() -> None:
    stream = stream_of(pl.DataFrame({"user": ["a"], "usee": ["b"]}))
    with pytest.raises(InvalidRequestError, match="'user' is there twice"):
        decoded(stream.replace(b"usee", b"user"))


_STREAMS = (
    stream_of(generated(9).with_columns(request_id=pl.lit("id"))),
    stream_of(generated(9).with_columns(user=pl.lit("u" * 40)), compat_level=OLDEST),
    stream_of(pl.concat([generated(3), generated(4)], rechunk=False)),
    stream_of(pl.DataFrame({"qos": [None], "time_req": [5]})),
)
_VALUES = st.sampled_from(
    [b"\0", b"\xff", b"\x80", b"\0" * 8, b"\xff" * 8, *(
        (2**bits).to_bytes(8, "little") for bits in (8, 16, 31, 32, 40, 62)
    )]
) | st.binary(min_size=1, max_size=8)  # fmt: skip


@st.composite
def _damaged(draw: st.DrawFn) -> bytes:
    stream = bytearray(draw(st.sampled_from(_STREAMS)))
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.integers(0, len(stream)))
        value = draw(_VALUES)
        stream[place : place + len(value)] = value
    return bytes(stream[: draw(st.none() | st.integers(0, len(stream)))])


@given(_damaged() | st.binary(max_size=200))
@example(b"\xff\xff\xff\xff")
@settings(max_examples=600, deadline=None)
def test_damaged_bytes_are_refused_or_read_but_never_do_harm(stream: bytes) -> None:
    try:
        table = decoded(stream)
    except (InvalidRequestError, TooLargeError):
        return
    assert len(table) <= ROWS
    assert table.frame.estimated_size() < 100 * len(stream) + 100_000
    assert len(answered(table)) == len(table)


@given(st.lists(st.none() | st.text(max_size=300), min_size=1, max_size=20))
def test_texts_of_any_kind_come_back_as_they_were(texts: list[str | None]) -> None:
    table = decoded(stream_of(pl.DataFrame({"user": texts}, schema={"user": pl.String})))
    valid = [text or None for text in texts if len(text or "") <= 256]
    assert table.frame["user"].to_list() == valid
    assert np.array_equal(
        sorted(table.errors), [n for n, text in enumerate(texts) if len(text or "") > 256]
    )


def test_what_is_looked_at_first_is_what_polars_writes() -> None:
    stream = stream_of(generated())
    assert list(column_kinds(stream)) == list(REQUEST_SCHEMA)
    check_stream(stream, max_rows=5, max_rows_setting="")
    assert ipc_stream.MAX_TEXT_BYTES == 1024


def test_a_table_is_answered_as_it_asks() -> None:
    stream = stream_of(generated(3))
    usual, asked = decoded(stream), decoded(stream, Question(0.5, (0.1, 0.75)))
    plain, narrow = (answered(table) for table in (usual, asked))
    said = FakePredictor().predict(usual.frame)
    assert plain["confidence_upper"].to_list() == said.upper_s.tolist()
    assert (narrow["confidence_upper"] < plain["confidence_upper"]).all()
    assert narrow["predicted_runtime"].to_list() == plain["predicted_runtime"].to_list()
    assert (narrow["recommended_time_req"] <= plain["recommended_time_req"]).all()
    assert narrow["quantile_0.75"].to_list() == (said.runtime_s * 1.25).tolist()
    assert {"quantile_0.1", "quantile_0.75"} == set(narrow.columns) - set(plain.columns)


def test_jobs_of_a_table_may_be_running() -> None:
    moments = {"as_of": pl.col("submit_time") + 60, "elapsed": pl.lit(pl.Series([9.0, None, -1.0]))}
    table = decoded(stream_of(generated(3).with_columns(**moments)))
    assert list(table.errors) == [2]
    assert answered(table)["remaining_runtime"].to_list() == [10.0, None, None]
    without = decoded(stream_of(generated(3).with_columns(elapsed=pl.lit(9.0))))
    assert {error.field for error in without.errors.values()} == {"as_of"}
