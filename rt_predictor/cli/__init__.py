"""`rt-predictor …`: one sub-command a file, put together in `app`."""

from rt_predictor.cli.app import main

__all__ = ["main"]
