"""Flags of an answer: what makes it less certain than others."""

from enum import IntFlag


class Flag(IntFlag):
    """What makes an answer less certain than others; bits of `Predictions.flags`."""

    COLD_START_USER = 1
    UNSEEN_PARTITION = 2
    UNSEEN_QOS = 4
    NO_TIME_LIMIT = 8
    OUT_OF_TRAINING_RANGE = 16
    PARTITION_LIMIT_TOO_SHORT = 32
    TIME_LIMIT_TOO_SHORT = 64


def flag_names(flags: Flag) -> list[str]:
    """Return flags as programs read them: cold_start_user, …"""
    return [(flag.name or "").lower() for flag in Flag if flag in flags]
