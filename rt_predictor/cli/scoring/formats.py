"""How answers are written, and what stands for stdin and stdout on the command line."""

from enum import StrEnum
from pathlib import Path

STDIO = Path("-")


class AnswerFormat(StrEnum):
    """Formats of answers."""

    CSV = "csv"
    PARQUET = "parquet"
    JSONL = "jsonl"
