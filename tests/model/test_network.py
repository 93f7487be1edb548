"""Bundles whose graph reads other numbers than this program gives are refused by name."""

from dataclasses import replace
from zoneinfo import ZoneInfo

import pytest

from rt_predictor.errors import BundleError
from rt_predictor.features.matrix import FEATURE_NAMES
from rt_predictor.features.proposals import PROPOSALS
from rt_predictor.model.bundle import Bundle
from rt_predictor.model.documents import FeatureDocument
from rt_predictor.model.network import GRAPH_OUTPUT, Network, check_inputs
from rt_predictor.model.session import CPU, ModelSession
from tests.model.plain_bundle import plain_bundle


def _with_features(bundle: Bundle, names: tuple[str, ...]) -> Bundle:
    features = tuple(FeatureDocument(name=name, unit="flag", why="") for name in names)
    return replace(bundle, features=bundle.features.model_copy(update={"features": features}))


def test_a_bundle_of_this_program_fits() -> None:
    check_inputs(plain_bundle())


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ((*FEATURE_NAMES, "one_more"), "the graph reads one_more as feature"),
        (FEATURE_NAMES[:-1], f"reads nothing as feature {len(FEATURE_NAMES)}, this program gives"),
        ((FEATURE_NAMES[1], FEATURE_NAMES[0], *FEATURE_NAMES[2:]), "as feature 1, this program"),
    ],
)
def test_features_of_other_names_are_refused(names: tuple[str, ...], message: str) -> None:
    bundle = _with_features(plain_bundle(), names)
    session = ModelSession(bundle.graph, GRAPH_OUTPUT, (CPU,))
    with pytest.raises(BundleError, match=message):
        Network(session, bundle, ZoneInfo("UTC"), 128)


def test_rules_of_other_names_are_refused() -> None:
    bundle = plain_bundle()
    graph = bundle.info.graph
    others = (*graph.proposals[1 : len(PROPOSALS)], graph.proposals[0], *graph.proposals[-3:])
    info = bundle.info.model_copy(update={"graph": graph.model_copy(update={"proposals": others})})
    with pytest.raises(BundleError, match=f"reads {others[0]} as rule 1"):
        check_inputs(replace(bundle, info=info))
