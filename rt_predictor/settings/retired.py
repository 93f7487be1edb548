"""Settings that an earlier edition had: they do nothing, and are warned of for one edition."""

from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

from loguru import logger

Names: TypeAlias = tuple[str, ...]
"""A setting as the names of its sections and its own."""

RETIRED: frozenset[Names] = frozenset(
    {
        ("training", "calibration_share"),
        ("training", "early_stopping_share"),
        ("training", "early_stopping_rounds"),
        ("training", "max_categories"),
        ("training", "min_category_jobs"),
        ("training", "quantiles"),
        ("training", "timeouts"),
    }
)
"""Settings, and whole sections."""


def is_retired(names: Names) -> bool:
    """Return whether a setting, or a section that it is in, is retired."""
    return any(names[: len(retired)] == retired for retired in RETIRED)


def without_retired(data: Mapping[str, Any], above: Names = ()) -> tuple[dict[str, Any], list[str]]:
    """Return settings as a file has them without retired ones, and the dotted names of those."""
    kept: dict[str, Any] = {}
    retired: list[str] = []
    for name, value in data.items():
        names = (*above, name)
        if is_retired(names):
            retired.append(".".join(names))
        elif isinstance(value, dict):
            kept[name], below = without_retired(value, names)
            retired += below
        else:
            kept[name] = value
    return kept, retired


def warn_of_retired(names: Iterable[str], where: str) -> None:
    """Say which settings do nothing any more."""
    for name in names:
        logger.warning("{}: the setting {} is retired and does nothing: remove it", where, name)
