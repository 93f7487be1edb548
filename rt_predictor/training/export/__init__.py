"""From models to one ONNX graph."""
