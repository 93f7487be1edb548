"""Settings: file, then environment, then command line; a wrong one is never passed over."""

import os
import tomllib
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from loguru import logger
from pydantic import BaseModel

from rt_predictor.errors import SettingsError
from rt_predictor.settings import Settings, load_settings

CONFIG = Path(__file__).resolve().parents[2] / "config"


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.upper().startswith("RT_PREDICTOR_"):
            monkeypatch.delenv(name)


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str], Path]:
    def write(text: str) -> Path:
        path = tmp_path / "settings.toml"
        path.write_text(text)
        return path

    return write


# where values come from


def test_defaults_are_the_ports_that_people_know() -> None:
    settings = load_settings()
    assert (settings.server.port, settings.server.metrics_port) == (50051, 8181)
    assert settings.model.path == Path("artifacts/production")


def test_file_wins_over_defaults(write: Callable[[str], Path]) -> None:
    settings = load_settings(write("[server]\nport = 7\n[features.optimization]\nn_jobs = 3"))
    assert (settings.server.port, settings.features.optimization.n_jobs) == (7, 3)
    assert settings.server.metrics_port == 8181


def test_environment_wins_over_the_file(
    write: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RT_PREDICTOR_SERVER__PORT", "8")
    settings = load_settings(write("[server]\nport = 7\nmetrics_port = 9"))
    assert (settings.server.port, settings.server.metrics_port) == (8, 9)


def test_command_line_wins_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RT_PREDICTOR_SERVER__PORT", "8")
    settings = load_settings().with_overrides({"server.port": 9, "server.max_workers": None})
    assert (settings.server.port, settings.server.max_workers) == (9, 1)


def test_overrides_leave_the_original_alone_and_reach_every_depth() -> None:
    settings = load_settings()
    other = settings.with_overrides({"features.optimization.chunk_size": 64, "model.path": "b"})
    assert other.features.optimization.chunk_size == 64
    assert other.model.path == Path("b")
    assert settings.model.path == Path("artifacts/production")


def test_environment_names_nest_and_lower_case_works_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RT_PREDICTOR_FEATURES__OPTIMIZATION__CHUNK_SIZE", "128")
    monkeypatch.setenv("rt_predictor_server__port", "7")
    monkeypatch.setenv("RT_PREDICTOR_MODEL__PROVIDERS", '["CPUExecutionProvider"]')
    monkeypatch.setenv("RT_PREDICTOR_LOGGING", '{"level": "ERROR"}')
    settings = load_settings()
    assert settings.features.optimization.chunk_size == 128
    assert settings.server.port == 7
    assert settings.model.providers == ("CPUExecutionProvider",)
    assert settings.logging.level == "ERROR"


def test_a_variable_can_name_the_file(
    write: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RT_PREDICTOR_CONFIG", str(write("[server]\nport = 7")))
    assert load_settings().server.port == 7


def test_a_given_path_wins_over_the_variable(
    write: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RT_PREDICTOR_CONFIG", "/does/not/exist.toml")
    assert load_settings(write("[server]\nport = 7")).server.port == 7


def test_settings_cannot_be_changed_in_place() -> None:
    settings = load_settings()
    with pytest.raises(ValueError, match="frozen"):
        settings.server.port = 1  # type: ignore[misc]
    with pytest.raises(ValueError, match="frozen"):
        settings.server = settings.server  # type: ignore[misc]


# wrong files


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[server]\nprot = 1", "unknown setting server.prot (did you mean port?)"),
        ("[servr]\nport = 1", "unknown setting servr (did you mean server?)"),
        ("[training.xgboost]\nnum_leaves = 3", "training.xgboost.num_leaves (known here: trees,"),
        ("[server]\nport = 'x'", "server.port = 'x': must be a valid integer"),
        ("[server]\nport = 65536", "server.port = 65536: must be less than or equal to 65535"),
        ("[server]\nmax_workers = 0", "server.max_workers = 0: must be greater than or equal to 1"),
        ("[server]\nhost = ''", "server.host = '': must have at least 1 character"),
        ("[server]\ndrain_timeout_s = inf", "server.drain_timeout_s = inf: must be a finite"),
        ("[logging]\nlevel = 'info'", "logging.level = 'info': must be 'TRACE', 'DEBUG'"),
        ("[model]\nproviders = []", 'model.providers = []: must be "auto" or a list of names'),
        ("[model]\nproviders = 'CPU'", 'must be "auto" or a list of names, e.g. ["CPUExec'),
        ("[model]\npath = 3", "model.path = 3: must be a path"),
        (
            "[prediction]\nconfidence_level = 1.0",
            "prediction.confidence_level = 1.0: must be less than 1",
        ),
        ("server = 3", "server = 3: must be a table, [server]"),
    ],
)
def test_a_wrong_setting_in_the_file_names_file_setting_and_rule(
    text: str, says: str, write: Callable[[str], Path]
) -> None:
    path = write(text)
    with pytest.raises(SettingsError) as caught:
        load_settings(path)
    message = str(caught.value)
    assert message.startswith(f"settings file {path}: ")
    assert says in message
    assert "\n" not in message


def test_all_wrong_settings_are_named_at_once(write: Callable[[str], Path]) -> None:
    with pytest.raises(SettingsError, match=r"server\.port = .*; .*server\.max_workers = 0"):
        load_settings(write("[server]\nport = 'x'\nmax_workers = 0"))


@pytest.mark.parametrize(
    "content", [b"[server", b"port = ", b"\xff\xfe", b"[server]\nport = 1\nport = 2"]
)
def test_a_file_that_is_not_toml_says_so(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "bad.toml"
    path.write_bytes(content)
    with pytest.raises(SettingsError, match=r"bad\.toml is not valid TOML: "):
        load_settings(path)


def test_a_missing_file_says_how_to_name_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "none.toml"
    with pytest.raises(SettingsError, match=r"none\.toml does not exist: .*--config"):
        load_settings(path)
    monkeypatch.setenv("RT_PREDICTOR_CONFIG", str(path))
    with pytest.raises(SettingsError, match=r"none\.toml does not exist: set RT_PREDICTOR_CONFIG"):
        load_settings()


def test_a_folder_is_not_a_settings_file(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot be read: Is a directory"):
        load_settings(tmp_path)


# wrong environment


@pytest.mark.parametrize(
    ("variable", "value", "says"),
    [
        ("RT_PREDICTOR_SERVER__PRT", "1", "names no setting: 'prt' is not known at server"),
        ("rt_predictor_server__prt", "1", "names no setting: 'prt' is not known at server"),
        ("RT_PREDICTOR_PORT", "1", "names no setting: 'port' is not known at the top"),
        ("RT_PREDICTOR_", "1", "names no setting: '' is not known at the top"),
        ("RT_PREDICTOR_SERVER__PORT__X", "1", "'x' is not known at server.port (known: none"),
        ("RT_PREDICTOR_SERVER__PORT", "abc", "server.port = 'abc': must be a valid integer"),
        ("RT_PREDICTOR_SERVER__PORT", "", "server.port = '': must be a valid integer"),
        ("RT_PREDICTOR_SERVER", "abc", "is not a JSON object: set single settings instead"),
        ("RT_PREDICTOR_SERVER", "[1]", "is not a JSON object: set single settings instead"),
        ("RT_PREDICTOR_SERVER", '{"port": "abc"}', "server.port = 'abc': must be a valid integer"),
        ("RT_PREDICTOR_MODEL__PROVIDERS", "CPU", 'must be "auto" or a list of names'),
    ],
)
def test_a_wrong_variable_is_named(
    variable: str,
    value: str,
    says: str,
    monkeypatch: pytest.MonkeyPatch,
    write: Callable[[str], Path],
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(SettingsError) as caught:
        load_settings(write("[server]\nmetrics_port = 1"))
    message = str(caught.value)
    assert message.startswith(f"environment variable {variable}")
    assert says in message


def test_what_the_file_has_wrong_is_not_blamed_on_a_variable_beside_it(
    monkeypatch: pytest.MonkeyPatch, write: Callable[[str], Path]
) -> None:
    monkeypatch.setenv("RT_PREDICTOR_SERVER__METRICS_PORT", "1")
    path = write("[server]\nport = 'x'")
    with pytest.raises(SettingsError, match=r"^settings file .*: server\.port = 'x'"):
        load_settings(path)


# wrong command line


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("server.port", 99_999, "server.port = 99999: must be less than or equal to 65535"),
        ("server.prt", 1, "unknown setting server.prt (did you mean port?)"),
        ("srver.port", 1, "unknown setting srver (did you mean server?)"),
        ("features.optimization.chunk_size", 1, "features.optimization.chunk_size = 1: must be"),
    ],
)
def test_a_wrong_override_is_named(name: str, value: object, says: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings().with_overrides({name: value})
    assert str(caught.value).startswith("settings from the command line: ")
    assert says in str(caught.value)


# the files that ship


def _leaves(data: dict[str, Any], prefix: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for name, value in data.items():
        if isinstance(value, dict):
            yield from _leaves(value, (*prefix, name))
        else:
            yield (*prefix, name)


def _as_toml_data(model: BaseModel) -> dict[str, Any]:
    return model.model_dump(mode="json")


def test_the_shipped_file_holds_every_setting_with_its_default() -> None:
    path = CONFIG / "rt_predictor.toml"
    assert load_settings(path) == load_settings()
    with path.open("rb") as file:
        shipped = tomllib.load(file)
    assert set(_leaves(shipped)) == set(_leaves(_as_toml_data(Settings())))


def test_the_shipped_file_explains_every_setting() -> None:
    lines = (CONFIG / "rt_predictor.toml").read_text().splitlines()
    for before, line in pairwise(lines):
        if " = " in line and not line.startswith("#"):
            assert before.startswith("#") or "#" in line, f"no comment on {line!r}"


def test_the_m2_max_profile_prefers_coreml_and_ends_with_the_cpu() -> None:
    settings = load_settings(CONFIG / "m2max.toml")
    assert settings.model.providers == ("CoreMLExecutionProvider", "CPUExecutionProvider")
    assert settings.features.optimization.n_jobs > 0


# what an earlier edition had


def test_retired_settings_do_nothing_and_are_warned_of(
    write: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    sink = logger.add(said.append, format="{message}", level="WARNING")
    monkeypatch.setenv("RT_PREDICTOR_TRAINING__TIMEOUTS__TREES", "5")
    text = "[training]\nseed = 3\nearly_stopping_rounds = 2\n[training.quantiles]\ntrees = 7"
    try:
        settings = load_settings(write(text))
    finally:
        logger.remove(sink)
    assert settings.training.seed == 3
    told = "".join(said)
    for name in ("early_stopping_rounds", "quantiles", "timeouts.trees"):
        assert f"the setting training.{name} is retired and does nothing: remove it" in told
