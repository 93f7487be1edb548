"""Answers straight to bytes.

To fill a message field by field and have it written costs 3 us an answer, as much as reading a job,
and several times that where answers come one by one. But answers of one kind, which have the same
flags, levels and fields, are the same bytes but for their numbers and ids: so one is written, and
the numbers are put into copies of it.
"""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import chain, compress
from math import isnan
from struct import Struct, pack
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rt_predictor.api.v1 import rt_predictor_pb2 as pb
from rt_predictor.model.answer_flags import Flag
from rt_predictor.predict.predictions import Answer, Explanation, Predictions
from rt_predictor.predict.views import Views

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


class Kind(NamedTuple):
    """What answers whose bytes differ in numbers alone have in common."""

    flags: int
    has_timeout: bool
    has_recommended: bool
    has_remaining: bool
    views: Views
    model_version: str
    members: tuple[str, ...]
    """Names of the models and rules that say something."""


@lru_cache(_KINDS)
def _before_numbers(kind: Kind) -> tuple[bytes, ...]:
    """Return what stands before each number of an answer, before the first all that has none.

    A field is written as what it is, then its value; the number of one that is a message stands at
    the end of it.
    """
    response, views = pb.PredictResponse, kind.views
    rest = response(
        confidence_level=views.level,
        recommendation_confidence=views.confidence,
        model_version=kind.model_version,
    )
    rest.flags.extend(FLAG_NUMBERS[kind.flags])
    numbers = [
        response(predicted_runtime=1),
        response(confidence_lower=1),
        response(confidence_upper=1),
        *([response(timeout_probability=1)] if kind.has_timeout else []),
        *([response(recommended_time_req=1)] if kind.has_recommended else []),
        *([response(remaining_runtime=1)] if kind.has_remaining else []),
        *(response(quantiles=[pb.Quantile(level=u, runtime=1)]) for u in views.quantiles),
        *(response(model_predictions={name: 1}) for name in kind.members),
    ]
    first, *others = (number.SerializeToString()[:-_DOUBLE_BYTES] for number in numbers)
    return (rest.SerializeToString() + first, *others)


@lru_cache(_KINDS)
def _writer(kind: Kind) -> tuple[Struct, tuple[bytes | float, ...]]:
    """Return what writes an answer, and what it takes: before each number what stands there."""
    before = _before_numbers(kind)
    layout = "".join(f"{len(piece)}sd" for piece in before)
    return Struct(f"<{layout}"), tuple(chain.from_iterable((piece, 0.0) for piece in before))


def answer_bytes(predictions: Predictions, row: int, request_id: str) -> bytes:
    """Return the bytes of the `PredictResponse` for one row."""
    answer = predictions.answers[row]
    kind, numbers = _kind_and_numbers(predictions, answer)
    writer, parts = _writer(kind)
    filled = [*parts]
    filled[1::2] = numbers
    written = writer.pack(*filled)
    if row in predictions.explanations:
        written += _explanation_bytes(predictions.explanations[row])
    return written + _id_bytes(request_id) if request_id else written


def _kind_and_numbers(predictions: Predictions, answer: Answer) -> tuple[Kind, list[float]]:
    views = predictions.views[answer.views]
    names, members_s = predictions.member_names, answer.members_s
    if isnan(sum(members_s)):  # any is
        present = [not isnan(value) for value in members_s]
        names, members_s = tuple(compress(names, present)), [*compress(members_s, present)]
    kind = Kind(
        answer.flags,
        not isnan(answer.timeout_probability),
        not isnan(answer.recommended_time_req_s),
        not isnan(answer.remaining_s),
        views,
        predictions.model_version,
        names,
    )
    numbers = [answer.runtime_s, answer.lower_s, answer.upper_s]
    if kind.has_timeout:
        numbers.append(answer.timeout_probability)
    if kind.has_recommended:
        numbers.append(answer.recommended_time_req_s)
    if kind.has_remaining:
        numbers.append(answer.remaining_s)
    numbers += answer.quantiles_s[: len(views.quantiles)]
    numbers += members_s
    return kind, numbers


