"""Answers straight to bytes.

To fill a message field by field and have it written costs 3 us an answer, as much as reading a job,
and several times that where answers come one by one. But answers with the same flags are the same
bytes but for their numbers and ids: so one is written, and the numbers are put into copies of it.
"""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import chain
from struct import Struct, pack

import numpy as np
from numpy.typing import NDArray

from rt_predictor.api.v1 import rt_predictor_pb2 as pb
from rt_predictor.serving.predictions import Flag, Predictions

_FLAG_NUMBERS = tuple(
    (int(flag), pb.PredictionFlag.Value(f"PREDICTION_FLAG_{flag.name}")) for flag in Flag
)
FLAG_NUMBERS: tuple[tuple[pb.PredictionFlag.ValueType, ...], ...] = tuple(
    tuple(number for bit, number in _FLAG_NUMBERS if bits & bit) for bits in range(2 ** len(Flag))
)
"""Bits of `Flag` -> numbers of `PredictionFlag`."""

_DOUBLE_BYTES = 8
_A_NUMBER = pack("<d", 1.0)
"""Any but 0, which is not written."""
_KINDS = 1024
"""Kinds of answers that are kept ready: each flag with each other, for some models and levels."""


@lru_cache(_KINDS)
def _before_numbers(
    flags: int,
    has_limit: bool,
    level: float,
    model_version: str,
    member_names: tuple[str, ...],
) -> tuple[bytes, ...]:
    """What stands before each number of an answer, and before the first all that has none.

    A field is written as what it is, then its value; a member's number stands at the end of its.
    """
    response = pb.PredictResponse
    rest = response(confidence_level=level, model_version=model_version)
    rest.flags.extend(FLAG_NUMBERS[flags])
    numbers = [
        response(predicted_runtime=1),
        response(confidence_lower=1),
        response(confidence_upper=1),
        response(recommended_time_req=1),
        *([response(timeout_probability=1)] if has_limit else []),
        *(response(model_predictions={name: 1}) for name in member_names),
    ]
    first, *others = (number.SerializeToString()[:-_DOUBLE_BYTES] for number in numbers)
    return (rest.SerializeToString() + first, *others)


@lru_cache(_KINDS)
def _writer(
    flags: int,
    has_limit: bool,
    level: float,
    model_version: str,
    member_names: tuple[str, ...],
) -> tuple[Struct, tuple[bytes | float, ...]]:
    """What writes an answer, and what it takes: before each number what stands there."""
    before = _before_numbers(flags, has_limit, level, model_version, member_names)
    layout = "".join(f"{len(piece)}sd" for piece in before)
    return Struct(f"<{layout}"), tuple(chain.from_iterable((piece, 0.0) for piece in before))


def answer_bytes(predictions: Predictions, row: int, request_id: str) -> bytes:
    """The bytes of the `PredictResponse` for one row."""
    runtime, lower, upper, timeout, recommended, members, flags = predictions.answers[row]
    limited = timeout == timeout  # noqa: PLR0124 - not NaN, and quicker than asking
    writer, parts = _writer(
        flags, limited, predictions.level, predictions.model_version, predictions.member_names
    )
    chance = (timeout,) if limited else ()
    filled = [*parts]
    filled[1::2] = (runtime, lower, upper, recommended, *chance, *members)
    written = writer.pack(*filled)
    return written + _id_bytes(request_id) if request_id else written


def answers_bytes(predictions: Predictions, request_ids: Sequence[str]) -> list[bytes]:
    """For each answer the bytes of a `PredictBatchResponse` that holds it alone, in order."""
    ids = [_id_bytes(request_id) for request_id in request_ids]
    limited = ~np.isnan(predictions.timeout_probability)
    keys = list(zip(predictions.flags.tolist(), limited.tolist(), map(len, ids), strict=True))
    written = [b""] * len(ids)
    for key in set(keys):
        flags, has_limit, _ = key
        places = [place for place, other in enumerate(keys) if other == key]
        some = predictions.rows(np.array(places))
        rows = _written(some, flags, [ids[place] for place in places], has_limit=has_limit)
        for place, row in zip(places, rows, strict=True):
            written[place] = row
    return written


def _id_bytes(request_id: str) -> bytes:
    return pb.PredictResponse(request_id=request_id).SerializeToString()


def _written(
    predictions: Predictions, flags: int, ids: Sequence[bytes], *, has_limit: bool
) -> Iterator[bytes]:
    """Answers of one kind, with ids of the same length."""
    kind = (flags, has_limit, predictions.level, predictions.model_version)
    before = _before_numbers(*kind, predictions.member_names)
    content = b"".join(piece + _A_NUMBER for piece in before) + ids[0]
    whole = pb.PredictBatchResponse(predictions=[pb.PredictResponse.FromString(content)])
    head = whole.SerializeToString()[: -len(content)]
    template = head + content
    rows = np.tile(np.frombuffer(template, np.uint8), (len(ids), 1))
    end = len(head)
    for piece, values in zip(before, _columns(predictions, has_limit=has_limit), strict=True):
        end += len(piece) + _DOUBLE_BYTES
        rows[:, end - _DOUBLE_BYTES : end] = _doubles(values)
    if ids[0]:
        rows[:, end:] = np.frombuffer(b"".join(ids), np.uint8).reshape(len(ids), -1)
    raw, width = rows.tobytes(), len(template)
    return (raw[start : start + width] for start in range(0, len(raw), width))


def _columns(predictions: Predictions, *, has_limit: bool) -> Iterator[NDArray[np.float64]]:
    """The numbers of answers, in the order of `_before_numbers`."""
    yield predictions.runtime_s
    yield predictions.lower_s
    yield predictions.upper_s
    yield predictions.recommended_time_req_s
    if has_limit:
        yield predictions.timeout_probability
    yield from predictions.members_s.T


def _doubles(values: NDArray[np.float64]) -> NDArray[np.uint8]:
    """[n] numbers as [n, 8] bytes, as they are written."""
    return np.ascontiguousarray(values, "<f8").view(np.uint8).reshape(-1, _DOUBLE_BYTES)
