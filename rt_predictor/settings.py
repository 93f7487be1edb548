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
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from rt_predictor.errors import SettingsError

ENV_PREFIX = "RT_PREDICTOR_"
ENV_DELIMITER = "__"
CONFIG_ENV = "RT_PREDICTOR_CONFIG"
"""Names the settings file; not a setting itself."""

Port = Annotated[int, Field(ge=0, le=65535)]
Share = Annotated[float, Field(gt=0, lt=1)]


class _Section(BaseModel):
    model_config = ConfigDict(
        extra="forbid", frozen=True, validate_default=True, allow_inf_nan=False
    )


class ServerSettings(_Section):
    """`[server]`: the gRPC port and what a client may ask for."""

    host: str = Field("0.0.0.0", min_length=1, description="address to listen on")
    port: Port = Field(50051, description="gRPC port; 0 takes any free one")
    max_workers: int = Field(1, ge=1, le=256, description="worker processes that share the port")
    metrics_host: str = Field("0.0.0.0", min_length=1, description="address of the metrics page")
    metrics_port: Port = Field(8181, description="port of the metrics page; 0 takes any free one")
    metrics_enabled: bool = Field(True, description="serve the metrics page")
    reflection: bool = Field(True, description="serve gRPC reflection")
    max_batch_jobs: int = Field(100_000, ge=1, description="jobs in one PredictBatch or table")
    max_message_mb: int = Field(64, ge=1, le=2047, description="size of one message, in MB")
    max_concurrent_calls: int = Field(
        1024, ge=1, description="calls in progress in one worker; more are told to try again"
    )
    max_waiting_jobs: int = Field(
        16_384,
        ge=1,
        description="jobs of small calls that wait for the model in one worker; "
        "callers of more are told to try again",
    )
    stream_chunk_jobs: int = Field(
        512, ge=1, description="jobs of one stream that are scored together at most"
    )
    drain_timeout_s: float = Field(
        20.0, gt=0, description="time that calls in progress get to finish at shutdown, in s"
    )
    max_connection_age_s: float = Field(
        600.0, gt=0, description="age at which a connection is asked to reconnect, in s"
    )


def _auto_or_names(value: object) -> object:
    names = isinstance(value, list | tuple) and all(isinstance(name, str) for name in value)
    if value != "auto" and not (names and value):
        raise ValueError('must be "auto" or a list of names, e.g. ["CPUExecutionProvider"]')
    return value


class ModelSettings(_Section):
    """`[model]`: which bundle answers, and on what."""

    path: Path = Field(Path("artifacts/production"), description="folder of the model bundle")
    providers: Annotated[Literal["auto"] | tuple[str, ...], BeforeValidator(_auto_or_names)] = (
        Field(
            "auto",
            description='ONNX Runtime providers in order of preference, or "auto"; '
            "those not available are skipped",
        )
    )
    verify_hashes: bool = Field(True, description="check the bundle's SHA-256 sums at start")


class FeatureOptimizationSettings(_Section):
    """`[features.optimization]`: how large inputs are cut up, and what is kept."""

    chunk_size: int = Field(512, ge=64, description="rows that one thread scores at a time")
    n_jobs: int = Field(
        0, ge=0, le=256, description="threads that score a large batch; 0 takes one a core"
    )
    enable_caching: bool = Field(
        True, description="keep recent answers, until the next outcome, for the same job again"
    )


class FeatureSettings(_Section):
    """`[features]`."""

    optimization: FeatureOptimizationSettings = FeatureOptimizationSettings()


class LoggingSettings(_Section):
    """`[logging]`: what is said on stderr."""

    level: Literal["TRACE", "DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"] = Field(
        "INFO", description="least level that is logged"
    )
    format: Literal["json", "console"] = Field(
        "console", description="one JSON object a line, or text for people"
    )


class BoosterSettings(_Section):
    """Hyper-parameters that the three boosters share, under their common names."""

    trees: int = Field(80, ge=1, le=10_000, description="boosting rounds at most")
    learning_rate: float = Field(0.1, gt=0, le=1, description="shrinkage of each tree")
    max_depth: int = Field(6, ge=1, le=16, description="depth of a tree at most")
    subsample: float = Field(0.8, gt=0, le=1, description="share of the jobs each tree sees")
    feature_fraction: float = Field(0.5, gt=0, le=1, description="share of the features, likewise")
    l2: float = Field(1.0, ge=0, description="L2 regularisation of leaf values")


class XGBoostSettings(BoosterSettings):
    """`[training.xgboost]`."""

    min_child_weight: float = Field(20, ge=0, description="weight of the jobs in a leaf at least")


class LightGBMSettings(BoosterSettings):
    """`[training.lightgbm]`."""

    max_depth: int = Field(12, ge=1, le=16, description="depth of a tree at most")
    num_leaves: int = Field(31, ge=2, le=4096, description="leaves of a tree at most")
    min_child_samples: int = Field(20, ge=1, description="jobs in a leaf at least")


class CatBoostSettings(BoosterSettings):
    """`[training.catboost]`."""

    learning_rate: float = Field(0.2, gt=0, le=1, description="shrinkage of each tree")


class QuantileSettings(BoosterSettings):
    """`[training.quantiles]`: one CatBoost model that says all quantiles."""

    max_depth: int = Field(6, ge=1, le=16, description="depth of a tree at most")
    feature_fraction: float = Field(1.0, gt=0, le=1, description="share of the features, likewise")
    l2: float = Field(3.0, ge=0, description="L2 regularisation of leaf values")


