"""Settings of the running service."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal
from zoneinfo import available_timezones

from pydantic import AfterValidator, BeforeValidator, Field

from rt_predictor.jobs.bounds import MAX_TEXT_CHARS
from rt_predictor.settings.section import Port, Section, Share


class ServerSettings(Section):
    """`[server]`: the gRPC port and what a client may ask for."""

    host: str = Field("0.0.0.0", min_length=1, description="address to listen on")
    port: Port = Field(50051, description="gRPC port; 0 takes any free one")
    max_workers: int = Field(1, ge=1, le=256, description="worker processes that share the port")
    metrics_host: str = Field("0.0.0.0", min_length=1, description="address of the metrics page")
    metrics_port: Port = Field(8181, description="port of the metrics page; 0 takes any free one")
    metrics_enabled: bool = Field(True, description="serve the metrics page")
    reflection: bool = Field(True, description="serve gRPC reflection")
    admin: bool = Field(False, description="answer calls that change what is served (ReloadModel)")
    max_batch_jobs: int = Field(100_000, ge=1, description="jobs in one PredictBatch or table")
    max_message_mb: int = Field(64, ge=1, le=2047, description="size of one message, in MB")
    max_concurrent_calls: int = Field(
        1024, ge=1, description="calls in progress in one worker; more are told to try again"
    )
    max_wait_ms: float = Field(
        100.0,
        ge=0,
        description="time that calls may wait before they are begun; while it is more, some are "
        "told to try again; 0: any time, in ms",
    )
    max_waiting_jobs: int = Field(
        16_384,
        ge=1,
        description="jobs of small calls that wait for the model in one worker; "
        "callers of more are told to try again",
    )
    max_large_mb: int = Field(
        32,
        ge=1,
        description="large messages (above 64 kB) of batches, tables and outcomes that one worker "
        "answers at once; callers of more are told to try again; in MB",
    )
    stream_chunk_jobs: int = Field(
        512, ge=1, description="jobs of one stream that are scored together at most"
    )
    slow_call_s: float = Field(
        1.0,
        ge=0,
        description="a `Predict` that takes longer is logged, one a second at most; 0: none, in s",
    )
    drain_timeout_s: float = Field(
        20.0, gt=0, description="time that calls in progress get to finish at shutdown, in s"
    )
    hung_after_s: float = Field(
        30.0,
        ge=0,
        description="silence of a worker's event loop after which it is killed and replaced; "
        "0: never, in s",
    )
    max_connection_age_s: float = Field(
        600.0, gt=0, description="age at which a connection is asked to reconnect, in s"
    )


def _auto_or_names(value: object) -> object:
    names = isinstance(value, list | tuple) and all(isinstance(name, str) for name in value)
    if value != "auto" and not (names and value):
        raise ValueError('must be "auto" or a list of names, e.g. ["CPUExecutionProvider"]')
    return value


def _none_if_empty(value: object) -> object:
    return None if value == "" else value


class ModelSettings(Section):
    """`[model]`: the bundle that answers, and its ONNX Runtime providers."""

    path: Path = Field(Path("artifacts/production"), description="folder of the model bundle")
    shadow_path: Annotated[Path | None, BeforeValidator(_none_if_empty)] = Field(
        None,
        description="folder of a candidate's bundle, which is judged on the same jobs and answers "
        'nobody; "" for none',
    )
    shadow_share: float = Field(
        0.1,
        ge=0,
        le=1,
        description="share of the model's runs that the candidate repeats, to compare answers",
    )
    providers: Annotated[Literal["auto"] | tuple[str, ...], BeforeValidator(_auto_or_names)] = (
        Field(
            "auto",
            description='ONNX Runtime providers in order of preference, or "auto"; '
            "those not available are skipped",
        )
    )
    verify_hashes: bool = Field(True, description="check the bundle's SHA-256 sums at start")
    watch: bool = Field(
        False, description="load another bundle as soon as the folder holds one that is whole"
    )
    watch_interval_s: float = Field(
        2.0, gt=0, description="time between two looks at the folder that is watched, in s"
    )
    reload_timeout_s: float = Field(
        600.0,
        gt=0,
        description="time within which a new worker must get on with loading its model or reading "
        "history, while the one that it replaces serves, in s",
    )


class FeatureOptimizationSettings(Section):
    """`[features.optimization]`: how large inputs are cut up, and what is kept."""

    chunk_size: int = Field(256, ge=64, description="rows that one thread scores at a time")
    n_jobs: int = Field(
        0, ge=0, le=256, description="threads that score a large batch; 0 takes one a core"
    )
    enable_caching: bool = Field(
        True, description="keep recent answers, until the next outcome, for the same job again"
    )


def _known_zone(name: str) -> str:
    if name and name not in available_timezones():
        raise ValueError("must be a time zone as IANA names it, e.g. Europe/Paris")
    return name


class FeatureSettings(Section):
    """`[features]`."""

    timezone: Annotated[str, AfterValidator(_known_zone)] = Field(
        "",
        description="time zone of the site, e.g. Europe/Paris, for features of the calendar; "
        '"" takes that of the bundle',
    )
    optimization: FeatureOptimizationSettings = FeatureOptimizationSettings()


class LoggingSettings(Section):
    """`[logging]`: lines on stderr."""

    level: Literal["TRACE", "DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"] = Field(
        "INFO", description="least level that is logged"
    )
    format: Literal["json", "console"] = Field(
        "console", description="one JSON object a line, or text for people"
    )
    users: bool = Field(False, description="name the user where a line concerns a call; else never")


class PredictionSettings(Section):
    """`[prediction]`: what an answer holds."""

    confidence_level: Share = Field(
        0.9, description="level of the intervals, unless a request asks for another: 0 to 1"
    )
    recommendation_confidence: float = Field(
        0.9,
        ge=0.5,
        lt=1,
        description="probability with which recommended time limits are enough, unless a request "
        "asks for a level",
    )
    limits_enforced: bool = Field(
        False, description="jobs are ended at their time limit, so no interval goes beyond it"
    )
    limit_granularity_s: float = Field(
        300.0, gt=0, description="recommended time limits are multiples of this, in s"
    )
    partition_limits: Mapping[str, Annotated[float, Field(gt=0)]] = Field(
        {}, description="longest time limit of each partition, in s: no longer one is recommended"
    )
    partitions_file: Annotated[Path | None, BeforeValidator(_none_if_empty)] = Field(
        None,
        description="text of `scontrol show partition`, read at start for the limits that "
        'partition_limits does not have; "" for none',
    )


class HistorySettings(Section):
    """`[history]`: the event log, and what is kept of it in memory."""

    enabled: bool = Field(True, description="take in outcomes, and predict from what is known")
    path: Path = Field(
        Path("var/history.sqlite"), description="outcome log; its snapshot lies beside it"
    )
    home_cluster: str = Field(
        "",
        max_length=MAX_TEXT_CHARS,
        description="cluster to which jobs belong that name none: with its name or without, its "
        "jobs are the same; empty: no name is that of home",
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


class WatchingSettings(Section):
    """`[watching]`: when live figures degrade the health of the service."""

    coverage_band: float = Field(
        0.05, gt=0, lt=1, description="how far live coverage may lie from its level"
    )
    least_jobs: int = Field(500, ge=1, description="finished jobs without which nothing is said")

    def band(self, level: float) -> tuple[float, float]:
        """Least and greatest live coverage that intervals of a level may have."""
        return level - self.coverage_band, min(level + self.coverage_band, 1.0)
