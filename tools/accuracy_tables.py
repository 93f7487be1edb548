"""The tables of docs/accuracy.md, from what `rt-predictor evaluate --json` writes."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import accuracy_cells as show

ENSEMBLE = "ensemble"
MEASURED_BY = ("request", "last2", "user_median5", "backoff_median5")
"""Baselines that ratios are to."""

ZERO_SHOT, TUNED, RENEWED = "zero-shot", "fine-tuned", "renewed"
WAYS = (ZERO_SHOT, TUNED, RENEWED)

Document = Mapping[str, Any]
"""The figures of one log, answered in one way."""

Documents = Mapping[str, Mapping[str, Document]]
"""By name of the log, then by way."""

Cells = list[str]
Figure = Callable[[Document], float | None]


def mae_table(documents: Documents) -> str:
    """Mean absolute errors, and their ratio to that of the best baseline."""
    return _errors_table(documents, lambda document: {
        name: metrics["mae"]
        for name, metrics in {**document["models"], **document["baselines"]}.items()
    })  # fmt: skip


def user_table(documents: Documents) -> str:
    """The same where each user counts once."""
    return _errors_table(documents, lambda document: document["user_mae"])


def _errors_table(
    documents: Documents, errors_of: Callable[[Document], Mapping[str, float | None]]
) -> str:
    ways = _ways(documents)
    heads = ["jobs", "best baseline", "its MAE, s", "user_ratio5"]
    heads += [f"{way}, s" for way in ways] + [f"{way} / best" for way in ways]
    rows: list[tuple[str, Cells]] = []
    ratios: dict[str, list[float]] = {way: [] for way in ways}
    for name, by_way in documents.items():
        found = {way: errors_of(by_way[way]) for way in ways}
        one = found[ways[0]]
        known = {base: error for base in MEASURED_BY if (error := one.get(base)) is not None}
        best = min(known, key=known.__getitem__) if known else show.NOTHING
        cells = [show.count(by_way[ways[0]]["jobs_test"]), best, show.whole(known.get(best))]
        cells.append(show.whole(one.get("user_ratio5")))
        cells += [show.whole(found[way].get(ENSEMBLE)) for way in ways]
        for way in ways:
            ratio = show.divided(found[way].get(ENSEMBLE), known.get(best))
            ratios[way] += [] if ratio is None else [ratio]
            cells.append(show.ratio(ratio))
        rows.append((name, cells))
    empty = [""] * (4 + len(ways))
    means = [show.ratio(show.geometric(ratios[way])) for way in ways]
    worst = [show.ratio(max(ratios[way], default=None)) for way in ways]
    rows += [("geometric mean", [*empty, *means]), ("worst", [*empty, *worst])]
    return show.table("log", heads, rows)


def median_table(documents: Documents) -> str:
    """Median errors and accuracy beside those of the baselines that are best at them."""
    ways, compared = _ways(documents), ("last2", "backoff_median5")
    heads = [f"median error, s: {name}" for name in (*ways, *compared)]
    heads += [f"accuracy: {name}" for name in (*ways, "best baseline")]
    rows = []
    for name, by_way in documents.items():
        others = by_way[ways[0]]["baselines"]
        ours = [by_way[way]["models"][ENSEMBLE] for way in ways]
        medians = [figures["median_ae"] for figures in (*ours, *(others[c] for c in compared))]
        best = max(others[base]["accuracy"] for base in MEASURED_BY)
        accuracies = [*(figures["accuracy"] for figures in ours), best]
        rows.append((name, [*map(show.whole, medians), *map(show.ratio, accuracies)]))
    return show.table("log", heads, rows)


def distribution_table(documents: Documents) -> str:
    """Scores of whole distributions, beside edition 1.0's where its answers were given."""
    figures: dict[str, Figure] = {
        "CRPS, s": lambda d: d["distribution"]["crps_s"],
        "/ best MAE": lambda d: show.divided(
            d["distribution"]["crps_s"], min(d["baselines"][base]["mae"] for base in MEASURED_BY)
        ),
        "/ edition 1.0": lambda d: _of(d, "beside", "crps_ratio"),
    }
    return _figures_table(documents, figures, whole=("CRPS, s",))


