"""What a line of the log looks like, and what it never holds."""

import asyncio
import json
import logging
import sys
import threading
import warnings
from collections.abc import Iterator

import pytest
from loguru import logger

from rt_predictor.errors import traceback_text
from rt_predictor.observability.logging import (
    configure_logging,
    log_loop_error,
    one_line,
)
from rt_predictor.settings import LoggingSettings

_JSON = LoggingSettings(format="json")
_CONSOLE = LoggingSettings(format="console")


@pytest.fixture(autouse=True)
def put_back() -> Iterator[None]:
    """Leaves loguru and the standard library as they were."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    hooks = threading.excepthook, sys.unraisablehook
    yield
    threading.excepthook, sys.unraisablehook = hooks
    logging.captureWarnings(False)
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.getLogger("grpc").setLevel(logging.NOTSET)
    logger.remove()
    logger.configure(extra={})


def _lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


def test_a_line_is_one_flat_json_object(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(_JSON)
    logger.bind(model="m", braces="{x}").info("serving", port=5)
    (line,) = _lines(capsys)
    assert list(line)[:3] == ["time", "level", "message"]
    assert str(line.pop("time")).endswith("+00:00")
    assert line == {
        "level": "INFO", "message": "serving", "model": "m", "braces": "{x}", "port": 5
    }  # fmt: skip


def test_fields_do_not_hide_what_every_line_has(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(_JSON)
    logger.bind(level="mine", message="mine").info("theirs")
    (line,) = _lines(capsys)
    assert (line["level"], line["message"]) == ("INFO", "theirs")


def test_a_worker_signs_its_lines(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(_JSON, worker=3)
    logger.info("hello")
    assert _lines(capsys)[0]["worker"] == 3


def test_text_for_people_shows_the_fields_too(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(_CONSOLE)
    logger.bind(port=5).info("serving {x} <red>")
    (line,) = capsys.readouterr().err.splitlines()
    assert "INFO" in line
    assert line.endswith("serving {x} <red> port=5")


def test_less_than_the_level_is_not_said(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(LoggingSettings(format="json", level="WARNING"))
    logger.info("no")
    logging.getLogger("some.library").info("no")
    logger.warning("yes")
    assert [line["message"] for line in _lines(capsys)] == ["yes"]


def test_the_standard_library_speaks_through_it(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(_JSON)
    logging.getLogger("grpc._cython").warning("from %s {x}", "grpc")
    logging.getLogger("other").log(35, "between")
    with pytest.warns(UserWarning, match="old"):
        warnings.warn("old", UserWarning, stacklevel=1)
    first, second = _lines(capsys)
    assert (first["logger"], first["level"]) == ("grpc._cython", "WARNING")
    assert first["message"] == "from grpc {x}"
    assert second["level"] == "Level 35"


def test_grpc_does_not_log_every_message(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(LoggingSettings(format="json", level="DEBUG"))
    logging.getLogger("grpc._cython").debug("a message came")
    logging.getLogger("other").debug("heard")
    assert [line["message"] for line in _lines(capsys)] == ["heard"]


def _fail() -> None:
    try:
        raise KeyError("alice")
    except KeyError as error:
        raise ValueError("bob") from error


@pytest.mark.parametrize("settings", [_JSON, _CONSOLE])
def test_a_traceback_names_places_and_types_but_no_words_of_the_error(
    capsys: pytest.CaptureFixture[str], settings: LoggingSettings
) -> None:
    configure_logging(settings)
    try:
        _fail()
    except ValueError:
        logging.getLogger("library").exception("failed")
        logger.exception("failed")
    text = capsys.readouterr().err
    assert text.count("test_logging.py") >= 4
    for name in ("ValueError", "KeyError", "caused by", "_fail"):
        assert name in text
    assert "alice" not in text.replace('raise KeyError("alice")', "").replace(
        r"raise KeyError(\"alice\")", ""
    )
    assert "bob" not in text.replace('raise ValueError("bob")', "").replace(
        r"raise ValueError(\"bob\")", ""
    )


def _fail_alone() -> None:
    try:
        raise KeyError
    except KeyError:
        raise ZeroDivisionError from None


def test_a_suppressed_cause_is_left_out() -> None:
    with pytest.raises(ZeroDivisionError) as raised:
        _fail_alone()
    text = traceback_text(raised.value)
    assert text.splitlines()[-1] == "ZeroDivisionError"
    assert "caused by" not in text


def test_what_json_does_not_know_becomes_text(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(_JSON)
    logger.info("odd", what=sys.version_info.__class__)
    assert isinstance(_lines(capsys)[0]["what"], str)


_INJECTED = "x\n2026-01-01 ERROR fake\r\x1b[31m\u202e\u2028"


@pytest.mark.parametrize("settings", [_JSON, _CONSOLE])
def test_what_a_client_sent_cannot_begin_a_line_or_turn_one(
    capsys: pytest.CaptureFixture[str], settings: LoggingSettings
) -> None:
    configure_logging(settings)
    logger.info(_INJECTED, request_id=_INJECTED)
    logging.getLogger("library").warning(_INJECTED)
    text = capsys.readouterr().err
    assert len(text.splitlines()) == 2
    assert text.replace("\n", "").isprintable()
    assert text.count("fake") == 3


def test_a_text_that_is_shown_on_one_line_keeps_its_letters() -> None:
    assert one_line("Zoë 研究 a b") == "Zoë 研究 a b"
    assert one_line("a\tb\x00\u202e") == r"a\tb\x00\u202e"


@pytest.mark.parametrize("form", ["json", "console"])
def test_names_of_people_are_left_out_unless_a_setting_allows_them(
    capsys: pytest.CaptureFixture[str], form: str
) -> None:
    for users in (False, True):
        configure_logging(LoggingSettings.model_validate({"format": form, "users": users}))
        logger.info("a line", user="marker", account="marker", job_name="marker", port=5)
        assert capsys.readouterr().err.count("marker") == (3 if users else 0)


class _Bad:
    def __del__(self) -> None:
        raise ValueError("marker".upper())


def _fail_quietly() -> None:
    raise ValueError("marker".upper())


async def _fail_unseen() -> None:
    asyncio.get_running_loop().set_exception_handler(log_loop_error)
    task = asyncio.ensure_future(asyncio.to_thread(_fail_quietly))
    await asyncio.wait([task])
    del task


def test_errors_that_nobody_catches_are_lines_without_their_words(
    capsys: pytest.CaptureFixture[str],
) -> None:
    configure_logging(_JSON)
    thread = threading.Thread(target=_fail_quietly, name="stray")
    thread.start()
    thread.join()
    _Bad()
    asyncio.run(_fail_unseen())
    text = capsys.readouterr().err
    lines = [json.loads(line) for line in text.splitlines()]
    assert [line["message"] for line in lines] == ["unforeseen error"] * 3
    assert lines[0]["where"] == "thread stray"
    assert all("ValueError" in line["traceback"] for line in lines)
    assert "MARKER" not in text
