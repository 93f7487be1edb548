"""Settings: sections as data, and how they are read."""

from rt_predictor.settings.agent import AgentSettings
from rt_predictor.settings.load import (
    CLIENT_ENVS,
    CONFIG_ENV,
    ENV_DELIMITER,
    ENV_PREFIX,
    Settings,
    load_settings,
)
from rt_predictor.settings.security import (
    CertificateRoleSettings,
    SecuritySettings,
    TokenSettings,
)
from rt_predictor.settings.serving import (
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
    NetworkSettings,
    TrainingSettings,
    XGBoostSettings,
)

__all__ = [
    "CLIENT_ENVS",
    "CONFIG_ENV",
    "ENV_DELIMITER",
    "ENV_PREFIX",
    "AgentSettings",
    "BoosterSettings",
    "CatBoostSettings",
    "CertificateRoleSettings",
    "FeatureOptimizationSettings",
    "FeatureSettings",
    "HistorySettings",
    "LightGBMSettings",
    "LoggingSettings",
    "ModelSettings",
    "NetworkSettings",
    "PredictionSettings",
    "SecuritySettings",
    "ServerSettings",
    "Settings",
    "TokenSettings",
    "TracingSettings",
    "TrainingSettings",
    "WatchingSettings",
    "XGBoostSettings",
    "load_settings",
]
