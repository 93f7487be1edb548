"""Observability: metrics and logging."""
