"""The files of a bundle."""

GRAPH_FILE = "graph.onnx"
WEIGHTS_FILE = "weights.npz"
MODEL_FILE = "model.json"
RECALIBRATION_FILE = "recalibration.json"
FEATURES_FILE = "features.json"
METRICS_FILE = "training_metrics.json"
CARD_FILE = "CARD.md"
MANIFEST_FILE = "manifest.json"
"""Has the sums of all others."""

BUNDLE_FILES: tuple[str, ...] = (
    GRAPH_FILE,
    WEIGHTS_FILE,
    MODEL_FILE,
    RECALIBRATION_FILE,
    FEATURES_FILE,
    METRICS_FILE,
    CARD_FILE,
    MANIFEST_FILE,
)
