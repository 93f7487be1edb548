"""The report of an evaluation: one HTML file that needs nothing else, not even a network."""

from rt_predictor.cli.report.page import write_report

__all__ = ["write_report"]
