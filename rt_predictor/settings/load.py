"""Settings: a TOML file, then `RT_PREDICTOR_*` environment variables, then the command line.

Environment names nest with `__`: `RT_PREDICTOR_SERVER__PORT=50052` sets `[server] port`. A setting
that does not exist is an error, in the file and in the environment alike: a typing mistake must not
silently leave a default in place.
"""

import difflib
import json
import os
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from rt_predictor.errors import SettingsError
from rt_predictor.settings.agent import AgentSettings
from rt_predictor.settings.retired import is_retired, warn_of_retired, without_retired
from rt_predictor.settings.security import SecuritySettings
from rt_predictor.settings.serving import (
    FeatureSettings,
    HistorySettings,
    LoggingSettings,
    ModelSettings,
    PredictionSettings,
    ServerSettings,
    WatchingSettings,
)
from rt_predictor.settings.tracing import TracingSettings
from rt_predictor.settings.training import TrainingSettings

ENV_PREFIX = "RT_PREDICTOR_"
ENV_DELIMITER = "__"
CONFIG_ENV = "RT_PREDICTOR_CONFIG"
"""Names the settings file; not a setting itself."""
CLIENT_ENVS = frozenset(
    f"{ENV_PREFIX}{name}"
    for name in ("TLS", "CA", "CERT", "KEY", "SERVER_NAME", "TOKEN", "TOKEN_FILE")
)
"""Say how commands reach a service; no settings either."""


_NEVER_SHOWN = ("hash",)
_NO_SETTINGS = CLIENT_ENVS | {CONFIG_ENV}


class _Environment(EnvSettingsSource):
    """Variables of this environment that are settings of this edition."""

    def _load_env_vars(self) -> Mapping[str, str | None]:
        return {
            name: value
            for name, value in super()._load_env_vars().items()
            if not is_retired(_names_of(name))
        }


