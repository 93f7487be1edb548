from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rt_predictor.history.experts import SCOPES, losses_of
from rt_predictor.history.replay import LogHistory
from rt_predictor.model.bounds import TAILS
from rt_predictor.model.learned import assembler_from
from rt_predictor.model.ports import GraphInputs
from rt_predictor.training.combine import weighted_median

from rt_predictor.errors import BundleError
from rt_predictor.history.history import History
from rt_predictor.jobs.events import ended_events
from rt_predictor.jobs.rules import NUMBER_RULES, check_job
from rt_predictor.jobs.schema import REQUEST_SCHEMA
from rt_predictor.serving import predictor as module
from rt_predictor.serving.predictions import Flag, Predictions
from rt_predictor.serving.predictor import Predictor
from rt_predictor.settings import HistorySettings, Settings
from rt_predictor.traces.generate import generate_jobs
from tests.waiting import PATIENCE_S, until

COLUMNS = (
    "runtime_s", "lower_s", "upper_s", "timeout_probability", "members_s", "flags",
)  # fmt: skip


@pytest.fixture(scope="module")
def predictor(tiny_bundle: Path) -> Predictor:
    chosen = Settings().with_overrides(
        {"model.path": tiny_bundle, "features.optimization.chunk_size": 64}
    )
    return Predictor.load(chosen)


@pytest.fixture(scope="module")
def jobs() -> pl.DataFrame:
    return generate_jobs(1500, seed=9).select(list(REQUEST_SCHEMA))


def assert_same_rows(found: Predictions, rows: list[int], whole: Predictions) -> None:
    for column in COLUMNS:
        np.testing.assert_array_equal(
            getattr(found, column), getattr(whole, column)[rows], err_msg=column
        )


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_a_job_gets_the_same_answer_alone_and_in_any_batch(
    data: st.DataObject, predictor: Predictor, jobs: pl.DataFrame
) -> None:
    whole = predictor.predict(jobs)
    rows = data.draw(st.lists(st.integers(0, len(jobs) - 1), min_size=1, max_size=200))
    assert_same_rows(predictor.predict(jobs[rows]), rows, whole)
    assert_same_rows(predictor.predict(jobs[rows[0] : rows[0] + 1]), rows[:1], whole)


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_rows_get_the_answers_of_a_frame_bit_for_bit(
    data: st.DataObject, predictor: Predictor, jobs: pl.DataFrame
) -> None:
    whole = predictor.predict(jobs)
    count = data.draw(st.sampled_from([1, 2, 7, 64, 65, 200]))
    places = data.draw(st.lists(st.integers(0, len(jobs) - 1), min_size=1, max_size=count))
    rows = jobs[places].rows(named=True)
    assert_same_rows(predictor.predict(rows), places, whole)


