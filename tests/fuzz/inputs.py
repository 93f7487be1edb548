"""What a hostile or broken client may send, as strategies.

Messages that are well-formed but odd, valid ones with bytes changed, and plain noise.
"""

import io
import math
from collections.abc import Callable
from dataclasses import dataclass

import polars as pl
from google.protobuf.message import Message
from hypothesis import strategies as st

from rt_predictor.api.v1 import rt_predictor_pb2 as pb
from rt_predictor.jobs.schema import REQUEST_SCHEMA
from rt_predictor.traces.generate import generate_jobs
from tests.api.harness import job

UNARY = ("Predict", "PredictBatch", "GetModelInfo", "HealthCheck")
STREAMS = ("PredictStream", "RecordOutcomes", "PredictArrow")


_SHOWN_CHARS = 400


@dataclass(frozen=True, repr=False)
class Input:
    """One call: a method, and the bytes of its messages."""

    method: str
    messages: tuple[bytes, ...]

    def __repr__(self) -> str:
        """Short enough for a report."""
        return f"{self.method}: {', '.join(one.hex()[:_SHOWN_CHARS] for one in self.messages)}"


_ODD_NUMBERS = (
    math.nan,
    math.inf,
    -math.inf,
    -0.0,
    5e-324,
    1e308,
    -1.0,
    0.5,
    2.0**53,
    1e18,
    3600.0,
)
_ODD_INTEGERS = (0, 1, -1, 2**31, 2**63 - 1, -(2**63), 10**9)
_ODD_TEXTS = (
    "",
    "\0",
    "x" * 5000,
    "\U0001f980" * 300,
    "../../etc/passwd",
    "'; DROP TABLE events",
    "\u202e",
)
_numbers = st.sampled_from(_ODD_NUMBERS) | st.floats()
_integers = st.sampled_from(_ODD_INTEGERS) | st.integers(-(2**63), 2**63 - 1)
_texts = st.sampled_from(_ODD_TEXTS) | st.text(max_size=12)

_job_fields = st.fixed_dictionaries(
    {},
    optional={
        **dict.fromkeys(("processors_req", "nodes_req", "gpus_req"), _integers),
        **dict.fromkeys(("mem_req", "time_req", "submit_time", "confidence_level"), _numbers),
        **dict.fromkeys(("partition", "qos", "user", "account", "job_name", "request_id"), _texts),
        "partial": st.booleans(),
    },
)
_jobs = _job_fields.map(lambda fields: job(**fields)) | _job_fields.map(
    lambda fields: pb.PredictRequest(**fields)
)
_outcomes = st.builds(
    pb.JobOutcome,
    job=_jobs,
    job_id=_texts,
    end_time=_numbers,
    start_time=_numbers,
    runtime=_numbers,
    state=_texts,
)
_MESSAGES: dict[str, st.SearchStrategy[Message]] = {
    "Predict": _jobs,
    "PredictStream": _jobs,
    "PredictBatch": st.builds(
        pb.PredictBatchRequest, jobs=st.lists(_jobs, max_size=4), batch_id=_texts
    ),
    "RecordOutcomes": st.builds(pb.RecordOutcomesRequest, outcomes=st.lists(_outcomes, max_size=3)),
    "GetModelInfo": st.just(pb.GetModelInfoRequest()),
    "HealthCheck": st.just(pb.HealthCheckRequest()),
}


# Changes of bytes: (what, where as a share of the length, a byte, how many).
_changes = st.lists(
    st.tuples(
        st.sampled_from(("flip", "set", "cut", "insert", "repeat", "word", "end")),
        st.floats(0, 1),
        st.integers(0, 255),
        st.integers(1, 16),
    ),
    max_size=5,
)
_WORDS = (0, 1, -1, 2**31 - 1, -(2**31), 8, 1 << 20)
"""Lengths and offsets of 32 bits that may mislead a decoder."""


def _changed(data: bytes, changes: list[tuple[str, float, int, int]]) -> bytes:
    made = bytearray(data)
    for what, share, byte, count in changes:
        at = round(share * len(made))
        match what:
            case "flip" if made:
                made[min(at, len(made) - 1)] ^= byte or 1
            case "set":
                made[at : at + count] = bytes([byte]) * count
            case "cut":
                del made[at : at + count]
            case "insert":
                made[at:at] = bytes([byte]) * count
            case "repeat":
                made[at:at] = made[at : at + 64] * count
            case "word":
                at -= at % 4
                word = _WORDS[byte % len(_WORDS)] * (1 if byte < 128 else count)
                made[at : at + 4] = (word & 0xFFFFFFFF).to_bytes(4, "little")
            case "end":
                del made[at:]
    return bytes(made)


def _changed_like(originals: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    return st.builds(_changed, originals, _changes)


def _stream_of(table: pl.DataFrame, **options: object) -> bytes:
    file = io.BytesIO()
    table.write_ipc_stream(file, **options)  # type: ignore[arg-type]
    return file.getvalue()


def _tables() -> tuple[bytes, ...]:
    """Arrow streams, good ones and others, for bytes of them to be changed."""
    jobs = generate_jobs(5, seed=1).select(list(REQUEST_SCHEMA))
    oldest = pl.CompatLevel.oldest()
    return (
        _stream_of(jobs),
        _stream_of(jobs, compat_level=oldest),
        _stream_of(jobs.head(0)),
        _stream_of(jobs.with_columns(request_id=pl.lit("a longer text than fits a view"))),
        _stream_of(jobs.with_columns(pl.lit(None).alias("user"), pl.col("time_req") * math.nan)),
        _stream_of(jobs.with_columns(pl.col("user").cast(pl.Categorical))),
        _stream_of(jobs.with_columns(pl.struct("user", "qos").alias("nested"))),
        _stream_of(jobs.with_columns(pl.concat_list("time_req", "mem_req").alias("time_req"))),
        _stream_of(jobs.select(pl.all().cast(pl.String))),
        _stream_of(pl.concat([jobs, jobs], rechunk=False)),
        _stream_of(jobs, compression="lz4"),
        _stream_of(jobs, compression="zstd"),
    )


_arrow = st.builds(
    lambda table, partial, level: pb.PredictArrowRequest(
        jobs=table, partial=partial, confidence_level=level
    ).SerializeToString(),
    _changed_like(st.sampled_from(_tables())) | st.binary(max_size=64),
    st.booleans(),
    st.none() | _numbers,
)


def _messages(method: str) -> st.SearchStrategy[bytes]:
    noise = st.binary(max_size=80)
    if method == "PredictArrow":
        return _arrow | _changed_like(_arrow) | noise
    serialize: Callable[[Message], bytes] = lambda message: message.SerializeToString()  # noqa: E731
    valid = _MESSAGES[method].map(serialize)
    return valid | _changed_like(valid) | noise


_ARROW_SHARE = 3
"""Of all methods it has the most to decode."""
_calls = [
    *(st.builds(Input, st.just(name), st.tuples(_messages(name))) for name in UNARY),
    *(
        st.builds(Input, st.just(name), st.lists(_messages(name), max_size=3).map(tuple))
        for name in (*STREAMS, *["PredictArrow"] * (_ARROW_SHARE - 1))
    ),
]
inputs: st.SearchStrategy[Input] = st.one_of(_calls)
