"""Write the tables of docs/settings.md and docs/metrics.md from the program itself.

    python tools/reference.py [--check]

`--check` writes nothing and fails where a page is out of step.
"""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(PROJECT))

from generated_tables import fill  # noqa: E402
from prometheus_client import CollectorRegistry  # noqa: E402
from pydantic import BaseModel  # noqa: E402

from rt_predictor.observability.metrics import Metrics  # noqa: E402
from rt_predictor.observability.worker_metrics import WorkerMetrics  # noqa: E402
from rt_predictor.settings import Settings  # noqa: E402
from rt_predictor.shadow.metrics import ShadowMetrics  # noqa: E402


def settings_table() -> str:
    """Return a row for each setting: its name, default and meaning."""
    rows = [
        f"| `{name}` | `{default}` | {text} |" for name, default, text in _settings(Settings, "")
    ]
    return "\n".join(["| setting | default | meaning |", "|---|---|---|", *rows])


_EMPTY = {"": '""', "()": "[]"}
"""Defaults that hold nothing, as TOML writes them."""


def _settings(model: type[BaseModel], prefix: str) -> Iterator[tuple[str, str, str]]:
    for name, field in model.model_fields.items():
        kind: Any = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from _settings(kind, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", _shown(field.default), field.description or ""


def _shown(default: object) -> str:
    """Return a default as TOML writes it."""
    if isinstance(default, bool):
        return str(default).lower()
    if isinstance(default, tuple) and default:
        return "[" + ", ".join(f'"{value}"' for value in default) + "]"
    return _EMPTY.get(str(default), str(default))


def metrics_table() -> str:
    """Return a row for each metric: its name, kind and meaning."""
    registry = CollectorRegistry()
    Metrics(registry)
    WorkerMetrics(registry)
    registry.register(ShadowMetrics(lambda: None))
    rows = []
    for family in registry.collect():
        name = f"{family.name}_total" if family.type == "counter" else family.name
        rows.append(f"| `{name}` | {family.type} | {family.documentation} |")
    return "\n".join(["| metric | kind | meaning |", "|---|---|---|", *sorted(rows)])


PAGES = {"settings": settings_table, "metrics": metrics_table}
"""Tables by name: each has a page of its own, docs/NAME.md."""


def main() -> int:
    """Write or check; return 0 if all is in step."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing, fail if out of step")
    check: bool = parser.parse_args().check
    stale = []
    for name, table in PAGES.items():
        page = PROJECT / "docs" / f"{name}.md"
        old = page.read_text(encoding="utf-8")
        new = fill(old, name, table())
        if new != old:
            stale.append(str(page.relative_to(PROJECT)))
            if not check:
                page.write_text(new, encoding="utf-8")
    if check and stale:
        print(
            f"out of step with the program: {', '.join(stale)}; run `make reference`",
            file=sys.stderr,
        )
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
