"""Writes the Grafana dashboard, deploy/grafana/dashboards/rt_predictor.json: `make dashboard`.

    python tools/dashboard.py [--check]

`--check` writes nothing and fails where the file is out of step.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dashboard_panels import ROWS, Panel, Query, series

FILE = Path(__file__).resolve().parents[1] / "deploy/grafana/dashboards/rt_predictor.json"

Json = dict[str, Any]
_SCREEN_COLUMNS = 24
_SOURCE: Json = {"type": "prometheus", "uid": "${datasource}"}
_VIEWS: dict[str, Json] = {
    "timeseries": {
        "legend": {"displayMode": "list", "placement": "bottom"},
        "tooltip": {"mode": "multi", "sort": "desc"},
    },
    "stat": {
        "reduceOptions": {"calcs": ["lastNotNull"]},
        "colorMode": "value",
        "graphMode": "none",
    },
    "table": {"showHeader": True},
}
_HIDDEN_COLUMNS = ("Time", "Value", "__name__", "job")


def panels() -> Iterator[Json]:
    """All rows and panels, each in its place; those of one row are equally high."""
    top = number = 0
    for title, row in ROWS.items():
        place = {"h": 1, "w": _SCREEN_COLUMNS, "x": 0, "y": top}
        number += 1
        yield {"id": number, "type": "row", "title": title, "gridPos": place, "panels": []}
        top, left = top + 1, 0
        for panel in row:
            if left + panel.width > _SCREEN_COLUMNS:
                top, left = top + panel.height, 0
            place = {"h": panel.height, "w": panel.width, "x": left, "y": top}
            number += 1
            yield {"id": number, "gridPos": place, **_panel(panel)}
            left += panel.width
        top += row[-1].height


def _panel(panel: Panel) -> Json:
    shown: Json = {
        "type": panel.kind,
        "title": panel.title,
        "description": panel.text,
        "datasource": _SOURCE,
        "targets": [_target(panel, place, query) for place, query in enumerate(panel.queries)],
        "fieldConfig": {"defaults": _field(panel), "overrides": []},
        "options": _VIEWS[panel.kind],
    }
    if panel.kind == "table":
        hidden = {"excludeByName": dict.fromkeys(_HIDDEN_COLUMNS, True)}
        shown["transformations"] = [{"id": "organize", "options": hidden}]
    return shown


def _target(panel: Panel, place: int, query: Query) -> Json:
    latest = panel.kind != "timeseries"
    return {
        "refId": chr(ord("A") + place),
        "datasource": _SOURCE,
        "expr": query.expr,
        "legendFormat": query.legend,
        "instant": latest,
        "range": not latest,
        "format": "table" if panel.kind == "table" else "time_series",
    }


def _field(panel: Panel) -> Json:
    steps = [{"value": value, "color": colour} for value, colour in panel.colours]
    shown: Json = {"unit": panel.unit, "thresholds": {"mode": "absolute", "steps": steps}}
    if panel.kind == "timeseries":
        return {
            **shown,
            "min": 0,
            "color": {"mode": "palette-classic"},
            "custom": {"lineWidth": 1, "fillOpacity": 8, "showPoints": "never"},
        }
    return {**shown, "color": {"mode": "thresholds"}}


def dashboard() -> Json:
    """The whole dashboard, as Grafana reads it."""
    names = 'label_values(rt_predictor_workers_up{job="rt-predictor"}, instance)'
    model = series("model_info")
    return {
        "uid": "rt-predictor",
        "title": "RT Predictor",
        "tags": ["rt-predictor"],
        "schemaVersion": 39,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": "now-3h", "to": "now"},
        "templating": {
            "list": [
                {
                    "name": "datasource",
                    "label": "Data source",
                    "type": "datasource",
                    "query": "prometheus",
                },
                {
                    "name": "instance",
                    "label": "Instance",
                    "type": "query",
                    "datasource": _SOURCE,
                    "query": {"query": names, "refId": "instance"},
                    "definition": names,
                    "refresh": 2,
                    "sort": 1,
                    "includeAll": True,
                    "allValue": ".*",
                    "multi": True,
                    "current": {"text": "All", "value": "$__all"},
                },
            ]
        },
        "annotations": {
            "list": [
                {
                    "name": "New model",
                    "datasource": _SOURCE,
                    "enable": True,
                    "iconColor": "orange",
                    "expr": f"{model} unless {model} offset 1m",
                    "titleFormat": "Model {{version}}",
                    "step": "60s",
                }
            ]
        },
        "panels": list(panels()),
    }


def main() -> int:
    """Writes or checks; 0 if all is in step."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing, fail if out of step")
    check: bool = parser.parse_args().check
    text = json.dumps(dashboard(), indent=1) + "\n"
    if not check:
        FILE.write_text(text)
    elif not FILE.exists() or FILE.read_text() != text:
        print(f"{FILE.name} is out of step: run `make dashboard`", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
