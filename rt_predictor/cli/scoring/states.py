"""Which jobs of a queue or an accounting log are asked for, by the states that Slurm names."""

import polars as pl

from rt_predictor.errors import UsageError
from rt_predictor.jobs.states import CODES

ALL = "all"


def parse_states(text: str) -> frozenset[str] | None:
    """States of a list such as "PENDING,R": None where it is empty, no states where it says all.

    Raises UsageError for a state that Slurm does not have.
    """
    words = [word.strip().upper() for word in text.split(",") if word.strip()]
    if not words:
        return None
    if words == [ALL.upper()]:
        return frozenset()
    states = frozenset(CODES.get(word, word) for word in words)
    if unknown := sorted(states - set(CODES.values())):
        raise UsageError(
            f"unknown state {unknown[0]}: choose from {ALL}, {', '.join(CODES.values())}"
        )
    return states


def chosen(jobs: pl.DataFrame, wanted: frozenset[str]) -> tuple[pl.DataFrame, dict[str, int]]:
    """The jobs in the wanted states (all, where none is named), and state -> how many others.

    What cannot be read is kept: nobody knows its state.
    """
    if not wanted:
        return jobs, {}
    state = pl.col("state").fill_null("no state")
    keep = state.is_in(sorted(wanted)) | pl.col("malformed").is_not_null()
    others = jobs.filter(~keep).select(state.str.to_lowercase().alias("state"))
    counts = others["state"].value_counts().sort("state").rows()
    return jobs.filter(keep), dict(counts)