def interval_table(documents: Documents) -> str:
    """Coverage and score of the intervals of every level."""
    heads = ["way", "level", "coverage", "in tenths", "no history", "Winkler / constant width"]
    rows: list[tuple[str, Cells]] = []
    ratios: dict[tuple[str, float], list[float]] = {}
    for name, by_way in documents.items():
        for way, document in by_way.items():
            for found in document["intervals"]:
                ratio = found["winkler_s"] / found["constant_width_winkler_s"]
                ratios.setdefault((way, found["level"]), []).append(ratio)
                blocks = [block for block in found["block_coverage"] if block is not None]
                cells = [
                    way,
                    f"{found['level']:g}",
                    show.share(found["coverage"]),
                    f"{show.share(min(blocks))} to {show.share(max(blocks))}",
                    show.share(found["history_coverage"]["none"]),
                    f"{ratio:.3f}",
                ]
                rows.append((name, cells))
    for (way, level), found in ratios.items():
        mean = show.ratio(show.geometric(found))
        rows.append(("geometric mean", [way, f"{level:g}", "", "", "", mean]))
    return show.table("log", heads, rows)


def regular_table(documents: Documents) -> str:
    """Intervals of jobs of users who run the same again and again."""
    heads = ["way", "level", "jobs", "coverage", "empirical", "Winkler / empirical"]
    heads += ["width / median run"]
    rows: list[tuple[str, Cells]] = []
    for name, by_way in documents.items():
        for way, document in by_way.items():
            for found in document["regular"]:
                if not found["jobs"]:
                    continue
                cells = [
                    way,
                    f"{found['level']:g}",
                    show.count(found["jobs"]),
                    show.share(found["coverage"]),
                    show.share(found["empirical_coverage"]),
                    show.ratio(found["winkler_over_empirical"]),
                    show.ratio(found["width_over_median"]),
                ]
                rows.append((name, cells))
    return show.table("log", heads, rows)


def timeout_table(documents: Documents) -> str:
    """How far the chance of a timeout can be believed."""
    heads = ["way", "reached their limit", "calibration error", "Brier", "base rate", "edition 1.0"]
    rows: list[tuple[str, Cells]] = []
    for name, by_way in documents.items():
        for way, document in by_way.items():
            found = document["timeouts"]
            if found is not None:
                cells = [
                    way,
                    show.share(found["timeouts"] / found["jobs"]),
                    show.ratio(found["ece"]),
                    show.score(found["brier"]),
                    show.score(found["brier_base_rate"]),
                    show.score(_of(document, "beside", "their_brier")),
                ]
                rows.append((name, cells))
    return show.table("log", heads, rows)


def usefulness_table(documents: Documents) -> str:
    """What following the recommended limits frees, and what it cuts."""
    heads = ["way", "unused"]
    heads += [f"{words} at {at}" for at in ("90 %", "95 %") for words in ("freed", "jobs cut")]
    heads += ["freed / edition 1.0 at equal cuts", "cut by both"]
    rows: list[tuple[str, Cells]] = []
    for name, by_way in documents.items():
        for way, document in by_way.items():
            found = document["usefulness"]
            if not found:
                continue
            cells = [way, show.share(found["0.9"]["unused"])]
            for confidence in ("0.9", "0.95"):
                cells += [
                    show.share(found[confidence]["freed"]),
                    show.share(found[confidence]["cut"]),
                ]
            cuts = _of(document, "beside", "equal_cuts")
            both = (
                show.NOTHING
                if cuts is None
                else f"{show.share(cuts['ours']['cut'])}, {show.share(cuts['theirs']['cut'])}"
            )
            cells += [show.ratio(_of(document, "beside", "freed_ratio")), both]
            rows.append((name, cells))
    return show.table("log", heads, rows)