class TimeoutSettings(LightGBMSettings):
    """`[training.timeouts]`: the LightGBM model of reaching the time limit."""

    trees: int = Field(40, ge=1, le=10_000, description="boosting rounds")
    num_leaves: int = Field(16, ge=2, le=4096, description="leaves of a tree at most")


class TrainingSettings(_Section):
    """`[training]`: how a bundle is made."""

    seed: int = Field(7, ge=0, description="seed of everything random")
    threads: int = Field(0, ge=0, le=256, description="threads of the boosters; 0 takes one a core")
    test_share: Share = Field(
        0.3, description="last share of submissions, held out for the evaluation"
    )
    calibration_share: Share = Field(
        0.15, description="share of training jobs, last to end: fits weights and intervals"
    )
    early_stopping_share: Share = Field(
        0.1, description="share that ended before those: says when to stop adding trees"
    )
    early_stopping_rounds: int = Field(0, ge=0, description="trees without gain; 0 never stops")
    max_jobs: int = Field(
        1_000_000,
        ge=1000,
        description="jobs that trees see at most: those that ended last",
    )
    max_categories: int = Field(
        256, ge=1, description="names that each of partition, QoS and account keeps at most"
    )
    min_category_jobs: int = Field(
        20, ge=1, description="jobs that a name needs in the training span to be kept"
    )
    xgboost: XGBoostSettings = XGBoostSettings()
    lightgbm: LightGBMSettings = LightGBMSettings()
    catboost: CatBoostSettings = CatBoostSettings()
    quantiles: QuantileSettings = QuantileSettings()
    timeouts: TimeoutSettings = TimeoutSettings()


CONFIDENCE_LEVELS = (0.5, 0.9, 0.95)
"""Levels of the intervals that every model has."""


def _known_level(value: object) -> object:
    if value not in CONFIDENCE_LEVELS:
        raise ValueError(f"must be one of {', '.join(map(str, CONFIDENCE_LEVELS))}")
    return value


class PredictionSettings(_Section):
    """`[prediction]`: what an answer holds."""

    confidence_level: Annotated[float, BeforeValidator(_known_level)] = Field(
        0.9, description="level of the intervals, unless a request asks for another: 0.5, 0.9, 0.95"
    )
    limits_enforced: bool = Field(
        False, description="jobs are ended at their time limit, so no interval goes beyond it"
    )
    limit_granularity_s: float = Field(
        300.0, gt=0, description="recommended time limits are multiples of this, in s"
    )


class HistorySettings(_Section):
    """`[history]`: what is remembered of finished jobs."""

    enabled: bool = Field(True, description="take in outcomes, and predict from what is known")
    path: Path = Field(
        Path("var/history.sqlite"), description="outcome log; its snapshot lies beside it"
    )
    max_events: int = Field(
        1_000_000, ge=1000, description="finished jobs that each worker keeps in memory"
    )
    max_keys: int = Field(
        1_000_000,
        ge=1000,
        description="users, their programs, sizes and so on that each worker keeps",
    )
    snapshot_interval_s: float = Field(
        300.0, gt=0, description="time between two snapshots of what is in memory, in s"
    )
    catch_up_timeout_s: float = Field(
        10.0, ge=0, description="time that a start waits for the log to be read, in s"
    )


class WatchingSettings(_Section):
    """`[watching]`: when live figures are worth a word in the health of the service."""

    coverage_band: float = Field(
        0.05, gt=0, lt=1, description="how far live coverage may lie from its level"
    )
    least_jobs: int = Field(500, ge=1, description="finished jobs without which nothing is said")


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
    model: ModelSettings = ModelSettings()
    features: FeatureSettings = FeatureSettings()
    prediction: PredictionSettings = PredictionSettings()
    history: HistorySettings = HistorySettings()
    watching: WatchingSettings = WatchingSettings()
    logging: LoggingSettings = LoggingSettings()
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
        return (EnvSettingsSource(settings_cls), init_settings)

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
    """Reads the TOML file at `path`, then the environment.

    Without a path the file that `RT_PREDICTOR_CONFIG` names is read, if it is set; else defaults.

    Raises SettingsError naming the file or variable, the setting and the rule it breaks.
    """
    mend = "give another with --config"
    if path is None and os.environ.get(CONFIG_ENV):
        path, mend = Path(os.environ[CONFIG_ENV]), f"set {CONFIG_ENV} to another"
    data = _read_toml(path, mend) if path is not None else {}
    _check_environment()
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
        if upper.startswith(ENV_PREFIX) and upper != CONFIG_ENV:
            yield variable, tuple(upper.removeprefix(ENV_PREFIX).lower().split(ENV_DELIMITER))


def _check_environment() -> None:
    """pydantic-settings ignores unknown variables; a misspelt one must be an error instead."""
    for variable, names in _variables():
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
    """Where the value at a location was read from: the variable that sets it, else the file."""
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
                text = f"{name} = {item['input']!r}: {rule}"
        lines.append(f"{origin(location)}: {text}")
    return "; ".join(lines)


def _unknown(location: tuple[int | str, ...]) -> str:
    known = list(_fields(location[:-1]))
    name = ".".join(str(part) for part in location)
    close = difflib.get_close_matches(str(location[-1]), known, n=1)
    if close:
        return f"unknown setting {name} (did you mean {close[0]}?)"
    return f"unknown setting {name} (known here: {', '.join(known)})"
