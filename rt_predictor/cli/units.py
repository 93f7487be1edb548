"""Amounts as users of Slurm write them, as options of the command line."""

from datetime import UTC, datetime

import typer


def time_limit_s(text: str) -> float:
    """A time limit in seconds: bare seconds, or Slurm's M:S, H:M:S, D-H, D-H:M, D-H:M:S.

    Raises BadParameter for anything else.
    """
    number = _number(text)
    if number is not None:
        return number
    import polars as pl

    from rt_predictor.traces.expressions import span_s

    limit: float | None = pl.select(span_s(pl.lit(text.strip()), bare_unit_s=1.0)).item()
    if limit is None:
        raise typer.BadParameter(f"{text!r}: give seconds (3600) or a span (1:00:00, 1-12:00:00)")
    return limit


def memory_mb(text: str) -> float:
    """Memory of the whole job in MB: a bare number of MB, or with K, M, G or T: 128G.

    Raises BadParameter for anything else.
    """
    number = _number(text)
    if number is not None:
        return number
    import polars as pl

    from rt_predictor.traces.expressions import memory_amount_mb

    # A last "n" or "c" says per node or per CPU: not the whole job.
    amount: float | None = None
    if text.strip()[-1:].lower() not in ("n", "c"):
        amount = pl.select(memory_amount_mb(pl.lit(text.strip()))).item()
    if amount is None:
        raise typer.BadParameter(f"{text!r}: give MB of the whole job (128000) or a size (125G)")
    return amount


def moment_s(text: str) -> float:
    """A point in time as Unix s: a bare number, or ISO 8601, which is UTC unless it has an offset.

    Raises BadParameter for anything else.
    """
    number = _number(text)
    if number is not None:
        return number
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        raise typer.BadParameter(
            f"{text!r}: give Unix seconds or ISO 8601 (2025-03-01T12:00:00+01:00)"
        ) from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
