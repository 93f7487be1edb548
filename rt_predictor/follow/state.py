"""How far a feed has been followed, in a file that survives any death of the process."""

import json
from pathlib import Path

from rt_predictor.durable_files import replace_file
from rt_predictor.errors import FeedError, StartupError

_FORMAT = 1


def read_mark_s(path: Path) -> float | None:
    """Until when jobs are recorded, Unix s; None where nothing is known.

    Raises StartupError where the file cannot be read.
    """
    try:
        found = json.loads(path.read_text())
        if found["format"] != _FORMAT:
            raise ValueError(f"format {found['format']!r}")
        return float(found["recorded_until_s"])
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StartupError(
            f"cannot read {path} ({error}): delete it and say with --since where to begin; what is "
            "recorded already is not recorded twice"
        ) from error


def write_mark_s(path: Path, until_s: float) -> None:
    """Writes until when jobs are recorded: all of the file, or nothing. Raises FeedError."""
    text = json.dumps({"format": _FORMAT, "recorded_until_s": until_s})
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(path, text.encode())
    except OSError as error:
        raise FeedError(f"cannot write {path}: {error.strerror or error}") from error
