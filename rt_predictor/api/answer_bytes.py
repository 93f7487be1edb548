"""Answers straight to bytes, many at once.

To fill a message field by field and have it written costs 3 us an answer, as much as reading a job.
But answers with the same flags, and ids of the same length, are the same bytes but for their
numbers: so one is written, and the numbers of all are put into its copies.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rt_predictor.api.v1 import rt_predictor_pb2 as pb
from rt_predictor.serving.predictions import Predictions

_DOUBLE_BYTES = 8


@dataclass(frozen=True)
class _Kind:
    """What the bytes of an answer depend on, beside its numbers and the text of its id."""

    flags: tuple[pb.PredictionFlag.ValueType, ...]
    has_limit: bool
    id_bytes: int


def answer_bytes(
    predictions: Predictions,
    request_ids: Sequence[str],
    flag_numbers: Sequence[tuple[pb.PredictionFlag.ValueType, ...]],
) -> list[bytes]:
    """For each answer the bytes of a `PredictBatchResponse` that holds it alone, in order.

    `flag_numbers` gives the numbers of `PredictionFlag` for the bits of `Predictions.flags`.
    """
    ids = [request_id.encode() for request_id in request_ids]
    keys = list(
        zip(
            predictions.flags.tolist(),
            (~np.isnan(predictions.timeout_probability)).tolist(),
            map(len, ids),
            strict=True,
        )
    )
    written = [b""] * len(ids)
    for key in set(keys):
        places = [place for place, other in enumerate(keys) if other == key]
        kind = _Kind(flag_numbers[key[0]], key[1], key[2])
        some = predictions.rows(np.array(places))
        rows = _written(some, kind, [ids[place] for place in places])
        for place, row in zip(places, rows, strict=True):
            written[place] = row
    return written


def _written(predictions: Predictions, kind: _Kind, ids: Sequence[bytes]) -> Iterator[bytes]:
    """The answers of one kind."""
    slots = list(_slots(predictions, kind, ids))
    same = pb.PredictResponse(
        confidence_level=predictions.level,
        model_version=predictions.model_version,
        flags=kind.flags,
    ).SerializeToString()
    content = same + b"".join(piece for piece, _ in slots)
    whole = pb.PredictBatchResponse(predictions=[pb.PredictResponse.FromString(content)])
    head_bytes = whole.ByteSize() - len(content)
    template = whole.SerializeToString()[:head_bytes] + content
    rows = np.tile(np.frombuffer(template, np.uint8), (len(ids), 1))
    end = head_bytes + len(same)
    for piece, values in slots:
        end += len(piece)
        rows[:, end - values.shape[1] : end] = values
    raw, width = rows.tobytes(), len(template)
    return (raw[start : start + width] for start in range(0, len(raw), width))


def _slots(
    predictions: Predictions, kind: _Kind, ids: Sequence[bytes]
) -> Iterator[tuple[bytes, NDArray[np.uint8]]]:
    """Fields whose values differ: one as it is written, and the bytes [n, size] of its end."""
    response = pb.PredictResponse
    yield response(predicted_runtime=1).SerializeToString(), _doubles(predictions.runtime_s)
    yield response(confidence_lower=1).SerializeToString(), _doubles(predictions.lower_s)
    yield response(confidence_upper=1).SerializeToString(), _doubles(predictions.upper_s)
    recommended = response(recommended_time_req=1).SerializeToString()
    yield recommended, _doubles(predictions.recommended_time_req_s)
    if kind.has_limit:
        piece = response(timeout_probability=1).SerializeToString()
        yield piece, _doubles(predictions.timeout_probability)
    for name, values in zip(predictions.member_names, predictions.members_s.T, strict=True):
        yield response(model_predictions={name: 1}).SerializeToString(), _doubles(values)
    if kind.id_bytes:
        texts = np.frombuffer(b"".join(ids), np.uint8).reshape(len(ids), kind.id_bytes)
        yield response(request_id="x" * kind.id_bytes).SerializeToString(), texts


def _doubles(values: NDArray[np.float64]) -> NDArray[np.uint8]:
    """[n] numbers as [n, 8] bytes, as they are written."""
    return np.ascontiguousarray(values, "<f8").view(np.uint8).reshape(-1, _DOUBLE_BYTES)