class Settings(BaseSettings):
    """All settings. Use `load_settings`; it gives errors that say how to mend them."""

    model_config = SettingsConfigDict(
        env_prefix=ENV_PREFIX,
        env_nested_delimiter=ENV_DELIMITER,
        extra="forbid",
        frozen=True,
        validate_default=True,
    )

    server: ServerSettings = ServerSettings()
    security: SecuritySettings = SecuritySettings()
    model: ModelSettings = ModelSettings()
    features: FeatureSettings = FeatureSettings()
    prediction: PredictionSettings = PredictionSettings()
    history: HistorySettings = HistorySettings()
    watching: WatchingSettings = WatchingSettings()
    agent: AgentSettings = AgentSettings()
    logging: LoggingSettings = LoggingSettings()
    tracing: TracingSettings = TracingSettings()
    training: TrainingSettings = TrainingSettings()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment wins over the file, which arrives as init arguments."""
        del env_settings, dotenv_settings, file_secret_settings
        return (_Environment(settings_cls), init_settings)

    def with_overrides(self, overrides: Mapping[str, object]) -> "Settings":
        """A copy with dotted names set, e.g. {"server.port": 50052}; None leaves a setting alone.

        Raises SettingsError for a name or value that is not valid.
        """
        data = self.model_dump()
        for dotted, value in overrides.items():
            if value is None:
                continue
            *sections, name = dotted.split(".")
            target = data
            for section in sections:
                target = target.setdefault(section, {})
            target[name] = value
        unknown = sorted(data.keys() - Settings.model_fields.keys())
        if unknown:
            raise SettingsError(f"settings from the command line: {_unknown((unknown[0],))}")
        # Not Settings(**data): that would let the environment win over the command line.
        return Settings.model_construct(
            **{
                name: _validated(field.annotation, name, data[name])
                for name, field in Settings.model_fields.items()
            }
        )


def load_settings(path: Path | None = None) -> Settings:
    """Read the TOML file at `path`, then the environment.

    Without a path the file that `RT_PREDICTOR_CONFIG` names is read, if it is set; else defaults.

    Raises SettingsError naming the file or variable, the setting and the rule it breaks.
    """
    mend = "give another with --config"
    if path is None and os.environ.get(CONFIG_ENV):
        path, mend = Path(os.environ[CONFIG_ENV]), f"set {CONFIG_ENV} to another"
    data = _read_toml(path, mend) if path is not None else {}
    _check_environment()
    data, retired = without_retired(data)
    warn_of_retired(retired, f"settings file {path}")
    try:
        return Settings(**data)
    except ValidationError as error:
        raise SettingsError(_describe(error, lambda location: _origin(location, path))) from error


def _validated(section: Any, name: str, data: object) -> Any:
    try:
        return section.model_validate(data)
    except ValidationError as error:
        raise SettingsError(
            _describe(error, lambda _: "settings from the command line", prefix=(name,))
        ) from error


def _read_toml(path: Path, mend: str) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            return tomllib.load(file)
    except FileNotFoundError:
        raise SettingsError(f"settings file {path} does not exist: {mend}") from None
    except OSError as error:
        raise SettingsError(f"settings file {path} cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"settings file {path} is not valid TOML: {error}") from error


def _variables() -> Iterator[tuple[str, tuple[str, ...]]]:
    """Environment variables that are settings, in either case, with the path each one names."""
    for variable in sorted(os.environ):
        upper = variable.upper()
        if upper.startswith(ENV_PREFIX) and upper not in _NO_SETTINGS:
            yield variable, _names_of(variable)


def _names_of(variable: str) -> tuple[str, ...]:
    """The path of the setting that a variable names."""
    return tuple(variable.upper().removeprefix(ENV_PREFIX).lower().split(ENV_DELIMITER))


def _check_environment() -> None:
    """pydantic-settings ignores unknown variables; a misspelt one must be an error instead."""
    for variable, names in _variables():
        if is_retired(names):
            warn_of_retired([".".join(names)], f"environment variable {variable}")
            continue
        for position, name in enumerate(names):
            known = _fields(names[:position])
            if name not in known:
                listed = ", ".join(sorted(known)) or "none, it is a value"
                where = ".".join(names[:position]) or "the top"
                raise SettingsError(
                    f"environment variable {variable} names no setting: {name!r} is not known at "
                    f"{where} (known: {listed})"
                )
        if _fields(names) and not _is_json_object(os.environ[variable]):
            example = sorted(_fields(names))[0]
            raise SettingsError(
                f"environment variable {variable} names a whole section and is not a JSON object: "
                f"set single settings instead, e.g. {variable}{ENV_DELIMITER}{example.upper()}"
            )


def _is_json_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except ValueError:
        return False


def _fields(path: tuple[int | str, ...]) -> Mapping[str, Any]:
    """The settings of the section at a path; none if it is a value."""
    model: Any = Settings
    for name in path:
        model = model.model_fields[name].annotation
    return getattr(model, "model_fields", {})


def _origin(location: tuple[int | str, ...], path: Path | None) -> str:
    """Return the source of the value at a location: the variable that sets it, else the file."""
    for variable, names in _variables():
        if location[: len(names)] == names:
            return f"environment variable {variable}"
    return f"settings file {path}"


def _describe(
    error: ValidationError,
    origin: Callable[[tuple[int | str, ...]], str],
    prefix: tuple[int | str, ...] = (),
) -> str:
    lines = []
    for item in error.errors():
        location = (*prefix, *item["loc"])
        name = ".".join(str(part) for part in location)
        match item["type"]:
            case "extra_forbidden":
                text = _unknown(location)
            case "model_type" | "model_attributes_type":
                text = f"{name} = {item['input']!r}: must be a table, [{name}]"
            case "path_type":
                text = f"{name} = {item['input']!r}: must be a path"
            case _:
                rule = item["msg"].removeprefix("Value error, ")
                rule = re.sub(r"^(Input|String) should", "must", rule)
                # A rule of a whole section says what is wrong; its values do not help. A secret
                # may have been put where its hash belongs.
                hidden = isinstance(item["input"], dict) or location[-1] in _NEVER_SHOWN
                value = "" if hidden else f" = {item['input']!r}"
                text = f"{name}{value}: {rule}"
        lines.append(f"{origin(location)}: {text}")
    return "; ".join(lines)


def _unknown(location: tuple[int | str, ...]) -> str:
    known = list(_fields(location[:-1]))
    name = ".".join(str(part) for part in location)
    close = difflib.get_close_matches(str(location[-1]), known, n=1)
    if close:
        return f"unknown setting {name} (did you mean {close[0]}?)"
    return f"unknown setting {name} (known here: {', '.join(known)})"
