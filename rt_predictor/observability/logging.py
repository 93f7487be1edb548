"""Logging: everything that is said goes through loguru to stderr, as JSON or as text for people.

A line of JSON is one flat object: `time` (ISO 8601, UTC), `level`, `message`, `worker` in a worker
process, then whatever the line has to add, and `traceback` after an unforeseen error.

A traceback names types, files and functions but never an exception's own words: those can hold what
a client sent. Fields that name people (`PERSONAL`) are left out unless `logging.users` allows them.

Whatever a client sent stays on one line: control characters are shown as escapes.
"""

import asyncio
import json
import logging
import sys
import threading
from collections.abc import Mapping
from datetime import UTC
from functools import partial
from typing import TYPE_CHECKING, Any

from loguru import logger

from rt_predictor.errors import traceback_text
from rt_predictor.settings import LoggingSettings

if TYPE_CHECKING:
    from loguru import FormatFunction, Record

PERSONAL = frozenset({"user", "account", "job_name"})
"""Fields of lines that name people, or what only they would call so."""
_LINE = "_line"
"""Extra field that hands the finished line to loguru's templates."""
_JSON_TEMPLATE = f"{{extra[{_LINE}]}}\n"
_CONSOLE_TEMPLATE = (
    f"<dim>{{time:YYYY-MM-DD HH:mm:ss.SSS}}</dim> <lvl>{{level: <8}}</lvl> {{extra[{_LINE}]}}\n"
)


def configure_logging(settings: LoggingSettings, *, worker: int | None = None) -> None:
    """Send loguru's and the standard library's logs to stderr, and nothing else.

    `worker` is the number of this worker process, if it is one of several.
    """
    write_line = _json_line if settings.format == "json" else _console_line
    line: FormatFunction = partial(write_line, hidden=frozenset() if settings.users else PERSONAL)
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
    threading.excepthook = _log_of_thread
    sys.unraisablehook = _log_unraisable


def log_loop_error(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """An event loop's exception handler; asyncio's own would print an exception's words."""
    error = context.get("exception")
    fields = {} if error is None else {"traceback": traceback_text(error)}
    logger.error("unforeseen error", where=context.get("message", ""), **fields)


def one_line(text: str) -> str:
    """The text with escapes for what would end a line, or is not seen."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


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


def _log_of_thread(args: threading.ExceptHookArgs) -> None:
    name = "" if args.thread is None else args.thread.name
    _log_stray(args.exc_value, f"thread {name}")


def _log_unraisable(unraisable: "sys.UnraisableHookArgs") -> None:
    _log_stray(unraisable.exc_value, unraisable.err_msg or "while something was cleared away")


def _log_stray(error: BaseException | None, where: str) -> None:
    trace = "" if error is None else traceback_text(error)
    logger.error("unforeseen error", where=where, traceback=trace)


def _write(message: str) -> None:
    sys.stderr.write(message)
    sys.stderr.flush()


def _fields(record: "Record", hidden: frozenset[str]) -> dict[str, object]:
    left_out = {_LINE, *hidden}
    fields = {name: value for name, value in record["extra"].items() if name not in left_out}
    if record["exception"] is not None and record["exception"].value is not None:
        fields["traceback"] = traceback_text(record["exception"].value)
    return fields


def _json_line(record: "Record", *, hidden: frozenset[str]) -> str:
    head = {
        "time": record["time"].astimezone(UTC).isoformat(),
        "level": record["level"].name,
        "message": record["message"],
    }
    # JSON shows whatever is not ASCII as escapes.
    record["extra"][_LINE] = json.dumps(head | _fields(record, hidden) | head, default=str)
    return _JSON_TEMPLATE


def _console_line(record: "Record", *, hidden: frozenset[str]) -> str:
    fields = _fields(record, hidden)
    trace = fields.pop("traceback", None)
    text = one_line(" ".join([record["message"], *_pairs(fields)]))
    record["extra"][_LINE] = text if trace is None else f"{text}\n{trace}"
    return _CONSOLE_TEMPLATE


def _pairs(fields: Mapping[str, object]) -> list[str]:
    return [f"{name}={value}" for name, value in fields.items()]
