"""Settings of training."""

from pydantic import Field

from rt_predictor.settings.section import Section, Share


class BoosterSettings(Section):
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


class TrainingSettings(Section):
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
