"""RT Predictor: how long will this batch job really run?"""

import os

__version__ = "0.1.0"

# ONNX Runtime sends usage data unless told not to before it is imported; a service of ours never
# sends anything anywhere that its operator did not ask for.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
