"""Settings of training."""

from pathlib import Path

from pydantic import Field

from rt_predictor.settings.section import Section, Share


class BoosterSettings(Section):
    """Hyper-parameters that the three boosters share, under their common names."""

    trees: int = Field(12, ge=1, le=10_000, description="boosting rounds")
    learning_rate: float = Field(0.2, gt=0, le=1, description="shrinkage of each tree")
    max_depth: int = Field(5, ge=1, le=16, description="depth of a tree at most")
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

    learning_rate: float = Field(0.3, gt=0, le=1, description="shrinkage of each tree")


class NetworkSettings(Section):
    """`[training.network]`: how the network learns, from nothing and from the base model."""

    passes: int = Field(6, ge=1, le=100, description="passes over the jobs, from nothing")
    rate: float = Field(2e-3, gt=0, le=1, description="greatest learning rate, from nothing")
    tune_passes: int = Field(4, ge=1, le=100, description="passes when the base is tuned")
    tune_rate: float = Field(5e-4, gt=0, le=1, description="greatest learning rate then")
    jobs_a_pass: int = Field(
        25_000, ge=1, description="jobs of one log in a pass at most, drawn anew for each"
    )
    tune_jobs_a_pass: int = Field(40_000, ge=1, description="the same when the base is tuned")


class TrainingSettings(Section):
    """`[training]`: how a bundle is made."""

    seed: int = Field(7, ge=0, description="seed of everything random")
    threads: int = Field(0, ge=0, le=256, description="threads of the boosters; 0 takes one a core")
    base: Path = Field(
        Path("artifacts/production"), description="folder of the base model that is tuned"
    )
    test_share: Share = Field(0.3, description="last share of submissions, held out by `evaluate`")
    window_share: Share = Field(
        0.15, description="share of the jobs, last to end, by which models are compared"
    )
    max_jobs: int = Field(
        1_000_000,
        ge=1000,
        description="jobs of one log that are learned from at most: those that ended last",
    )
    network: NetworkSettings = NetworkSettings()
    xgboost: XGBoostSettings = XGBoostSettings()
    lightgbm: LightGBMSettings = LightGBMSettings()
    catboost: CatBoostSettings = CatBoostSettings()
