"""Roles of callers. Alone here, so that commands know them without what reads settings."""

from enum import StrEnum


class Role(StrEnum):
    """What a caller may do."""

    PREDICT = "predict"
    RECORD = "record"
    ADMIN = "admin"
