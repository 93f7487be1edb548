"""The codec: messages to a frame of jobs, predictions to messages.

Every job is read once, checked by the rules of `jobs.rules`, and put as one row into one frame.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, repeat
from typing import Any, Generic, TypeVar

import numpy as np
import polars as pl
from numpy.typing import NDArray

from rt_predictor.api.answer_bytes import answer_bytes, answers_bytes
from rt_predictor.api.call import may_explain
from rt_predictor.api.status import status_of
from rt_predictor.api.v1 import rt_predictor_pb2 as pb
from rt_predictor.errors import ExplainRoleError, InvalidJobError, InvalidRequestError
from rt_predictor.jobs.asked import ASKED_SCHEMA, asked_frame, check_asked
from rt_predictor.jobs.bounds import MAX_TEXT_CHARS
from rt_predictor.jobs.normal import normal_partition
from rt_predictor.jobs.rules import TextRule, check_job, invalid_jobs
from rt_predictor.jobs.schema import REQUEST_SCHEMA, Row
from rt_predictor.predict.dispatch import Failed, Parts, Scored
from rt_predictor.predict.predictions import Predictions

_ID_RULE = TextRule("request_id", required=False)
_SHOWN_CHARS = 32
"""Of a text that is too long."""
_SLICE_ROWS = 1024
"""Rows made into a frame or into bytes at once: the GIL is held meanwhile, and others wait."""
_SCHEMA: Mapping[str, Any] = {**REQUEST_SCHEMA, **ASKED_SCHEMA}
_Valid = TypeVar("_Valid", list[Row], pl.DataFrame)
_Found = tuple[Predictions, int]
"""Where an answer is, and in which row of it."""


@dataclass(frozen=True)
class Jobs(Generic[_Valid]):
    """The jobs of one request or chunk: those that can be scored, and why the others cannot."""

    valid: _Valid
    """Valid jobs: a list of rows, or for many a frame; with the fields of `REQUEST_SCHEMA` and
    `ASKED_SCHEMA`."""
    errors: Mapping[int, InvalidJobError]
    """Index in the request -> the rule that the job breaks."""
    request_ids: Sequence[str]
    """One for each job of the request."""

    def __len__(self) -> int:
        return len(self.request_ids)


class JobReader:
    """Collects jobs as they come. What it keeps of a job is small, whatever the message held."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._now = 0.0
        self._rows: list[Row] = []
        self._errors: dict[int, InvalidJobError] = {}
        self._request_ids: list[str] = []

    def __len__(self) -> int:
        return len(self._request_ids)

    def add(self, request: pb.PredictRequest) -> None:
        """Reads one job. A job without `submit_time` is submitted when the first of these came."""
        index = len(self._request_ids)
        if not index:
            self._now = self._clock()
        request_id = request.request_id
        row = _row(request, self._now)
        try:
            _check_request_id(request_id)
            check_job(row, partial=request.partial)
            _check_question(row)
        except InvalidJobError as error:
            self._errors[index] = _shortened(error)
            request_id = request_id if _ID_RULE.admits(request_id) else ""
        else:
            self._rows.append(row)
        self._request_ids.append(request_id)

    def jobs(self) -> Jobs[list[Row]]:
        """All jobs read so far."""
        return Jobs(self._rows, self._errors, self._request_ids)


def decode_jobs(
    requests: Iterable[pb.PredictRequest], clock: Callable[[], float]
) -> Jobs[list[Row]]:
    """Reads jobs; `clock` gives the submit time (Unix s) of those that state none."""
    reader = JobReader(clock)
    for request in requests:
        reader.add(request)
    return reader.jobs()


def decode_job(request: pb.PredictRequest, clock: Callable[[], float]) -> Row:
    """Reads one job. Raises InvalidJobError."""
    row = _row(request, clock())
    try:
        _check_request_id(request.request_id)
        check_job(row, partial=request.partial)
        _check_question(row)
    except InvalidJobError as error:
        raise _shortened(error) from None
    return row


def decode_many(
    requests: Sequence[pb.PredictRequest], clock: Callable[[], float]
) -> Jobs[pl.DataFrame]:
    """Reads many jobs, column by column; says the same of each as `decode_jobs`."""
    now = clock()
    slices = range(0, len(requests), _SLICE_ROWS)
    frames = [_frame(requests[start : start + _SLICE_ROWS], now) for start in slices]
    jobs = pl.concat([pl.DataFrame(schema=_SCHEMA), *frames])
    request_ids = [request.request_id for request in requests]
    partial = np.fromiter((request.partial for request in requests), np.bool_, len(requests))
    broken = _broken(jobs, partial)
    for index, request_id in enumerate(request_ids):
        if not _ID_RULE.admits(request_id):
            broken[index] = InvalidJobError(_ID_RULE.field, request_id, _ID_RULE.text)
            request_ids[index] = ""
    for index, error in _broken_questions(jobs).items():
        broken.setdefault(index, error)
    errors = {index: _shortened(error) for index, error in broken.items()}
    if errors:
        jobs = jobs[np.delete(np.arange(len(jobs)), list(errors))]
    return Jobs(asked_frame(jobs), errors, request_ids)


