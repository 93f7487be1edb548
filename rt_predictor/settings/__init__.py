"""Settings: sections as data, and how they are read."""

from rt_predictor.settings.agent import AgentSettings
from rt_predictor.settings.load import (
    CONFIG_ENV,
    ENV_DELIMITER,
    ENV_PREFIX,
    Settings,
    load_settings,
)
from rt_predictor.settings.serving import (
    CONFIDENCE_LEVELS,
    FeatureOptimizationSettings,
    FeatureSettings,
    HistorySettings,
    LoggingSettings,
    ModelSettings,
    PredictionSettings,
    ServerSettings,
    WatchingSettings,
)
from rt_predictor.settings.tracing import TracingSettings
from rt_predictor.settings.training import (
    BoosterSettings,
    CatBoostSettings,
    LightGBMSettings,
    QuantileSettings,
    TimeoutSettings,
    TrainingSettings,
    XGBoostSettings,
)

__all__ = [
    "CONFIDENCE_LEVELS",
    "CONFIG_ENV",
    "ENV_DELIMITER",
    "ENV_PREFIX",
    "AgentSettings",
    "BoosterSettings",
    "CatBoostSettings",
    "FeatureOptimizationSettings",
    "FeatureSettings",
    "HistorySettings",
    "LightGBMSettings",
    "LoggingSettings",
    "ModelSettings",
    "PredictionSettings",
    "QuantileSettings",
    "ServerSettings",
    "Settings",
    "TimeoutSettings",
    "TracingSettings",
    "TrainingSettings",
    "WatchingSettings",
    "XGBoostSettings",
    "load_settings",
]
