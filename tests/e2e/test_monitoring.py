"""Rules and dashboard, against a real Prometheus that reads a real service under load."""

import asyncio
import itertools
import json
import math
import re
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from rt_predictor.client import Access, Client, Job, Outcome
from rt_predictor.errors import InvalidRequestError
from rt_predictor.model.bundle import write_bundle
from rt_predictor.security.tokens import hash_of, new_token
from tests.model.plain_bundle import plain_bundle
from tests.ports import free_port
from tests.security.files import Place
from tests.waiting import PATIENCE_S

from .conftest import PROJECT, Service, running
from .prometheus import RULES, Prometheus, found, scraping, until

DEPLOY = PROJECT / "deploy"
DASHBOARD = DEPLOY / "grafana" / "dashboards" / "rt_predictor.json"
JOB = Job(
    processors_req=32, nodes_req=4, mem_req=128_000, time_req=3600, partition="normal",
    qos="normal", user="alice",
)  # fmt: skip
NOW_S = time.time() - 3600
"""Live figures are of jobs that ended after training."""
ROUNDS = 4
OF_A_BUSY_MACHINE = ("RTPredictorSlow",)
"""What may be about to fire where much else runs beside the service."""


@dataclass(frozen=True)
class Watched:
    """A service that has had calls of all kinds, and the Prometheus that has seen them."""

    prometheus: Prometheus
    metrics_url: str


async def _calls(client: Client, number: int) -> None:
    """One call of every kind, and some that are refused."""
    jobs = [replace(JOB, time_req=60.0 * n) for n in range(1, 30)]
    await client.predict(JOB)
    assert len([answer async for answer in client.predict_many(jobs)]) == len(jobs)
    assert len([answer async for answer in client.stream(jobs)]) == len(jobs)
    with pytest.raises(InvalidRequestError):
        await client.predict(replace(JOB, nodes_req=0))
    job = replace(JOB, submit_time=NOW_S + number)
    await client.record([Outcome(job, str(number), end_time=NOW_S + 60 + number, runtime=60.0)])
    await client.model_info()
    await client.health()


def _load(service: Service, prometheus: Prometheus, access: Access) -> None:
    """Rounds of calls, each one seen by Prometheus before the next."""

    async def ask(number: int) -> None:
        async with Client(service.target, timeout_s=PATIENCE_S, access=access) as client:
            await _calls(client, number)

    recorded = 'sum(rt_predictor_outcomes_total{result="recorded"})'
    for number in range(1, ROUNDS + 1):
        asyncio.run(ask(number))
        until(lambda number=number: prometheus.value(recorded) == number)


def _secured(folder: Path) -> tuple[dict[str, str], Access]:
    """Settings of a service with everything that has series of its own, and a client's access."""
    place, token = Place(folder), new_token()
    files = place.issue()
    (folder / "token").write_text(token)
    expires = (datetime.now(UTC) + timedelta(days=60)).date().isoformat()
    entry = {"name": "load", "hash": hash_of(token), "expires": expires}
    entry["roles"] = ["predict", "record"]
    settings = {
        "RT_PREDICTOR_MODEL__SHADOW_SHARE": "1",
        "RT_PREDICTOR_SECURITY__CERTIFICATE": str(files.certificate),
        "RT_PREDICTOR_SECURITY__KEY": str(files.key),
        "RT_PREDICTOR_SECURITY__TOKENS": json.dumps([entry]),
    }
    return settings, Access(ca=place.ca_file, token_file=folder / "token")


