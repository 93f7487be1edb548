"""Named arrays of the parts of a state, side by side in one mapping: what a snapshot holds."""

from typing import Any

from numpy.typing import NDArray

from rt_predictor.history.known_jobs import Arrays


def named_parts(prefix: str, arrays: Arrays) -> dict[str, NDArray[Any]]:
    """Return the arrays of a part with a prefix before each name."""
    return {prefix + name: array for name, array in arrays.items()}


def part_of(prefix: str, arrays: Arrays) -> dict[str, NDArray[Any]]:
    """Return what `named_parts` took of a part."""
    return {
        name.removeprefix(prefix): array
        for name, array in arrays.items()
        if name.startswith(prefix)
    }
