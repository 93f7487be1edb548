"""From how it went to an exit code."""

import pytest
from loguru import logger

from rt_predictor.errors import BundleError, TraceError
from rt_predictor.history.history import History
from rt_predictor.processes import event_loop
from rt_predictor.processes import run as module
from rt_predictor.processes import single_process as alone
from rt_predictor.processes import supervise as supervise_module
from rt_predictor.processes.event_loop import exit_code_of
from rt_predictor.processes.run import load_predictor, run
from rt_predictor.settings import LoggingSettings, ModelSettings, ServerSettings, Settings
from tests.predict.fakes import fake_predictor


@pytest.fixture(autouse=True)
def quiet_logger():
    yield
    logger.remove()


async def _returns(code: int) -> int:
    return code


async def _raises(error: Exception) -> int:
    raise error


@pytest.mark.parametrize(
    ("error", "code"), [(BundleError("why"), 3), (TraceError("why"), 1), (RuntimeError("why"), 1)]
)
def test_an_error_becomes_an_exit_code(error: Exception, code: int) -> None:
    assert exit_code_of(_raises(error)) == code


def test_a_program_that_ends_well_says_its_exit_code() -> None:
    assert exit_code_of(_returns(0)) == 0


def test_what_keeps_it_from_starting_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(module, "shares_ports", lambda: False)
    settings = Settings(
        server=ServerSettings(host="127.0.0.1", port=0, metrics_enabled=False),
        model=ModelSettings(path="no/such/bundle"),
        logging=LoggingSettings(format="json"),
    )
    assert run(settings) == 3
    (line,) = capsys.readouterr().err.splitlines()
    assert "no/such/bundle" in line


def test_an_unforeseen_error_is_logged_without_its_own_words(
    capsys: pytest.CaptureFixture[str],
) -> None:
    module.configure_logging(LoggingSettings(format="json"))
    assert exit_code_of(_raises(RuntimeError("secret"))) == 1
    text = capsys.readouterr().err
    assert "unforeseen error" in text
    assert "RuntimeError" in text
    assert "secret" not in text


@pytest.fixture
def ways(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Which way the service was run; it is not."""
    taken: list[str] = []

    async def serve(settings: Settings, predictor_factory: object, shadow: object) -> int:
        assert (predictor_factory, shadow) == (fake_predictor, None)
        taken.append("one process")
        return 0

    async def supervise(
        settings: Settings, predictor_factory: object, shadow: object, reread: object
    ) -> int:
        assert (predictor_factory, shadow) == (fake_predictor, None)
        taken.append("supervisor")
        return 0

    monkeypatch.setattr(alone, "serve", serve)
    monkeypatch.setattr(supervise_module, "supervise", supervise)
    return taken


@pytest.mark.parametrize("workers", [1, 2])
def test_even_one_worker_has_a_supervisor(
    monkeypatch: pytest.MonkeyPatch, ways: list[str], workers: int
) -> None:
    monkeypatch.setattr(module, "shares_ports", lambda: True)
    assert run(Settings(server=ServerSettings(max_workers=workers)), fake_predictor) == 0
    assert ways == ["supervisor"]


def test_where_ports_cannot_be_shared_one_process_serves_and_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], ways: list[str]
) -> None:
    monkeypatch.setattr(module, "shares_ports", lambda: False)
    assert run(Settings(server=ServerSettings(max_workers=2)), fake_predictor) == 0
    assert ways == ["one process"]
    assert "cannot share a port" in capsys.readouterr().err


def test_the_event_loop_does_not_depend_on_uvloop_where_there_is_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(event_loop.sys, "platform", "win32")
    assert exit_code_of(_returns(0)) == 0


def test_the_model_that_the_settings_name_is_loaded() -> None:
    with pytest.raises(BundleError, match="no/such"):
        load_predictor(Settings(model=ModelSettings(path="no/such")), History.off())
