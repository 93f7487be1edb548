"""`rt-predictor info`."""

import json
from dataclasses import replace
from pathlib import Path

from tests.cli.conftest import DESCRIPTION, FakePredictor

FACTS = [
    "model          m1",
    "kind           fine-tuned, from the base base-7",
    "trained        2025-01-01 02:53 UTC",
    "on             12,345 jobs of a.swf, b.swf",
    "submitted      2020-09-13 12:26 UTC to 2023-11-14 22:13 UTC",
    "intervals      90 %",
    "on later jobs  mean error 47 min, accuracy 61 %, within the interval 90 %",
    "proposals      xgboost (100 trees, weighs 40 %), lightgbm (90 trees), "
    "last2 (rule, weighs 10 %)",
    "runs on        CPUExecutionProvider (55 nodes)",
]


def test_people_get_the_facts_and_some_features(run, clients) -> None:
    result = run("info", "--target", "far:1", "--timeout", 3)
    assert result.code == 0
    facts, _, table = result.out.partition("\n\n")
    assert facts.splitlines() == [
        *FACTS, "program        1.2.3", "service        up 2 h, 4,321 jobs predicted"
    ]  # fmt: skip
    rows = [line.split() for line in table.splitlines()]
    assert rows[0][:2] == ["feature", "unit"]
    assert rows[1] == ["feature_0", "s", "reason", "0"]
    assert len(rows) == 1 + 15 + 1
    assert table.splitlines()[-1] == "and 5 more: --all shows them, and who provided the logs"
    assert (clients[0].target, clients[0].timeout_s) == ("far:1", 3.0)


def test_fewer_or_all_features_can_be_shown(run, clients) -> None:
    assert "feature_1 " not in run("info", "--top", 1).out
    every = run("info", "--all").out
    assert "feature_19" in every
    assert "more" not in every
    assert "thanks to      Ann of A\nthanks to      Bob of B\n" in every
    assert "feature" not in run("info", "--top", 0).out


def test_a_bundle_tells_the_same_without_a_service(run, clients, bundle: Path) -> None:
    result = run("info", "--bundle", bundle)
    assert result.code == 0
    assert result.out.splitlines()[: len(FACTS)] == FACTS
    assert "service " not in result.out.partition("\n\n")[0]
    assert clients == []


def test_programs_get_one_document_with_everything(run, clients) -> None:
    for arguments in (("--json",), ("--json", "-")):
        result = run("info", *arguments)
        assert result.err == ""
        document = json.loads(result.out)
        assert document["metrics"]["winkler"] == 7.0
        assert len(document["features"]) == 20
        assert document["models"][0] == {"name": "xgboost", "weight": 0.4, "trees": 100}
        assert document["providers"] == {"CPUExecutionProvider": 55}
        assert document["predictions_served"] == 4321


def test_a_base_says_that_it_knows_no_site(run, bundle, monkeypatch) -> None:
    base = replace(DESCRIPTION, kind="base", training_span_start=0.0, training_span_end=0.0)
    monkeypatch.setattr(FakePredictor, "describe", lambda _: base)
    lines = run("info", "--bundle", bundle, "--top", 0).out.splitlines()
    assert "kind           base: trained on the logs of many sites, knows none" in lines
    assert not [line for line in lines if line.startswith("submitted")]


def test_the_document_has_the_fields_of_the_api(run, clients) -> None:
    from rt_predictor.api.v1 import rt_predictor_pb2 as pb

    document = json.loads(run("info", "--json").out)
    assert set(document) == set(pb.GetModelInfoResponse.DESCRIPTOR.fields_by_name)


def test_only_one_can_answer(run, clients, bundle: Path) -> None:
    assert run("info", "--bundle", bundle, "--target", "far:1").code == 2
