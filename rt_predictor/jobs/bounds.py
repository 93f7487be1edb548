"""Bounds of a job's fields that settings name too: without Polars, for a quick start."""

MAX_TEXT_CHARS = 256
"""Characters of a text at most."""
