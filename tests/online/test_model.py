"""A model learns from outcomes, within the limits of clients, the same in any pieces."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rt_predictor.features.asked import Asked
from rt_predictor.history.asked_tokens import AskedTokens
from rt_predictor.history.columns import COLUMN
from rt_predictor.history.fold import Fold
from rt_predictor.history.job_store import JobStore
from rt_predictor.history.learner import EndedJobs
from rt_predictor.history.token_keys import USER
from rt_predictor.history.value_ids import NULL_ID, value_id
from rt_predictor.jobs.events import ended_events
from rt_predictor.model.bundle import Bundle
from rt_predictor.model.network import GRAPH_OUTPUT, Network, Weighed
from rt_predictor.model.session import ModelSession
from rt_predictor.online.live import CALIBRATION
from rt_predictor.online.model import OnlineModel, OnlineState
from rt_predictor.traces.generate import generate_jobs
from tests.history.fakes import FakeLearned
from tests.model.plain_bundle import plain_bundle

JOBS = 500
RUNTIME = COLUMN["runtime_s"]
BASE = plain_bundle()


def network_of(bundle: Bundle) -> Network:
    session = ModelSession(bundle.graph, GRAPH_OUTPUT)
    return Network(session, bundle, ZoneInfo("UTC"), 128)


def model_of(bundle: Bundle = BASE, **options: object) -> OnlineModel:
    known = {"level": 0.9, "limits_enforced": False, **options}
    return OnlineModel(bundle, network_of(bundle), **known)  # type: ignore[arg-type]


def ended_jobs() -> Iterator[EndedJobs]:
    """Yield the jobs of a log in the order of their end, as models learn from them."""
    log = generate_jobs(JOBS, seed=5).sort("end_time", maintain_order=True)
    found: list[EndedJobs] = []
    Fold(JobStore(10**6, 10**6), FakeLearned(on_learn=found.append)).take(ended_events(log), JOBS)
    return iter(found)


ENDED = tuple(ended_jobs())


def learned(model: OnlineModel, pieces: list[EndedJobs] | None = None) -> OnlineState:
    state = model.nothing()
    for piece in ENDED if pieces is None else pieces:
        state.learn(piece)
    return state


def served_by(state: OnlineState, at_s: float = np.inf) -> bytes:
    """Return the levels that are served for the first jobs at a time."""
    ended = ENDED[0]
    weighed = state.model.network.weigh(Asked.of(ended.jobs, ended.limit_s), ended.tokens)
    served = state.served(
        weighed, ended.limit_s, ended.jobs.keys[:, USER], np.full(len(ended), at_s)
    )
    return served.cumulative.tobytes()


def same(one: OnlineState, other: OnlineState) -> bool:
    left, right = one.arrays(), other.arrays()
    equal = all(np.array_equal(left[name], right[name], equal_nan=True) for name in left)
    return equal and left.keys() == right.keys() and served_by(one) == served_by(other)


@settings(max_examples=8, deadline=None)
@given(st.lists(st.integers(0, 400), max_size=4), st.booleans())
def test_what_is_learned_does_not_depend_on_how_many_come_together(
    cuts: list[int], saved: bool
) -> None:
    model = model_of()
    whole, state = learned(model), model.nothing()
    for ended in ENDED:
        edges = sorted({0, *(cut for cut in cuts if cut < len(ended)), len(ended)})
        for start, stop in pairwise(edges):
            state.learn(ended.part(np.arange(start, stop)))
            if saved:
                state = model.restored(state.facts(), state.arrays())
    assert same(whole, state)
    assert state.figures == whole.figures
    assert state.figures.jobs == sum(map(len, ENDED))


def test_jobs_that_training_has_seen_teach_nothing() -> None:
    idents = np.concatenate([ended.jobs.ident for ended in ENDED])
    seen = idents[::2]
    state = learned(model_of(plain_bundle(learned=seen)))
    unseen = len(idents) - len(seen)
    assert 0.95 * unseen <= state.figures.jobs <= unseen
    assert len(state.recalibration) == state.figures.jobs
    assert learned(model_of(plain_bundle(learned=idents))).figures.jobs == 0


def test_drift_is_a_figure_of_tuned_models_only() -> None:
    other = np.array([1], np.uint64)
    assert CALIBRATION in learned(model_of(plain_bundle(learned=other))).figures.drift
    assert learned(model_of()).figures.drift == {}


def test_jobs_are_judged_by_what_was_served_at_their_submit() -> None:
    model, ended = model_of(), ENDED[0].part(np.arange(200))
    state = learned(model, [ended])
    weighed = model.network.weigh(Asked.of(ended.jobs, ended.limit_s), ended.tokens)
    served = state.served(weighed, ended.limit_s, ended.jobs.keys[:, USER], ended.jobs.submit_s)
    runtime_s = ended.jobs.columns[:, RUNTIME].astype(np.float64)
    figures = state.figures
    weights = 0.5 ** (np.arange(200)[::-1] // 50 * 50 / 2000)  # blocks of 50 fade together
    mae_s = np.average(np.abs(served.median_s() - runtime_s), weights=weights)
    assert figures.mae_s == pytest.approx(mae_s)
    lower_s, upper_s = served.interval_s(0.9)
    held = (lower_s <= runtime_s) & (runtime_s <= upper_s)
    assert figures.coverage[0.9] == pytest.approx(np.average(held, weights=weights))
    assert set(figures.proposals_mae_s) == set(model.network.proposals)


def test_what_is_served_follows_outcomes() -> None:
    model = model_of()
    nothing, state = model.nothing(), learned(model)
    assert served_by(state) != served_by(nothing)
    assert served_by(state, at_s=-1.0) == served_by(nothing), "nothing had ended by then"


@dataclass
class _Fails:
    """A network that fails for jobs of certain submit times."""

    network: Network
    on_s: frozenset[float]

    def weigh(self, asked: Asked, tokens: AskedTokens) -> Weighed:
        if self.on_s.intersection(asked.submit_s.tolist()):
            raise RuntimeError("no")
        return self.network.weigh(asked, tokens)

    def __getattr__(self, name: str) -> object:
        return getattr(self.network, name)


def test_a_job_on_which_the_network_fails_costs_its_neighbours_nothing() -> None:
    submit_s = ENDED[0].jobs.submit_s
    bad = frozenset(submit_s[[3, 100]].tolist())
    model = model_of()
    model.network = _Fails(model.network, bad)  # type: ignore[assignment]
    found = learned(model, [ENDED[0]])
    rest = ENDED[0].part(np.flatnonzero(~np.isin(submit_s, [*bad])))
    expected = learned(model_of(), [rest])
    for name, array in expected.arrays().items():
        np.testing.assert_array_equal(found.arrays()[name], array)


def reported_by(client: str | None, ended: EndedJobs, times: float = 1.0) -> EndedJobs:
    """Return the same ends as reported by a client, of jobs that ran so many times as long."""
    columns = ended.jobs.columns.copy()
    columns[:, RUNTIME] *= times
    clients = np.full(len(ended), NULL_ID if client is None else value_id(client), np.uint64)
    return replace(ended, jobs=replace(ended.jobs, columns=columns), clients=clients)


def moved(model: OnlineModel, client: str | None) -> float:
    """Return how far coverage falls when a client reports that all jobs ran for ever."""
    state = learned(model, [*ENDED, *ENDED, *ENDED])
    before = state.figures.coverage[0.5]
    for ended in ENDED * 3:
        state.learn(reported_by(client, ended, times=1e4))
    return before - state.figures.coverage[0.5]


def test_a_client_that_is_not_trusted_moves_figures_little() -> None:
    model = model_of(trusted=frozenset({"accounting"}))
    assert moved(model, "accounting") > 0.2
    assert moved(model, None) > 0.2, "where clients are not told apart, all count"
    assert moved(model, "someone") < 0.1


def test_where_limits_are_enforced_what_ran_past_one_counts_as_having_reached_it() -> None:
    ended = ENDED[0].part(np.flatnonzero(~np.isnan(ENDED[0].limit_s))[:100])
    columns = ended.jobs.columns.copy()
    columns[:, RUNTIME] = ended.limit_s + 30
    late = replace(ended, jobs=replace(ended.jobs, columns=columns))
    enforced, open_end = (
        learned(model_of(limits_enforced=enforced, level=0.999), [late]).figures
        for enforced in (True, False)
    )
    assert enforced.coverage[0.999] > 0.9
    assert enforced.mae_s < open_end.mae_s


def test_what_is_learned_belongs_to_a_model_and_its_settings() -> None:
    origin = model_of().origin()
    assert origin == model_of().origin()
    others = (
        model_of(plain_bundle("plain-2")),
        model_of(level=0.8),
        model_of(limits_enforced=True),
        model_of(trusted=frozenset({"accounting"})),
    )
    for other in others:
        assert other.origin() != origin
