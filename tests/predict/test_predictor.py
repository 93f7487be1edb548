"""One job has one answer, whatever it is asked together with; and what flags it."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rt_predictor.errors import BundleError
from rt_predictor.jobs.asked import NOTHING_ASKED, frame_of
from rt_predictor.jobs.schema import REQUEST_SCHEMA
from rt_predictor.model.answer_flags import Flag
from rt_predictor.predict import predictor as module
from rt_predictor.predict.asked_jobs import AskedJobs
from rt_predictor.predict.predictions import Predictions
from rt_predictor.predict.predictor import Predictor
from rt_predictor.settings import Settings
from tests.predict.plain import a_log, assert_same_rows, events_of, fold_of, knowing, questions

LOG = a_log(1500)
JOBS = questions(1500, LOG, seed=1)
EVERY = list(range(len(JOBS)))


@pytest.fixture(scope="module")
def predictor(plain_bundle: Path) -> Predictor:
    return knowing(plain_bundle, events_of(LOG))


@pytest.fixture(scope="module")
def whole(predictor: Predictor) -> Predictions:
    return predictor.predict(JOBS)


@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_a_job_gets_the_same_answer_alone_and_in_any_batch(
    data: st.DataObject, predictor: Predictor, whole: Predictions
) -> None:
    rows = data.draw(st.lists(st.sampled_from(EVERY), min_size=1, max_size=200))
    assert_same_rows(predictor.predict(JOBS[rows]), rows, whole)
    assert_same_rows(predictor.predict(JOBS[rows[0] : rows[0] + 1]), rows[:1], whole)


@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_rows_get_the_answers_of_a_frame_bit_for_bit(
    data: st.DataObject, predictor: Predictor, whole: Predictions
) -> None:
    count = data.draw(st.sampled_from([1, 2, 7, 64, 65, 200]))
    places = data.draw(st.lists(st.sampled_from(EVERY), min_size=1, max_size=count))
    assert_same_rows(predictor.predict(JOBS[places].rows(named=True)), places, whole)


def test_each_job_alone_as_a_row_has_the_answer_of_the_batch(
    predictor: Predictor, whole: Predictions
) -> None:
    for place, row in enumerate(JOBS[:300].rows(named=True)):
        assert_same_rows(predictor.predict([row]), [place], whole)


def test_the_order_of_a_batch_does_not_matter(predictor: Predictor, whole: Predictions) -> None:
    order = np.random.default_rng(0).permutation(len(JOBS)).tolist()
    assert_same_rows(predictor.predict(JOBS[order]), order, whole)


@pytest.mark.parametrize(("piece_jobs", "chunk_rows"), [(64, 64), (200, 1000), (5000, 65)])
def test_pieces_of_a_large_batch_give_the_answers_of_the_whole(
    piece_jobs: int, chunk_rows: int, predictor: Predictor, whole: Predictions,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(module, "_PIECE_JOBS", piece_jobs)
    monkeypatch.setattr(predictor.network, "_chunk_rows", chunk_rows)
    assert_same_rows(predictor.predict(JOBS), EVERY, whole)


def test_threads_give_the_answers_of_one(plain_bundle: Path, whole: Predictions) -> None:
    threaded = knowing(plain_bundle, events_of(LOG), threads=3)
    assert_same_rows(threaded.predict(JOBS), EVERY, whole)


def test_a_running_job_is_not_told_what_it_is_told_itself(plain_bundle: Path) -> None:
    """Its own start is no knowledge of another job that runs, and its wait of none that waits."""
    user = LOG["user"].value_counts(sort=True)["user"][0]
    alone = pl.col("submit_time").is_unique()
    mine = LOG.filter(pl.col("user") == user).filter(alone).row(-1, named=True)
    at_s = mine["start_time"] + 60
    events = events_of(LOG).filter(pl.col("event_time") <= at_s)
    itself = pl.col("job_id") == mine["job_id"]
    assert events.filter(itself)["kind"].to_list() == ["submitted", "started"]
    job = {name: mine[name] for name in REQUEST_SCHEMA} | NOTHING_ASKED | {"as_of": at_s}
    for asked in ({**job, "elapsed": 60.0}, job):
        with_it, without = (knowing(plain_bundle, some) for some in (events, events.remove(itself)))
        whole = without.predict([asked])
        assert_same_rows(with_it.predict([asked]), [0], whole)
        assert_same_rows(with_it.predict(frame_of([asked, asked])), [0, 0], whole)
        rows = AskedJobs.of([asked]).tokens(fold_of(with_it).store).in_flight
        np.testing.assert_array_equal(
            rows, AskedJobs.of([asked]).tokens(fold_of(without).store).in_flight
        )


def test_levels_that_are_asked_for_are_those_of_the_answer(predictor: Predictor) -> None:
    job = JOBS.drop("elapsed", "as_of", "confidence_level").row(0, named=True)
    asked = [
        {**job, "confidence_level": None, "quantiles": None},
        {**job, "confidence_level": 0.5, "quantiles": (0.1, 0.25, 0.75)},
        {**job, "confidence_level": 0.8, "quantiles": (0.9,)},
    ]
    found = predictor.predict(asked)
    assert found.levels.tolist() == [0.9, 0.5, 0.8]
    assert found.confidences.tolist() == [0.9, 0.5, 0.8]
    assert np.isnan(found.quantiles_s[0]).all()
    assert found.quantiles_s[1, 1:].tolist() == [found.lower_s[1], found.upper_s[1]]
    assert found.quantiles_s[2, 0] == found.upper_s[2]
    for place, row in enumerate(asked):
        alone = predictor.predict([row])
        assert alone.upper_s[0] == found.upper_s[place]


def test_an_empty_frame_gives_no_predictions(predictor: Predictor) -> None:
    for nothing in (JOBS[:0], []):
        found = predictor.predict(nothing)
        assert len(found) == 0
        assert found.members_s.shape == (0, len(predictor.member_names))


def test_what_models_and_rules_say_is_told_by_name(
    predictor: Predictor, whole: Predictions
) -> None:
    said_s = dict(zip(predictor.member_names, whole.members_s.T, strict=True))
    assert {"last2", "backoff_median5"} <= said_s.keys()
    for one_s in said_s.values():
        assert (one_s[~np.isnan(one_s)] > 0).all()
    assert np.isfinite(said_s["last2"]).any()


# flags


def flags_of(predictor: Predictor, **changes: object) -> Flag:
    known = LOG.tail(1).select(list(REQUEST_SCHEMA))
    changed = known.with_columns(submit_time=pl.lit(LOG["end_time"].max())).with_columns(
        pl.lit(value, dtype=REQUEST_SCHEMA[name]).alias(name) for name, value in changes.items()
    )
    # The plain bundle has learned nothing: of many a limit it says that it is not enough.
    return Flag(int(predictor.predict(changed).flags[0])) & ~Flag.TIME_LIMIT_TOO_SHORT


def test_flags_say_what_makes_an_answer_uncertain(predictor: Predictor) -> None:
    assert flags_of(predictor) == Flag(0)
    assert flags_of(predictor, user="nobody") == Flag.COLD_START_USER
    assert flags_of(predictor, user=None) == Flag.COLD_START_USER
    assert flags_of(predictor, partition="brand-new") == Flag.UNSEEN_PARTITION
    assert flags_of(predictor, qos="brand-new") == Flag.UNSEEN_QOS
    assert flags_of(predictor, time_req=None) == Flag.NO_TIME_LIMIT
    assert flags_of(predictor, processors_req=1e7) == Flag.OUT_OF_TRAINING_RANGE


def test_a_user_is_known_once_a_job_has_ended(plain_bundle: Path) -> None:
    one = LOG[:1]
    (end_s,) = one["end_time"]
    predictor = knowing(plain_bundle, events_of(one))
    mine = {"user": one["user"][0]}
    assert Flag.COLD_START_USER not in flags_of(predictor, **mine, submit_time=end_s)
    assert Flag.COLD_START_USER in flags_of(predictor, **mine, submit_time=end_s - 1)


def test_flags_of_a_past_time_are_those_of_a_history_that_ended_then(plain_bundle: Path) -> None:
    at_s = float(LOG["submit_time"].quantile(0.5))
    late = pl.when(pl.col("submit_time") >= at_s).then(pl.lit("late"))
    log = LOG.with_columns(
        late.otherwise(pl.lit("early")).alias(name) for name in ("partition", "qos")
    )
    events = events_of(log)
    then = knowing(plain_bundle, events.filter(pl.col("event_time") <= at_s))
    now = knowing(plain_bundle, events)
    for partition, qos in (("late", "early"), ("early", "late"), ("never", None)):
        asked = {"partition": partition, "qos": qos, "submit_time": at_s}
        assert flags_of(now, **asked) == flags_of(then, **asked)
        assert Flag.UNSEEN_PARTITION in flags_of(now, **asked) or partition == "early"
    assert Flag.UNSEEN_PARTITION not in flags_of(now, partition="late", qos="late")


def test_no_limit_is_recommended_where_the_job_s_own_is_not_enough(plain_bundle: Path) -> None:
    predictor = knowing(plain_bundle, events_of(LOG))
    found = predictor.predict(JOBS)
    likely = found.timeout_probability > 1 - found.confidences  # false without a limit
    assert 0 < likely.sum() < len(likely)
    np.testing.assert_array_equal(np.isnan(found.recommended_time_req_s), likely)
    np.testing.assert_array_equal(found.flags & Flag.TIME_LIMIT_TOO_SHORT > 0, likely)


def test_a_limit_that_the_partition_does_not_allow_is_not_recommended(plain_bundle: Path) -> None:
    limits = dict.fromkeys(LOG["partition"].unique(), 60.0)
    predictor = knowing(plain_bundle, events_of(LOG), partition_limits=limits)
    found = predictor.predict(JOBS.filter(pl.col("partition").is_not_null()))
    assert np.isnan(found.recommended_time_req_s).all()
    assert (found.flags & Flag.PARTITION_LIMIT_TOO_SHORT > 0).all()
    free = predictor.predict(JOBS.filter(pl.col("partition").is_null()))
    enough = free.flags & Flag.TIME_LIMIT_TOO_SHORT == 0
    assert np.isfinite(free.recommended_time_req_s[enough]).all()
    assert (free.flags & Flag.PARTITION_LIMIT_TOO_SHORT == 0).all()


# bundles


def _with_other_sizes(model: dict[str, dict[str, object]]) -> None:
    model["graph"]["inputs"] = 7


def _with_another_zone(model: dict[str, object]) -> None:
    model["timezone"] = "Europe/Paris"


def changed(bundle: Path, folder: Path, change: Callable[[dict[str, object]], None]) -> Settings:
    """Return settings for a copy of a bundle whose `model.json` is changed."""
    for item in bundle.iterdir():
        (folder / item.name).write_bytes(item.read_bytes())
    model = json.loads((folder / "model.json").read_text())
    change(model)
    (folder / "model.json").write_text(json.dumps(model))
    return Settings().with_overrides({"model.path": folder, "model.verify_hashes": False})


def test_a_bundle_for_other_inputs_is_refused(plain_bundle: Path, tmp_path: Path) -> None:
    chosen = changed(plain_bundle, tmp_path, _with_other_sizes)  # type: ignore[arg-type]
    with pytest.raises(BundleError, match=r"reads 7 numbers of a job .* make a new bundle"):
        Predictor.load(chosen)


def test_the_zone_of_the_calendar_is_that_of_the_settings_or_else_of_the_bundle(
    plain_bundle: Path, tmp_path: Path
) -> None:
    chosen = changed(plain_bundle, tmp_path, _with_another_zone)
    assert str(Predictor.load(chosen).network._zone) == "Europe/Paris"
    chosen = chosen.with_overrides({"features.timezone": "Asia/Tokyo"})
    assert str(Predictor.load(chosen).network._zone) == "Asia/Tokyo"
