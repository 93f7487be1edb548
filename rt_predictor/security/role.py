"""Roles of callers. Alone here, so that commands know them without what reads settings."""

from enum import StrEnum


class Role(StrEnum):
    """Role of a caller: what it may do."""

    PREDICT = "predict"
    EXPLAIN = "explain"
    """Beside `PREDICT`: to be told which jobs of a user an answer rests on."""
    RECORD = "record"
    ADMIN = "admin"