@pytest.fixture(scope="module")
def of_a_site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle tuned just now: a base model has no age, and no figures of a site."""
    folder = tmp_path_factory.mktemp("tuned") / "plain"
    tuned = plain_bundle(learned=np.arange(1, dtype=np.uint64))
    info = tuned.info.model_copy(update={"trained_at": time.time()})
    write_bundle(folder, replace(tuned, info=info), {})
    return folder


@pytest.fixture(scope="module")
def watched(of_a_site: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    found("prometheus")
    beside = ("--workers", "2", "--shadow", of_a_site)
    folder = tmp_path_factory.mktemp("prometheus")
    settings, access = _secured(folder)
    with (
        running(of_a_site, *beside, **settings) as service,
        scraping(service.metrics_url, folder, free_port()) as prometheus,
    ):
        _load(service, prometheus, access)
        yield Watched(prometheus, service.metrics_url)


def _queries() -> list[tuple[str, str]]:
    """Every query of the dashboard, with the title of its panel."""
    dashboard = json.loads(DASHBOARD.read_text())
    return [
        (panel["title"], target["expr"])
        for panel in dashboard["panels"]
        for target in panel.get("targets", ())
    ]


@pytest.mark.parametrize(("title", "query"), _queries())
def test_a_panel_has_data(watched: Watched, title: str, query: str) -> None:
    # Long, so that a slow test still sees the calls at its beginning.
    query = query.replace("$__rate_interval", "10m").replace("$instance", ".*")
    assert "$" not in query
    until(partial(_has_data, watched.prometheus, query))


def _has_data(prometheus: Prometheus, query: str) -> bool:
    values = [float(sample["value"][1]) for sample in prometheus.ask(query)]  # type: ignore[index]
    return not all(math.isnan(value) for value in values)


def test_the_dashboard_has_panels_in_every_row_and_none_twice() -> None:
    panels = json.loads(DASHBOARD.read_text())["panels"]
    kinds = [panel["type"] for panel in panels]
    assert kinds[-1] != "row"
    assert ("row", "row") not in set(itertools.pairwise(kinds))
    assert len({panel["id"] for panel in panels}) == len(panels)
    covered = {
        (panel["gridPos"]["x"] + x, panel["gridPos"]["y"] + y)
        for panel in panels
        for x in range(panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["h"])
    }
    assert len(covered) == sum(p["gridPos"]["w"] * p["gridPos"]["h"] for p in panels)
    assert max(x for x, _ in covered) < 24


def test_every_rule_is_evaluated_and_no_alert_fires_on_a_sound_service(watched: Watched) -> None:
    until(lambda: all(rule["health"] == "ok" for rule in watched.prometheus.rules()))
    alerts = [rule for rule in watched.prometheus.rules() if rule["type"] == "alerting"]
    assert len(alerts) > 10
    assert [rule["name"] for rule in alerts if rule["state"] == "firing"] == []
    # One look at the page may have taken too long: that is over with the next one.
    until(lambda: not _about_to_fire(watched.prometheus))


def _about_to_fire(prometheus: Prometheus) -> list[object]:
    return [
        rule["name"]
        for rule in prometheus.rules()
        if rule.get("state", "inactive") != "inactive" and rule["name"] not in OF_A_BUSY_MACHINE
    ]


def test_every_metric_that_rules_and_dashboard_name_is_on_the_page(watched: Watched) -> None:
    with urllib.request.urlopen(watched.metrics_url, timeout=PATIENCE_S) as page:
        text = page.read().decode()
    shown = {line.split("{")[0].split(" ")[0] for line in text.splitlines() if line[0] != "#"}
    rules = "".join(file.read_text() for file in RULES.glob("*.yml"))
    queries = " ".join(query for _, query in _queries())
    asked = set(re.findall(r"\brt_predictor_\w+", rules + queries))
    assert len(asked) > 20
    assert asked - shown == set()
    recorded = set(re.findall(r"record: (\S+)", rules))
    assert set(re.findall(r"\brt_predictor:[\w:]+", rules + queries)) == recorded


def test_the_rules_do_what_their_tests_say() -> None:
    tests = sorted((DEPLOY / "prometheus" / "tests").glob("*.yml"))
    assert tests
    _promtool("test", "rules", *tests)


def test_every_alert_is_tested_and_says_what_to_do() -> None:
    alerts = (RULES / "alerts.yml").read_text()
    tests = (DEPLOY / "prometheus" / "tests" / "alerts_test.yml").read_text()
    names = re.findall(r"- alert: (\w+)", alerts)
    assert set(names) == set(re.findall(r'alertname="(\w+)"', tests))
    for part in ("severity", "summary", "description"):
        assert len(re.findall(rf"\b{part}:", alerts)) >= len(names)
    page = (PROJECT / "docs/metrics.md").read_text()
    assert [name for name in names if f"`{name}`" not in page] == []


def test_prometheus_takes_the_configuration() -> None:
    _promtool("check", "config", DEPLOY / "prometheus" / "prometheus.yml")


def _promtool(*arguments: object) -> None:
    command = [found("promtool"), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