def check_batch_id(batch_id: str) -> None:
    """Checks the id of a batch. Raises InvalidRequestError."""
    if not _ID_RULE.admits(batch_id):
        raise InvalidRequestError(f"batch_id has {len(batch_id)} characters: it {_ID_RULE.text}")


def encode_answers(jobs: Jobs[list[Row]], parts: Parts) -> list[bytes]:
    """The answers for all jobs of a stream's chunk; `parts` are those of the valid ones."""
    found = chain.from_iterable(map(_answers_of, parts))
    answers = []
    for index, request_id in enumerate(jobs.request_ids):
        invalid = jobs.errors.get(index)
        one = next(found) if invalid is None else _invalid_answer(invalid)
        if isinstance(one, pb.ItemError):
            refused = pb.PredictResponse(request_id=request_id, error=one)
            answers.append(refused.SerializeToString())
            continue
        answers.append(answer_bytes(*one, request_id))
    return answers


def encode_batch(
    batch_id: str,
    model_version: str,
    jobs: Jobs[list[Row]] | Jobs[pl.DataFrame],
    parts: Parts,
) -> bytes:
    """The bytes of a `PredictBatchResponse`.

    Messages that follow one another add up to one whose repeated fields hold those of all; so the
    answer is made job by job, in slices, and no step keeps the GIL for long.
    """
    pieces, failed = [b""] * len(jobs), len(jobs.errors)
    for index, invalid in jobs.errors.items():
        pieces[index] = _error_bytes(jobs.request_ids[index], _invalid_answer(invalid))
    indices = [index for index in range(len(jobs)) if index not in jobs.errors]
    for part in parts:
        where = indices[part.rows.start : part.rows.stop]
        if isinstance(part, Failed):
            failed += len(where)
            error = _failed_answer(part)
            for index in where:
                pieces[index] = _error_bytes(jobs.request_ids[index], error)
            continue
        predictions = part.own
        for start in range(0, len(where), _SLICE_ROWS):
            some = where[start : start + _SLICE_ROWS]
            ids = [jobs.request_ids[index] for index in some]
            answers = predictions.part(start, start + len(some))
            for index, piece in zip(some, answers_bytes(answers, ids), strict=True):
                pieces[index] = piece
    rest = pb.PredictBatchResponse(batch_id=batch_id, model_version=model_version, failed=failed)
    return b"".join((*pieces, rest.SerializeToString()))


def _error_bytes(request_id: str, error: pb.ItemError) -> bytes:
    answer = pb.PredictResponse(request_id=request_id, error=error)
    return pb.PredictBatchResponse(predictions=[answer]).SerializeToString()


def _answers_of(part: Scored | Failed) -> Iterator[_Found | pb.ItemError]:
    if isinstance(part, Scored):
        first = part.first
        return zip(repeat(part.predictions), range(first, first + len(part.rows)), strict=False)
    return repeat(_failed_answer(part), len(part.rows))


def _failed_answer(part: Failed) -> pb.ItemError:
    status = status_of(part.error, jobs=len(part.rows))
    return pb.ItemError(code=status.number, message=status.message)


def _invalid_answer(error: InvalidJobError) -> pb.ItemError:
    status = status_of(error)
    return pb.ItemError(code=status.number, message=status.message, field=error.field)


def _row(request: pb.PredictRequest, now: float) -> dict[str, Any]:
    """The job, and what is asked of it, as field -> value, None where missing.

    0 is asked for presence last because hardly any job has one.
    """
    has = request.HasField
    return {
        "submit_time": request.submit_time if has("submit_time") else now,
        "processors_req": request.processors_req or (0 if has("processors_req") else None),
        "nodes_req": request.nodes_req or (0 if has("nodes_req") else None),
        "mem_req": request.mem_req or (0.0 if has("mem_req") else None),
        "gpus_req": request.gpus_req or (0 if has("gpus_req") else None),
        "time_req": request.time_req or (0.0 if has("time_req") else None),
        "partition": normal_partition(request.partition),
        "qos": request.qos or None,
        "user": request.user or None,
        "account": request.account or None,
        "job_name": request.job_name or None,
        "cluster": request.cluster or None,
        "array_job_id": request.array_job_id or None,
        "array_task_id": request.array_task_id or None,
        "het_job_id": request.het_job_id or None,
        "gpu_type": request.gpu_type or None,
        "elapsed": request.elapsed if has("elapsed") else None,
        "as_of": request.as_of if has("as_of") else None,
        "confidence_level": request.confidence_level if has("confidence_level") else None,
        "quantiles": tuple(request.quantiles) or None,
        "explain": request.explain or None,
    }