def again_table(documents: Documents) -> str:
    """What is answered to the same jobs with other limits."""
    figures: dict[str, Figure] = {
        "falls": lambda d: _of(d, "asked_again", "falling"),
        "get a 90 % limit": lambda d: _of(d, "asked_again", "recommended", "0.9"),
        "it holds": lambda d: _of(d, "asked_again", "recommended_holds", "0.9"),
        "get a 95 % limit": lambda d: _of(d, "asked_again", "recommended", "0.95"),
        "that holds": lambda d: _of(d, "asked_again", "recommended_holds", "0.95"),
    }
    return _figures_table(documents, figures, shares=tuple(figures), means=False)


def summary_table(documents: Documents) -> str:
    """What most want to know, a row a way: geometric means over the logs."""
    heads = [
        *("MAE / best baseline", "worst log", "accuracy", "best baseline's", "90 % intervals hold"),
        *("Winkler / constant width", "CRPS / edition 1.0"),
    ]
    rows = []
    for way in _ways(documents):
        found = [by_way[way] for by_way in documents.values()]
        ratios = [_mae_ratio(document) for document in found]
        nineties = [_at_level(document, 0.9) for document in found]
        winklers = [one["winkler_s"] / one["constant_width_winkler_s"] for one in nineties]
        crps = [ratio for one in found if (ratio := _of(one, "beside", "crps_ratio")) is not None]
        accuracy = [document["models"][ENSEMBLE]["accuracy"] for document in found]
        best = [max(one["baselines"][b]["accuracy"] for b in MEASURED_BY) for one in found]
        held = [one["coverage"] for one in nineties]
        cells = [
            show.ratio(show.geometric(ratios)),
            show.ratio(max(ratios)),
            show.ratio(sum(accuracy) / len(accuracy)),
            show.ratio(sum(best) / len(best)),
            f"{show.share(min(held))} to {show.share(max(held))}",
            show.ratio(show.geometric(winklers)),
            show.ratio(show.geometric(crps)),
        ]
        rows.append((way, cells))
    return show.table("", heads, rows)


TABLES: Mapping[str, Callable[[Documents], str]] = {
    "accuracy: mean absolute error": mae_table,
    "accuracy: by user": user_table,
    "accuracy: median": median_table,
    "accuracy: distributions": distribution_table,
    "accuracy: intervals": interval_table,
    "accuracy: regular jobs": regular_table,
    "accuracy: timeouts": timeout_table,
    "accuracy: usefulness": usefulness_table,
    "accuracy: asked again": again_table,
}
"""Tables of docs/accuracy.md."""

SUMMARY = "accuracy: summary"
"""Name of the table in the README."""


def _figures_table(
    documents: Documents,
    figures: Mapping[str, Figure],
    *,
    whole: Sequence[str] = (),
    shares: Sequence[str] = (),
    means: bool = True,
) -> str:
    """A row a log, for each way a column of each figure, and geometric means below."""
    ways = _ways(documents)
    columns = [(way, name) for way in ways for name in figures]
    values = {
        name: [figures[figure](by_way[way]) for way, figure in columns]
        for name, by_way in documents.items()
    }
    shown = [
        show.whole if figure in whole else show.share if figure in shares else show.ratio
        for _, figure in columns
    ]
    rows = [
        (name, [cell(value) for cell, value in zip(shown, found, strict=True)])
        for name, found in values.items()
    ]
    if means:
        cells = []
        for place, (_, figure) in enumerate(columns):
            known = [v for found in values.values() if (v := found[place]) is not None]
            cells.append("" if figure in whole else show.ratio(show.geometric(known)))
        rows.append(("geometric mean", cells))
    return show.table("log", [f"{way}: {figure}" for way, figure in columns], rows)


def _ways(documents: Documents) -> list[str]:
    """The ways that every log was answered in."""
    return [way for way in WAYS if all(way in by_way for by_way in documents.values())]


def _mae_ratio(document: Document) -> float:
    best = min(document["baselines"][base]["mae"] for base in MEASURED_BY)
    return float(document["models"][ENSEMBLE]["mae"] / best)


def _at_level(document: Document, level: float) -> Mapping[str, Any]:
    return next(found for found in document["intervals"] if found["level"] == level)


def _of(document: Any, *keys: str) -> Any:
    """What stands under nested keys; None where one of them is missing or null."""
    for key in keys:
        if document is None:
            return None
        document = document.get(key)
    return document