def answers_bytes(predictions: Predictions, request_ids: Sequence[str]) -> list[bytes]:
    """Return the bytes of a `PredictBatchResponse` for each answer alone, in order."""
    ids = [_id_bytes(request_id) for request_id in request_ids]
    for row, told in predictions.explanations.items():
        ids[row] = _explanation_bytes(told) + ids[row]
    written = [b""] * len(ids)
    lengths = np.fromiter(map(len, ids), np.int64, len(ids))
    for indices in _alike(predictions, lengths):
        some = predictions.rows(indices)
        rows = _written(some, [ids[index] for index in indices.tolist()])
        for index, answer in zip(indices.tolist(), rows, strict=True):
            written[index] = answer
    return written


def _alike(predictions: Predictions, id_bytes: NDArray[np.int64]) -> Iterator[NDArray[np.intp]]:
    """Places of answers of one kind, with ids of the same length, together."""
    present = ~np.isnan(predictions.members_s)
    optional = (
        predictions.timeout_probability,
        predictions.recommended_time_req_s,
        predictions.remaining_s,
    )
    keys = np.column_stack(
        (
            predictions.flags,
            *(~np.isnan(column) for column in optional),
            present @ (1 << np.arange(present.shape[1])),
            predictions.view_of,
            id_bytes,
        )
    ).astype(np.int64)
    kinds: dict[bytes, list[int]] = {}
    for index, key in enumerate(keys):
        kinds.setdefault(key.tobytes(), []).append(index)
    return (np.array(indices) for indices in kinds.values())


def _id_bytes(request_id: str) -> bytes:
    return pb.PredictResponse(request_id=request_id).SerializeToString()


def _explanation_bytes(told: Explanation) -> bytes:
    message = pb.Explanation(
        own_jobs=[
            pb.WeighedJob(
                share=job.share,
                runtime=job.runtime_s,
                age=job.age_s,
                processors_req=None if isnan(job.cores) else job.cores,
                time_req=None if isnan(job.limit_s) else job.limit_s,
            )
            for job in told.own_jobs
        ],
        other_own_share=told.other_own_share,
        others_share=told.others_share,
        proposals=[
            pb.WeighedProposal(name=name, runtime=said.runtime_s, share=said.share)
            for name, said in told.proposals.items()
        ],
        grid_share=told.grid_share,
    )
    return pb.PredictResponse(explanation=message).SerializeToString()


def _written(predictions: Predictions, ends: Sequence[bytes]) -> Iterator[bytes]:
    """Answers of one kind, with ends (ids, explanations) of the same length."""
    kind, _ = _kind_and_numbers(predictions, predictions.part(0, 1).answers[0])
    before = _before_numbers(kind)
    content = b"".join(piece + _A_NUMBER for piece in before) + ends[0]
    whole = pb.PredictBatchResponse(predictions=[pb.PredictResponse.FromString(content)])
    head = whole.SerializeToString()[: -len(content)]
    template = head + content
    rows = np.tile(np.frombuffer(template, np.uint8), (len(ends), 1))
    end = len(head)
    for piece, values in zip(before, _columns(predictions, kind), strict=True):
        end += len(piece) + _DOUBLE_BYTES
        rows[:, end - _DOUBLE_BYTES : end] = _doubles(values)
    if ends[0]:
        rows[:, end:] = np.frombuffer(b"".join(ends), np.uint8).reshape(len(ends), -1)
    raw, width = rows.tobytes(), len(template)
    return (raw[start : start + width] for start in range(0, len(raw), width))


def _columns(predictions: Predictions, kind: Kind) -> Iterator[NDArray[np.float64]]:
    """The numbers of answers of a kind, in the order of `_before_numbers`."""
    yield predictions.runtime_s
    yield predictions.lower_s
    yield predictions.upper_s
    if kind.has_timeout:
        yield predictions.timeout_probability
    if kind.has_recommended:
        yield predictions.recommended_time_req_s
    if kind.has_remaining:
        yield predictions.remaining_s
    yield from predictions.quantiles_s.T[: len(kind.views.quantiles)]
    for name, column in zip(predictions.member_names, predictions.members_s.T, strict=True):
        if name in kind.members:
            yield column


def _doubles(values: NDArray[np.float64]) -> NDArray[np.uint8]:
    """[n] numbers as [n, 8] bytes, as they are written."""
    return np.ascontiguousarray(values, "<f8").view(np.uint8).reshape(-1, _DOUBLE_BYTES)