@pytest.mark.parametrize("piece_jobs", [64, 200, 5000])
def test_pieces_of_a_large_batch_give_the_answers_of_the_whole(
    piece_jobs: int, predictor: Predictor, jobs: pl.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = predictor.predict(jobs)
    monkeypatch.setattr(module, "_PIECE_JOBS", piece_jobs)
    found = predictor.predict(jobs)
    assert_same_rows(found, list(range(len(jobs))), whole)
    for ends, expected in zip(found.ends_s, whole.ends_s, strict=True):
        np.testing.assert_array_equal(ends, expected)


def number(rule_index: int) -> st.SearchStrategy[float | None]:
    rule = NUMBER_RULES[rule_index]
    values = st.floats(rule.minimum, rule.maximum)
    return st.none() | (values.map(float.__floor__).map(float) if rule.whole else values)


valid_job = st.fixed_dictionaries(
    {
        **{rule.field: number(place) for place, rule in enumerate(NUMBER_RULES)},
        **{
            name: st.none() | st.text(max_size=256)
            for name in ("partition", "qos", "user", "account", "job_name")
        },
    }
)


@settings(max_examples=150, deadline=None)
@given(drawn=st.lists(valid_job, min_size=1, max_size=8))
def test_every_valid_job_gets_finite_positive_ordered_answers(
    drawn: list[dict[str, object]], predictor: Predictor
) -> None:
    for job in drawn:
        check_job(job, partial=True)  # type: ignore[arg-type]
        job["submit_time"] = job["submit_time"] or 0.0
    found = predictor.predict(pl.DataFrame(drawn, schema=dict(REQUEST_SCHEMA)))  # type: ignore[arg-type]
    for answer in (found.lower_s, found.runtime_s, found.upper_s, found.members_s):
        assert np.isfinite(answer).all()
        assert (answer > 0).all()
    assert (found.lower_s <= found.runtime_s).all()
    assert (found.runtime_s <= found.upper_s).all()
    chance = found.timeout_probability
    limited = np.array([job["time_req"] is not None for job in drawn])
    assert np.isnan(chance[~limited]).all()
    assert ((chance[limited] >= 0) & (chance[limited] <= 1)).all()


def flags_of(predictor: Predictor, jobs: pl.DataFrame, **changes: object) -> Flag:
    changed = jobs[:1].with_columns(
        pl.lit(value, dtype=REQUEST_SCHEMA[name]).alias(name) for name, value in changes.items()
    )
    return Flag(int(predictor.predict(changed).flags[0]))


def test_flags_say_what_makes_an_answer_uncertain(predictor: Predictor, jobs: pl.DataFrame) -> None:
    assert flags_of(predictor, jobs) == Flag.COLD_START_USER
    assert Flag.UNSEEN_PARTITION in flags_of(predictor, jobs, partition="brand-new")
    assert Flag.UNSEEN_QOS in flags_of(predictor, jobs, qos="brand-new")
    assert Flag.NO_TIME_LIMIT in flags_of(predictor, jobs, time_req=None)
    assert Flag.OUT_OF_TRAINING_RANGE in flags_of(predictor, jobs, processors_req=1e7)


def test_a_user_is_known_once_a_job_has_ended(
    jobs: pl.DataFrame, tiny_bundle: Path, tmp_path: Path
) -> None:
    history = History(HistorySettings(path=tmp_path / "history.sqlite"))
    knowing = Predictor.load(Settings().with_overrides({"model.path": tiny_bundle}), history)
    history.start()
    event = generate_jobs(1500, seed=9)[:1]
    history.record(ended_events(event)).result(PATIENCE_S)
    until(lambda: history.state().position == 1)
    (end_s,) = event["end_time"]
    assert Flag.COLD_START_USER not in flags_of(knowing, jobs, submit_time=end_s)
    assert Flag.COLD_START_USER in flags_of(knowing, jobs, submit_time=end_s - 1)
    assert Flag.COLD_START_USER in flags_of(knowing, jobs, submit_time=end_s, user="nobody")
    assert Flag.COLD_START_USER in flags_of(knowing, jobs, submit_time=end_s, user=None)
    history.stop()


def test_an_empty_frame_gives_no_predictions(predictor: Predictor, jobs: pl.DataFrame) -> None:
    found = predictor.predict(jobs[:0])
    assert len(found) == 0
    assert found.members_s.shape == (0, predictor.experts)


def test_the_judge_tells_how_far_off_each_expert_was(
    predictor: Predictor, tiny_log: pl.DataFrame
) -> None:
    features = LogHistory(tiny_log).features(tiny_log)
    verdict = predictor(tiny_log, features)
    losses = verdict.losses
    assert losses.dtype == np.float32
    assert losses.shape == (len(tiny_log), SCOPES, predictor.experts)
    trained_on = tiny_log["end_time"].to_numpy() <= predictor.bundle.info.training_span_end
    assert 0 < trained_on.sum() < len(tiny_log)
    assert np.isnan(losses[trained_on]).all(), "the model has seen these"
    np.testing.assert_array_equal(verdict.usable, ~trained_on)
    inputs = assembler_from(predictor.bundle.features).assemble(tiny_log, features)
    nothing = np.zeros((len(tiny_log), SCOPES, predictor.experts + 1), np.float32)
    offsets = np.zeros((len(tiny_log), TAILS), np.float32)
    said = predictor.score(GraphInputs.of(inputs, nothing, offsets))
    runtime_s = tiny_log["runtime"].to_numpy()
    expected = losses_of(said.experts, runtime_s.astype(np.float32))
    np.testing.assert_array_equal(losses[~trained_on], expected[~trained_on])
    alone = predictor(tiny_log[-1:], features[-1:])
    np.testing.assert_array_equal(alone.losses, losses[-1:])


def test_without_history_experts_vote_by_what_they_were_worth_in_training(
    predictor: Predictor, jobs: pl.DataFrame
) -> None:
    found = predictor.predict(jobs)
    weights = np.array([entry.weight for entry in predictor.bundle.ensemble.models.values()])
    shares = np.tile(weights, (len(jobs), 1))
    least, most = (weighted_median(found.members_s, shares, at) for at in (0.4999, 0.5001))
    assert ((least <= found.runtime_s) & (found.runtime_s <= most)).all()
    assert (least == most).mean() > 0.9


@pytest.mark.parametrize(
    ("file", "change", "complaint"),
    [
        ("features.json", ('"mem_req"', '"memory"'), "for the inputs"),
        ("ensemble_config.json", ('"offsets": 6', '"offsets": 7'), "takes .* 7 offsets, this"),
        ("ensemble_config.json", ('"upper": 3', '"upper": 2'), "gives .* 2 upper, .* expects"),
    ],
)
def test_a_bundle_for_other_inputs_or_outputs_is_refused(
    tiny_bundle: Path, tmp_path: Path, file: str, change: tuple[str, str], complaint: str
) -> None:
    for item in tiny_bundle.iterdir():
        (tmp_path / item.name).write_bytes(item.read_bytes())
    text = (tmp_path / file).read_text()
    assert change[0] in text
    (tmp_path / file).write_text(text.replace(*change, 1))
    chosen = Settings().with_overrides({"model.path": tmp_path, "model.verify_hashes": False})
    with pytest.raises(BundleError, match=complaint):
        Predictor.load(chosen)
