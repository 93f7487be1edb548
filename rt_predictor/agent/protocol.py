"""The line protocol of the agent, version 1: one JSON object a line, in and out, in UTF-8.

    {"v": 1, "id": 7, "job": {"processors_req": 4, "time_req": 3600, "partial": true}}
    {"v": 1, "id": 7, "prediction": {"predicted_runtime": 512.0, …}}

docs/agent-protocol.md describes it for those who write hooks.
"""

import json
import math
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Any, get_args, get_origin, get_type_hints

from rt_predictor.client import Job
from rt_predictor.errors import InvalidJobError, InvalidRequestError, RTPredictorError, outcome_of
from rt_predictor.jobs.asked import check_asked
from rt_predictor.jobs.names import no_such_field
from rt_predictor.jobs.rules import check_job, encodable

VERSION = 1
MAX_ID_CHARS = 256

RequestId = str | int | float | None
Document = dict[str, Any]


class Op(StrEnum):
    """Request of one line."""

    PREDICT = "predict"
    PING = "ping"
    STATS = "stats"


class Reason(StrEnum):
    """Why there is no prediction although nothing is wrong with the request."""

    DEADLINE = "deadline"
    """The service has not answered within the deadline."""
    AWAY = "away"
    """The service failed of late; it is looked after again in a while."""
    BUSY = "busy"
    """As many calls are in progress as the agent allows."""
    ERROR = "error"
    """The service answered with an error."""
    STOPPING = "stopping"
    """The agent is shutting down."""


@dataclass(frozen=True)
class Request:
    """One line that was understood."""

    op: Op
    id: RequestId = None
    job: Job | None = None
    """Of `PREDICT`."""


class LineError(InvalidRequestError):
    """A line cannot be understood; `id` is the line's own where that could be read."""

    def __init__(self, message: str, id: RequestId = None, error: Exception | None = None) -> None:
        super().__init__(message)
        self.id = id
        self.cause = error


_FIELDS = {field.name: get_type_hints(Job)[field.name] for field in fields(Job)}


def parse(line: bytes) -> Request:
    """Read one line, without its end. Raises LineError."""
    try:
        document = json.loads(line.decode(errors="replace"), parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise LineError(f"the line is not JSON: {error}") from None
    if not isinstance(document, dict):
        raise LineError('the line is not a JSON object: send {"v": 1, "job": {…}}')
    id_ = _id(document)
    if document.get("v") != VERSION:
        raise LineError(f'"v" = {_shown(document.get("v"))}: this agent speaks version 1', id_)
    if unknown := sorted(document.keys() - {"v", "id", "op", "job"}):
        raise LineError(f'unknown name {_shown(unknown[0])}: known are "v", "id", "op", "job"', id_)
    try:
        op = Op(document.get("op", Op.PREDICT))
    except ValueError:
        known = ", ".join(f'"{op}"' for op in Op)
        raise LineError(f'"op" = {_shown(document["op"])}: must be one of {known}', id_) from None
    if op is not Op.PREDICT:
        return Request(op, id_)
    try:
        return Request(op, id_, _job(document.get("job")))
    except InvalidJobError as error:
        raise LineError(str(error), id_, error) from None


def _id(document: Document) -> RequestId:
    id_ = document.get("id")
    if isinstance(id_, str) and len(id_) <= MAX_ID_CHARS:
        return id_
    if id_ is None or (isinstance(id_, int) and not isinstance(id_, bool)):
        return id_
    # 1e999 is read as infinity, which is no JSON.
    if isinstance(id_, float) and math.isfinite(id_):
        return id_
    raise LineError(f'"id" must be a number or text of at most {MAX_ID_CHARS} characters')


def _job(given: object) -> Job:
    """The job of a request. Raises InvalidJobError for the first rule that it breaks."""
    if not isinstance(given, dict):
        raise InvalidJobError("job", given, "must be an object with the fields of PredictRequest")
    job = Job(**{name: _value(name, value) for name, value in given.items()})
    check_job(vars(job), partial=job.partial)
    check_asked(vars(job))
    return job


def _value(name: str, value: object) -> Any:
    if name not in _FIELDS:
        raise InvalidJobError(name, value, no_such_field(name, _FIELDS))
    if get_origin(_FIELDS[name]) is tuple:
        return _numbers(name, value)
    kinds = get_args(_FIELDS[name]) or (_FIELDS[name],)
    if value is None:
        return None if type(None) in kinds else kinds[0]()
    if bool in kinds or str in kinds:
        if not isinstance(value, kinds):
            raise InvalidJobError(
                name, value, f"must be {'text' if str in kinds else 'true or false'}"
            )
        return encodable(value) if isinstance(value, str) else value
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidJobError(name, value, "must be a number")
    if int not in kinds:
        return _float(name, value)
    # Lua before 5.3 knows no whole numbers: 4 may come as 4.0.
    if not _float(name, value).is_integer():
        raise InvalidJobError(name, value, "must be a whole number")
    return int(value)


def _numbers(name: str, value: object) -> tuple[float, ...]:
    if not isinstance(value, list | None):
        raise InvalidJobError(name, value, "must be a list of numbers")
    for one in value or ():
        if isinstance(one, bool) or not isinstance(one, int | float):
            raise InvalidJobError(name, one, "must be a list of numbers")
    return tuple(_float(name, one) for one in value or ())


def _float(name: str, value: float) -> float:
    try:
        return float(value)
    except OverflowError:
        raise InvalidJobError(name, value, "must be a number of at most 1e308") from None


def line(id: RequestId, **answer: object) -> bytes:
    """A line of answer."""
    head: Document = {"v": VERSION} if id is None else {"v": VERSION, "id": id}
    return json.dumps(head | answer, separators=(",", ":")).encode() + b"\n"


def fallback_line(id: RequestId, reason: Reason) -> bytes:
    """The answer where there is no prediction: the caller goes on without one."""
    return line(id, fallback=True, reason=reason.value)


def error_line(error: RTPredictorError) -> bytes:
    """The answer to a line that cannot be understood, or to a client that is one too many."""
    cause = error.cause if isinstance(error, LineError) and error.cause else error
    described: Document = {"code": outcome_of(cause).grpc_status, "message": str(error)}
    if isinstance(cause, InvalidJobError):
        described["field"] = cause.field
    return line(error.id if isinstance(error, LineError) else None, error=described)


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON number")


def _shown(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) <= 40 else text[:40] + "…"
