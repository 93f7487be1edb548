"""Parts of `rt-predictor score`: inputs of any kind, scorers, and outputs of any kind."""
