"""The codec of RecordOutcomes and RecordEvents: messages to a frame of events, and what became of
them.

A finished job is the same event whichever of the two calls brings it.
"""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, TypeVar

import numpy as np
import polars as pl

from rt_predictor.api.status import status_of
from rt_predictor.api.v1 import rt_predictor_pb2 as pb
from rt_predictor.errors import InvalidJobError, TooLargeError
from rt_predictor.eventlog.port import Appended
from rt_predictor.jobs.event_kind import EventKind
from rt_predictor.jobs.events import (
    EVENT_SCHEMA,
    broken_events,
    ended_events,
    with_event_times,
    with_origin,
)
from rt_predictor.jobs.normal import normal_texts
from rt_predictor.jobs.outcomes import broken_outcomes
from rt_predictor.jobs.schema import JOB_SCHEMA, OUTCOME_SCHEMA, REQUEST_SCHEMA
from rt_predictor.jobs.states import unknown_states

EVENTS_AT_ONCE = 1 << 13
"""Events of one call that wait before no more are read."""
MAX_ERRORS = 100
"""Errors that a client is told of; more are counted only."""
MAX_WORDS = 20
"""Unknown states that a client is told of."""

_SLICE_ROWS = 1024
"""Rows made into a frame at once: the GIL is held meanwhile, and others wait."""
_JOB_TEXTS = tuple(name for name, kind in REQUEST_SCHEMA.items() if kind == pl.String)
_JOB_NUMBERS = tuple(name for name in REQUEST_SCHEMA if name not in _JOB_TEXTS)
_TEXTS = tuple(name for name, kind in OUTCOME_SCHEMA.items() if kind == pl.String)
_NUMBERS = tuple(name for name in OUTCOME_SCHEMA if name not in _TEXTS)
_KINDS: Mapping[int, str] = {
    pb.JobEventKind.Value(f"JOB_EVENT_KIND_{kind.name}"): kind.value for kind in EventKind
}
UNKNOWN_KIND = "unknown"
"""As metrics name it."""

_Broken = dict[int, InvalidJobError]
_Item = pb.JobOutcome | pb.JobEvent
_Request = TypeVar("_Request", pb.RecordOutcomesRequest, pb.RecordEventsRequest)
_Response = TypeVar("_Response", bound=pb.RecordOutcomesResponse | pb.RecordEventsResponse)


@dataclass(frozen=True)
class Origin:
    """Where the events of a call come from."""

    client: str
    arrived_s: float
    """Unix s by our clock."""


@dataclass(frozen=True)
class Events:
    """Events as they came: those that are valid, and why the others are not."""

    valid: pl.DataFrame
    """With the columns of `EVENT_SCHEMA`"""
    errors: Mapping[int, InvalidJobError]
    """Index among all -> the rule that is broken"""
    invalid_kinds: Mapping[str, int]
    """Kind -> how many of those that are not valid"""
    unknown_states: Sequence[str] = ()
    """Words among the states of the valid ones that are not known"""

    def __len__(self) -> int:
        return len(self.valid) + len(self.errors)


class EventReader(ABC, Generic[_Request]):
    """Collects the messages of a call."""

    what: ClassVar[str]

    def __init__(self, most: int) -> None:
        """`most` is the number of events that one message may have."""
        self._most = most
        self._requests: list[_Request] = []
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, request: _Request) -> None:
        """Takes one message. Raises TooLargeError."""
        count = len(self._items(request))
        if count > self._most:
            what = f"the number of {self.what} in a message,"
            raise TooLargeError(what, count, self._most, "server.max_batch_jobs")
        if count:
            self._requests.append(request)
            self._count += count

    def events(self, origin: Origin) -> Events:
        """All events collected, checked. On a thread, where there are many."""
        frames = [self._frame(part) for part in self._slices()]
        if not frames:
            return Events(pl.DataFrame(schema=dict(EVENT_SCHEMA)), {}, {})
        frame = pl.concat(frames).with_columns(normal_texts(JOB_SCHEMA))
        events, errors = self._checked(frame, origin)
        invalid_kinds: Mapping[str, int] = {}
        if errors:
            valid = np.ones(len(events), dtype=np.bool_)
            valid[list(errors)] = False
            invalid_kinds = Counter(events["kind"].fill_null(UNKNOWN_KIND).filter(~valid))
            events = events.filter(valid)
        valid_events = with_origin(events, origin.client, origin.arrived_s)
        words = tuple(unknown_states(events["state"]))
        return Events(valid_events, errors, invalid_kinds, words)

    def _slices(self) -> Iterator[Sequence[_Item]]:
        for request in self._requests:
            items = self._items(request)
            for start in range(0, len(items), _SLICE_ROWS):
                yield items[start : start + _SLICE_ROWS]

    @abstractmethod
    def _items(self, request: _Request) -> Sequence[Any]:
        """What a message brings."""

    @abstractmethod
    def _frame(self, items: Sequence[Any]) -> pl.DataFrame:
        """Messages as columns."""

    @abstractmethod
    def _checked(self, frame: pl.DataFrame, origin: Origin) -> tuple[pl.DataFrame, _Broken]:
        """The same as events (`EVENT_SCHEMA`), and the rules that they break."""


