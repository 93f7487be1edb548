"""The codec of RecordOutcomes: messages to a frame of finished jobs, and what became of them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from rt_predictor.api.status import status_of
from rt_predictor.api.v1 import rt_predictor_pb2 as pb
from rt_predictor.errors import InvalidJobError, TooLargeError
from rt_predictor.eventlog.port import Appended
from rt_predictor.jobs.normal import normal_texts
from rt_predictor.jobs.outcomes import broken_outcomes
from rt_predictor.jobs.schema import JOB_SCHEMA, OUTCOME_SCHEMA, REQUEST_SCHEMA

OUTCOMES_AT_ONCE = 1 << 13
"""Outcomes of one call that wait before no more are read."""
MAX_ERRORS = 100
"""Errors that a client is told of; more are counted only."""

_SLICE_ROWS = 1024
"""Rows made into a frame at once: the GIL is held meanwhile, and others wait."""
_JOB_FIELDS = [
    name for name in REQUEST_SCHEMA if name in pb.PredictRequest.DESCRIPTOR.fields_by_name
]
_JOB_TEXTS = tuple(name for name in _JOB_FIELDS if REQUEST_SCHEMA[name] == pl.String)
_JOB_NUMBERS = tuple(name for name in _JOB_FIELDS if name not in _JOB_TEXTS)
_FIELDS = [name for name in OUTCOME_SCHEMA if name in pb.JobOutcome.DESCRIPTOR.fields_by_name]
_TEXTS = tuple(name for name in _FIELDS if OUTCOME_SCHEMA[name] == pl.String)
_NUMBERS = tuple(name for name in _FIELDS if name not in _TEXTS)
_ABSENT = JOB_SCHEMA.keys() - {*_JOB_FIELDS, *_FIELDS}
"""Columns of a job that messages do not have."""

_Column = list[float | None] | list[str | None]


@dataclass(frozen=True)
class Outcomes:
    """Finished jobs as they came: those that are valid, and why the others are not."""

    events: pl.DataFrame
    """Valid ones, with the columns of `JOB_SCHEMA`"""
    errors: Mapping[int, InvalidJobError]
    """Place among all -> the rule that is broken"""

    def __len__(self) -> int:
        return len(self.events) + len(self.errors)


class OutcomeReader:
    """Collects the messages of a call."""

    def __init__(self, most: int) -> None:
        """`most` is the number of outcomes that one message may have."""
        self._most = most
        self._requests: list[pb.RecordOutcomesRequest] = []
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, request: pb.RecordOutcomesRequest) -> None:
        """Takes one message. Raises TooLargeError."""
        count = len(request.outcomes)
        if count > self._most:
            what = "the number of outcomes in a message,"
            raise TooLargeError(what, count, self._most, "server.max_batch_jobs")
        if count:
            self._requests.append(request)
            self._count += count

    def outcomes(self, now_s: float) -> Outcomes:
        """All outcomes collected, checked. On a thread, where there are many."""
        frames = [_frame(part) for part in self._slices()]
        events = pl.concat(frames) if frames else pl.DataFrame(schema=dict(JOB_SCHEMA))
        errors = broken_outcomes(events, now_s=now_s)
        if errors:
            valid = np.ones(len(events), dtype=np.bool_)
            valid[list(errors)] = False
            events = events.filter(valid)
        return Outcomes(events, errors)

    def _slices(self) -> Iterator[Sequence[pb.JobOutcome]]:
        for request in self._requests:
            for start in range(0, len(request.outcomes), _SLICE_ROWS):
                yield request.outcomes[start : start + _SLICE_ROWS]


class OutcomeTally:
    """Adds up what became of the outcomes of a call."""

    def __init__(self) -> None:
        self._seen = 0
        self._answer = pb.RecordOutcomesResponse()

    def add(self, outcomes: Outcomes, appended: Appended) -> None:
        """Counts the next outcomes of the call, of which the valid ones were appended."""
        answer = self._answer
        answer.recorded += appended.recorded
        answer.duplicates += appended.duplicates
        answer.invalid += len(outcomes.errors)
        room = MAX_ERRORS - len(answer.errors)
        for place, error in sorted(outcomes.errors.items())[:room]:
            status = status_of(error)
            answer.errors.add(
                code=status.number,
                message=status.message,
                field=error.field,
                index=self._seen + place,
            )
        self._seen += len(outcomes)

    def response(self) -> pb.RecordOutcomesResponse:
        """The answer to the call."""
        return self._answer


def _frame(outcomes: Sequence[pb.JobOutcome]) -> pl.DataFrame:
    jobs = [outcome.job for outcome in outcomes]
    columns: dict[str, _Column] = {
        **{name: _numbers(jobs, name) for name in _JOB_NUMBERS},
        **{name: _texts(jobs, name) for name in _JOB_TEXTS},
        **{name: _numbers(outcomes, name) for name in _NUMBERS},
        **{name: _texts(outcomes, name) for name in _TEXTS},
    }
    absent = (pl.lit(None, JOB_SCHEMA[name]).alias(name) for name in _ABSENT)
    frame = pl.DataFrame(columns, schema_overrides=dict(JOB_SCHEMA)).with_columns(absent)
    return frame.select(list(JOB_SCHEMA)).with_columns(normal_texts(JOB_SCHEMA))


def _numbers(
    messages: Sequence[pb.PredictRequest] | Sequence[pb.JobOutcome], name: str
) -> list[float | None]:
    """A column of numbers; None where one is absent: 0 is asked for presence, it is rare."""
    return [
        float(value)
        if (value := getattr(message, name)) or message.HasField(name)  # type: ignore[arg-type]
        else None
        for message in messages
    ]


def _texts(
    messages: Sequence[pb.PredictRequest] | Sequence[pb.JobOutcome], name: str
) -> list[str | None]:
    return [getattr(message, name) or None for message in messages]