def _frame(requests: Sequence[pb.PredictRequest], now: float) -> pl.DataFrame:
    """What `_row` reads, of many jobs at once."""
    columns: dict[str, Sequence[float | str | None]] = {
        "submit_time": [r.submit_time if r.HasField("submit_time") else now for r in requests],
        "processors_req": [
            r.processors_req or (0 if r.HasField("processors_req") else None) for r in requests
        ],
        "nodes_req": [r.nodes_req or (0 if r.HasField("nodes_req") else None) for r in requests],
        "mem_req": [r.mem_req or (0.0 if r.HasField("mem_req") else None) for r in requests],
        "gpus_req": [r.gpus_req or (0 if r.HasField("gpus_req") else None) for r in requests],
        "time_req": [r.time_req or (0.0 if r.HasField("time_req") else None) for r in requests],
        "partition": [normal_partition(r.partition) for r in requests],
        "qos": [r.qos or None for r in requests],
        "user": [r.user or None for r in requests],
        "account": [r.account or None for r in requests],
        "job_name": [r.job_name or None for r in requests],
        "cluster": [r.cluster or None for r in requests],
        "array_job_id": [r.array_job_id or None for r in requests],
        "array_task_id": [r.array_task_id or None for r in requests],
        "het_job_id": [r.het_job_id or None for r in requests],
        "gpu_type": [r.gpu_type or None for r in requests],
        **_questions(requests),
    }
    return pl.DataFrame(
        [pl.Series(name, columns[name], kind, strict=False) for name, kind in _SCHEMA.items()]
    )


def _questions(requests: Sequence[pb.PredictRequest]) -> dict[str, list[Any]]:
    """What `_row` reads of questions, of many jobs at once."""
    return {
        "elapsed": [r.elapsed if r.HasField("elapsed") else None for r in requests],
        "as_of": [r.as_of if r.HasField("as_of") else None for r in requests],
        "confidence_level": [
            r.confidence_level if r.HasField("confidence_level") else None for r in requests
        ],
        "quantiles": [list(r.quantiles) or None for r in requests],
        "explain": [r.explain or None for r in requests],
    }


def _broken_questions(jobs: pl.DataFrame) -> dict[int, InvalidJobError]:
    """Index -> the rule that a question breaks (`_check_question`)."""
    asked = pl.any_horizontal(pl.col(*ASKED_SCHEMA).is_not_null())
    indices = jobs.select(asked.arg_true()).to_series().to_list()
    rows = jobs.select("submit_time", *ASKED_SCHEMA)[indices].iter_rows(named=True)
    broken: dict[int, InvalidJobError] = {}
    for index, row in zip(indices, rows, strict=True):
        try:
            _check_question(row)
        except InvalidJobError as error:
            broken[index] = error
    return broken


def _broken(jobs: pl.DataFrame, partial: NDArray[np.bool_]) -> dict[int, InvalidJobError]:
    """Index -> the rule that a job breaks, of jobs that are `partial` or not."""
    broken: dict[int, InvalidJobError] = {}
    for kind in (False, True):
        indices = np.flatnonzero(partial == kind)
        if len(indices):
            some = jobs if len(indices) == len(jobs) else jobs[indices]
            found = invalid_jobs(some, partial=kind)
            broken |= {int(indices[row]): error for row, error in found.items()}
    return broken


def _check_question(row: Mapping[str, Any]) -> None:
    """Check what is asked beside, and whether the caller may. Raises InvalidJobError."""
    check_asked(row)
    if row["explain"] and not may_explain():
        raise ExplainRoleError


def _check_request_id(request_id: str) -> None:
    if not _ID_RULE.admits(request_id):
        raise InvalidJobError(_ID_RULE.field, request_id, _ID_RULE.text)


def _shortened(error: InvalidJobError) -> InvalidJobError:
    """The error without the rest of a text that is too long, which may be of any size."""
    value = error.value
    if not isinstance(value, str) or len(value) <= MAX_TEXT_CHARS:
        return error
    return InvalidJobError(error.field, f"{value[:_SHOWN_CHARS]}…", error.rule)
