"""How figures look in the tables of accuracy, and how a table is put together."""

import math
from collections.abc import Iterable, Sequence

NOTHING = "–"


def divided(value: float | None, by: float | None) -> float | None:
    """Return a quotient; None where either side is missing."""
    return None if value is None or not by else value / by


def geometric(ratios: Sequence[float]) -> float | None:
    """Return the geometric mean; None of nothing."""
    known = [ratio for ratio in ratios if ratio > 0]
    return math.exp(sum(map(math.log, known)) / len(known)) if known else None


def count(value: int) -> str:
    """Return a count: 12,345."""
    return f"{value:,}"


def whole(value: float | None) -> str:
    """Return a figure without decimals: 12,345."""
    return NOTHING if value is None else f"{value:,.0f}"


def ratio(value: float | None) -> str:
    """Return a figure with three decimals."""
    return NOTHING if value is None else f"{value:.3f}"


def score(value: float | None) -> str:
    """Return a figure with four decimals."""
    return NOTHING if value is None else f"{value:.4f}"


def share(value: float | None) -> str:
    """Return a share: 12.3 %."""
    return NOTHING if value is None else f"{100 * value:.1f} %"


def table(corner: str, heads: Sequence[str], rows: Iterable[tuple[str, Sequence[str]]]) -> str:
    """Return a table in Markdown, of rows of a name and cells."""
    lines = [
        f"| {corner} | {' | '.join(heads)} |",
        "|---|" + "---:|" * len(heads),
        *(f"| {name} | {' | '.join(cells)} |" for name, cells in rows),
    ]
    return "\n".join(lines)


def with_missing(table: str, names: Sequence[str]) -> str:
    """Return a table with a row for each log that has not been measured."""
    columns = table.splitlines()[0].count("|") - 2
    rows = [f"| {name} | not measured yet |{' |' * (columns - 1)}" for name in names]
    return "\n".join([table, *rows])
