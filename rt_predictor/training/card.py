"""The model card: what a bundle was made from, what it is good for, and where it fails."""

from collections.abc import Mapping, Sequence

from rt_predictor.model.documents import BASE, ModelInfo

Candidates = Mapping[str, Mapping[str, float]]


def card(info: ModelInfo, figures: Sequence[str], candidates: Candidates) -> str:
    """Return the card of a model, Markdown.

    Args:
        info: what it is, and where it comes from.
        figures: sentences on how good it is, and on what jobs.
        candidates: figures of the models that were compared, by name; may be empty.
    """
    parts = [
        f"# Runtime model {info.model_version}",
        _what_it_is(info),
        "## What it learned from",
        _logs_table(info),
        *_acknowledgements(info),
        "## How good it is",
        *(f"- {sentence}" for sentence in figures),
        *([_candidates_table(candidates)] if candidates else []),
        "## Limits",
        *(f"- {sentence}" for sentence in _limits(info)),
    ]
    return _paragraphs(parts)


def _paragraphs(parts: Sequence[str]) -> str:
    """Lines of a list stand together, all else apart."""
    text = ""
    for before, part in zip(["", *parts], parts, strict=False):
        together = before.startswith("- ") and part.startswith("- ")
        text += ("" if not before else "\n" if together else "\n\n") + part
    return text + "\n"


def _what_it_is(info: ModelInfo) -> str:
    jobs, graph = f"{info.training_samples:,}", info.graph
    made = (
        f"A base model: it learned from {jobs} jobs of {len(info.training_logs)} logs, and knows "
        "no site, user or partition by name."
        if info.kind == BASE
        else f"It learned from {jobs} jobs of one site, starting from "
        f"{f'the base model {info.base_version}' if info.base_version else 'nothing'}. It names no "
        "user and no partition."
    )
    return (
        f"{made} For a batch job it says how its runtime is distributed: weights over "
        f"{graph.points} runtimes, among them those of up to {graph.tokens} jobs that history "
        f"shows and what {', '.join(graph.proposals)} propose."
    )


def _logs_table(info: ModelInfo) -> str:
    rows = [f"| {log.name} | {log.jobs:,} |" for log in info.training_logs]
    return "\n".join(["| log | jobs |", "|---|---:|", *rows])


def _acknowledgements(info: ModelInfo) -> list[str]:
    named = [log for log in info.training_logs if log.acknowledgement]
    if not named:
        return []
    lines = [f"- {log.name}: {log.acknowledgement}" for log in named]
    return ["## Acknowledgements", "With thanks to those who recorded and shared the logs:", *lines]


def _candidates_table(candidates: Candidates) -> str:
    """Figures by candidate, in one table."""
    heads = list(dict.fromkeys(name for found in candidates.values() for name in found))
    rows = [
        f"| {name} | {' | '.join(_number(found.get(head)) for head in heads)} |"
        for name, found in candidates.items()
    ]
    return "\n".join([f"| | {' | '.join(heads)} |", "|---|" + "---:|" * len(heads), *rows])


def _number(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3f}"


def _limits(info: ModelInfo) -> list[str]:
    of_a_base = [
        "Without a site's history it has little to go by: import it first. Single sites still "
        "differ from all that it has seen; `rt-predictor train` tunes it to one.",
        "Most of the logs are old, and few name programs, memory or GPUs: of these it knows less.",
    ]
    of_a_site = [
        "It is of one site: for another, start from the base model.",
    ]
    return [
        *(of_a_base if info.kind == BASE else of_a_site),
        "A runtime is what such jobs took before. What changed since (new code, data, machines) "
        "shows only once such jobs have ended; intervals widen by then, not before.",
        "Jobs of one user that are submitted together share one fate that nobody knows yet: "
        "intervals hold on average over many users and weeks, not within one campaign.",
    ]
