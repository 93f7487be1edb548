"""Logging: everything that is said goes through loguru to stderr, as JSON or as text for people.

A line of JSON is one flat object: `time` (ISO 8601, UTC), `level`, `message`, `worker` in a worker
process, then whatever the line has to add, and `traceback` after an unforeseen error.

A traceback names types, files and functions but never an exception's own words: those can hold what
a client sent, and user names are never logged.
"""

import json
import logging
import sys
import traceback
from datetime import UTC
from typing import TYPE_CHECKING

from loguru import logger

from rt_predictor.settings import LoggingSettings

if TYPE_CHECKING:
    from loguru import FormatFunction, Record

_LINE = "_line"
"""Extra field that hands the finished line to loguru's templates."""
_JSON_TEMPLATE = f"{{extra[{_LINE}]}}\n"
_CONSOLE_TEMPLATE = (
    f"<dim>{{time:YYYY-MM-DD HH:mm:ss.SSS}}</dim> <lvl>{{level: <8}}</lvl> {{extra[{_LINE}]}}\n"
)


def configure_logging(settings: LoggingSettings, *, worker: int | None = None) -> None:
    """Sends loguru's and the standard library's logs to stderr, and nothing else.

    `worker` is the number of this worker process, if it is one of several.
    """
    line: FormatFunction = _json_line if settings.format == "json" else _console_line
    logger.remove()
    logger.configure(extra={} if worker is None else {"worker": worker})
    logger.add(
        _write,
        level=settings.level,
        format=line,
        colorize=settings.format == "console" and sys.stderr.isatty(),
        backtrace=False,
        diagnose=False,
    )
    level = logger.level(settings.level).no
    logging.basicConfig(handlers=[_ToLoguru()], level=level, force=True)
    # gRPC says something for every message at DEBUG.
    logging.getLogger("grpc").setLevel(max(level, logging.INFO))
    logging.captureWarnings(True)


def traceback_text(error: BaseException) -> str:
    """Types, files, lines and functions of an error and its causes, without its own words."""
    parts = []
    cause: BaseException | None = error
    while cause is not None:
        frames = traceback.format_tb(cause.__traceback__)
        parts.append("".join(frames) + type(cause).__qualname__)
        cause = cause.__cause__ or (None if cause.__suppress_context__ else cause.__context__)
    return "\ncaused by:\n".join(parts)


class _ToLoguru(logging.Handler):
    """Hands the records of the standard library to loguru."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            level: str | int = logger.level(record.levelname).name
        except ValueError:
            level = record.levelno
        logger.bind(logger=record.name).opt(exception=record.exc_info).log(
            level, record.getMessage()
        )


def _write(message: str) -> None:
    sys.stderr.write(message)
    sys.stderr.flush()


def _fields(record: "Record") -> dict[str, object]:
    fields = {name: value for name, value in record["extra"].items() if name != _LINE}
    if record["exception"] is not None and record["exception"].value is not None:
        fields["traceback"] = traceback_text(record["exception"].value)
    return fields


def _json_line(record: "Record") -> str:
    head = {
        "time": record["time"].astimezone(UTC).isoformat(),
        "level": record["level"].name,
        "message": record["message"],
    }
    record["extra"][_LINE] = json.dumps(head | _fields(record) | head, default=str)
    return _JSON_TEMPLATE


def _console_line(record: "Record") -> str:
    fields = _fields(record)
    trace = fields.pop("traceback", None)
    text = " ".join([record["message"], *(f"{name}={value}" for name, value in fields.items())])
    record["extra"][_LINE] = text if trace is None else f"{text}\n{trace}"
    return (
        f"<dim>{{time:YYYY-MM-DD HH:mm:ss.SSS}}</dim> <lvl>{{level: <8}}</lvl> {{extra[{_LINE}]}}\n"
    )
