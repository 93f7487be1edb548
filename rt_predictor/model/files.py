"""The files of a bundle."""

GRAPH_FILE = "ensemble.onnx"
ENSEMBLE_FILE = "ensemble_config.json"
FEATURES_FILE = "features.json"
CALIBRATION_FILE = "calibration.json"
INFO_FILE = "model_info.json"
METRICS_FILE = "training_metrics.json"
REFERENCE_FILE = "reference.json"
MANIFEST_FILE = "manifest.json"
"""Has the sums of all others."""

BUNDLE_FILES: tuple[str, ...] = (
    GRAPH_FILE,
    ENSEMBLE_FILE,
    FEATURES_FILE,
    CALIBRATION_FILE,
    INFO_FILE,
    METRICS_FILE,
    REFERENCE_FILE,
    MANIFEST_FILE,
)
