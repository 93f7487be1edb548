"""Serving: the predictor, and the server that answers from it."""
