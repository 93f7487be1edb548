"""RT Predictor: how long will this batch job really run?"""

import os

__version__ = "2.0.0.dev0"

# ONNX Runtime sends usage data unless told not to before it is imported; a service of ours never
# sends anything anywhere that its operator did not ask for.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

# gRPC's own notes, on a peer that goes for one, would be lines of another kind in the log.
os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