class OutcomeReader(EventReader[pb.RecordOutcomesRequest]):
    """Collects the messages of RecordOutcomes."""

    what = "outcomes"

    def _items(self, request: pb.RecordOutcomesRequest) -> Sequence[pb.JobOutcome]:
        return request.outcomes

    def _frame(self, items: Sequence[pb.JobOutcome]) -> pl.DataFrame:
        return pl.DataFrame(_columns(items), schema=dict(JOB_SCHEMA))

    def _checked(self, frame: pl.DataFrame, origin: Origin) -> tuple[pl.DataFrame, _Broken]:
        return ended_events(frame), broken_outcomes(frame, now_s=origin.arrived_s)


class JobEventReader(EventReader[pb.RecordEventsRequest]):
    """Collects the messages of RecordEvents."""

    what = "events"

    def _items(self, request: pb.RecordEventsRequest) -> Sequence[pb.JobEvent]:
        return request.events

    def _frame(self, items: Sequence[pb.JobEvent]) -> pl.DataFrame:
        columns: dict[str, list[Any]] = {
            **dict.fromkeys(EVENT_SCHEMA, [None] * len(items)),
            "kind": [_KINDS.get(event.kind) for event in items],
            "event_time": _numbers(items, "event_time"),
            **_columns(items),
        }
        return pl.DataFrame(columns, schema=dict(EVENT_SCHEMA))

    def _checked(self, frame: pl.DataFrame, origin: Origin) -> tuple[pl.DataFrame, _Broken]:
        events = with_event_times(frame)
        return events, broken_events(events, now_s=origin.arrived_s)


class EventTally(Generic[_Response]):
    """Adds up what became of the events of a call."""

    def __init__(self, response: _Response) -> None:
        """`response` is the empty answer of the call."""
        self._seen = 0
        self._answer = response

    def add(self, events: Events, appended: Appended) -> None:
        """Counts the next events of the call, of which the valid ones were appended."""
        answer = self._answer
        answer.recorded += appended.recorded
        answer.duplicates += appended.duplicates
        answer.conflicts += appended.conflicts
        answer.quarantined += appended.quarantined
        answer.invalid += len(events.errors)
        new = [word for word in events.unknown_states if word not in answer.unknown_states]
        answer.unknown_states.extend(new[: MAX_WORDS - len(answer.unknown_states)])
        room = MAX_ERRORS - len(answer.errors)
        for index, error in sorted(events.errors.items())[:room]:
            status = status_of(error)
            answer.errors.add(
                code=status.number,
                message=status.message,
                field=error.field,
                index=self._seen + index,
            )
        self._seen += len(events)

    def response(self) -> _Response:
        """The answer to the call."""
        return self._answer


def _columns(items: Sequence[_Item]) -> dict[str, list[Any]]:
    """The columns of `JOB_SCHEMA`."""
    jobs = [item.job for item in items]
    columns = {
        **{name: _numbers(jobs, name) for name in _JOB_NUMBERS},
        **{name: _texts(jobs, name) for name in _JOB_TEXTS},
        **{name: _numbers(items, name) for name in _NUMBERS},
        **{name: _texts(items, name) for name in _TEXTS},
    }
    return {name: columns[name] for name in JOB_SCHEMA}


def _numbers(messages: Sequence[Any], name: str) -> list[Any]:
    """A column of numbers; None where one is absent: 0 is asked for presence, it is rare."""
    return [
        float(value) if (value := getattr(message, name)) or message.HasField(name) else None
        for message in messages
    ]


def _texts(messages: Sequence[Any], name: str) -> list[Any]:
    return [getattr(message, name) or None for message in messages]
