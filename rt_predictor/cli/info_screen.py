"""Output of `rt-predictor info` for people."""

import sys
from collections.abc import Callable, Mapping

from rich.console import Console
from rich.table import Table
from rich.text import Text

from rt_predictor.cli.words import aligned, counted, duration, moment, percent
from rt_predictor.client import LiveFigures, ModelInfo, Shadow
from rt_predictor.predict.description import BASE, MemberDescription, ModelDescription

_PLAIN_WIDTH = 110
"""Width of tables where there is no terminal to measure."""

_METRICS: tuple[tuple[str, str, Callable[[float], str]], ...] = (
    ("mae", "mean error", duration),
    ("median_ae", "median error", duration),
    ("accuracy", "accuracy", percent),
    ("underestimated", "ran longer", percent),
    ("coverage", "within the interval", percent),
)
"""The figures that people ask for; --json has all of them."""


def show(info: ModelInfo, features: int, *, thanks: bool) -> None:
    """Print a model's facts, some of its features, and with `thanks` who provided its logs."""
    console = Console(width=None if sys.stdout.isatty() else _PLAIN_WIDTH, highlight=False)
    facts = _facts(info)
    if thanks:
        facts += [("thanks to", name) for name in info.model.acknowledgements]
    console.print(Text(aligned(facts)), soft_wrap=True)
    if features:
        console.print()
        console.print(_feature_table(info, features))
        rest = len(info.model.features) - features
        if rest > 0:
            console.print(f"and {rest} more: --all shows them, and who provided the logs")


def _facts(info: ModelInfo) -> list[tuple[str, str]]:
    model = info.model
    traces = f" of {', '.join(model.training_traces)}" if model.training_traces else ""
    facts = [
        ("model", info.model_version),
        ("kind", _kind(model)),
        ("trained", moment(model.trained_at)),
        ("on", f"{counted(model.training_samples, 'job')}{traces}"),
        ("submitted", _span(model)),
        ("intervals", percent(info.confidence_level)),
        ("on later jobs", _metrics(model.metrics)),
        *_of_late(info.live),
        *_of_shadow(info.shadow),
        ("proposals", ", ".join(map(_proposal, model.members))),
        (
            "runs on",
            ", ".join(f"{p} ({counted(n, 'node')})" for p, n in sorted(model.providers.items())),
        ),
        ("program", info.service_version),
    ]
    facts = [(label, text) for label, text in facts if text]
    if info.uptime_seconds:
        facts.append(
            (
                "service",
                f"up {duration(info.uptime_seconds)}, {counted(info.predictions_served, 'job')} "
                "predicted",
            )
        )
    return facts


def _kind(model: ModelDescription) -> str:
    if model.kind == BASE:
        return "base: trained on the logs of many sites, knows none"
    tuned = f", from the base {model.base_version}" if model.base_version else ""
    return f"{model.kind}{tuned}"


def _span(model: ModelDescription) -> str:
    """Return the span of the site's submissions; "" for a model that knows no site."""
    if not model.training_span_end:
        return ""
    return f"{moment(model.training_span_start)} to {moment(model.training_span_end)}"


def _proposal(member: MemberDescription) -> str:
    known = [counted(member.trees, "tree") if member.trees else "rule"]
    if member.weight:
        known.append(f"weighs {percent(member.weight)}")
    return f"{member.name} ({', '.join(known)})"


def _of_late(live: LiveFigures) -> list[tuple[str, str]]:
    """Return live figures, to stand below those of training; nothing before the first job."""
    if not live.jobs:
        return []
    facts = [("on live jobs", f"{_metrics(live.metrics)}, after {counted(live.jobs, 'job')}")]
    if live.drift:
        moved = (f"{drift.group} {drift.psi:.2f} ({drift.column})" for drift in live.drift)
        facts.append(("drift, PSI", ", ".join(moved)))
    return facts


def _of_shadow(shadow: Shadow | None) -> list[tuple[str, str]]:
    """The candidate, below the model that answers; nothing where there is none."""
    if shadow is None:
        return []
    known = (shadow.model_version, shadow.problem)
    facts = [("shadow", ", ".join(filter(None, known)) or "not heard of yet")]
    if shadow.live.jobs:
        late = f", {shadow.behind:,} to come" if shadow.behind else ""
        figures = f"{_metrics(shadow.live.metrics)}, after {counted(shadow.live.jobs, 'job')}{late}"
        facts.append(("  on live jobs", figures))
    if shadow.differing is not None:
        failed = f", {shadow.failed:,} failed" if shadow.failed else ""
        differ = f"{percent(shadow.differing)} of {shadow.compared:,} differ by a tenth{failed}"
        facts.append(("  its answers", differ))
    return facts


def _metrics(metrics: Mapping[str, float]) -> str:
    known = (f"{label} {say(metrics[name])}" for name, label, say in _METRICS if name in metrics)
    return ", ".join(known) or "not measured"


def _feature_table(info: ModelInfo, features: int) -> Table:
    table = Table("feature", "unit", "why it should help", box=None, pad_edge=False)
    for feature in info.model.features[:features]:
        table.add_row(*map(Text, (feature.name, feature.unit, feature.description)))
    return table
