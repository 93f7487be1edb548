"""The held-out span of a log, answered by the graph as a service would have answered it.

Every outcome becomes known when its job ends: it enters the history that features come from, and
the recent losses of the experts. Jobs that ended while the model was trained do not count among the
losses, since the model has seen them; the service leaves them out too.
"""

from collections.abc import Mapping

import numpy as np
import polars as pl
from numpy.typing import NDArray

from rt_predictor.history.key_ids import USER_KEY, key_ids
from rt_predictor.history.offsets import OffsetState, Scored, replay_offsets
from rt_predictor.history.replay import user_runs
from rt_predictor.history.siblings import outcome_weights, replayed_siblings
from rt_predictor.jobs.schema import numbers
from rt_predictor.model.bounds import LEVELS, MISS_SHARES, TAILS, history_group
from rt_predictor.model.learned import start_offsets
from rt_predictor.model.said import Said, said_of
from rt_predictor.training.combine import EXPERTS
from rt_predictor.training.ensemble import Ensemble, nothing_known, replayed_sums
from rt_predictor.training.exported import ExportedGraph
from rt_predictor.training.metrics import Array
from rt_predictor.training.prepare import PreparedLog, answers
from rt_predictor.training.replayed import Replayed


def replay_held_out(
    log: PreparedLog,
    exported: ExportedGraph,
    importance: Mapping[str, float],
    request_only_s: Array | None,
) -> Replayed:
    """Answers every job of the test span, in the order of submission.

    Args:
        log: the whole log.
        exported: the graph of what was learned from its training span.
        importance: of each feature, for the record.
        request_only_s: [n] what `answer_without_history` says of the same jobs.
    """
    split, calibration, session = log.split, exported.models.calibration, exported.session
    later = log.jobs.filter(pl.col("end_time") > split.mark_s)
    tested = (later["submit_time"] >= split.mark_s).to_numpy()
    encoded = exported.ensemble.encoder.encode(log, later)
    unknown = nothing_known(len(later)), np.zeros((len(later), TAILS), dtype=np.float32)
    raw = answers(session, encoded.inputs, *unknown)
    sums = replayed_sums(later, raw.experts.astype(np.float64))
    raw = answers(session, encoded.inputs, sums, unknown[1])
    said_then = said_of(raw, encoded.inputs, calibration, enforced=False)
    offsets = _replayed_offsets(log, later, said_then, start_offsets(calibration))
    lower, upper = said_then.rows(tested).ends_s(offsets[tested])
    said = raw.jobs(tested).astype(np.float64)
    test, predicted = later.filter(pl.Series(tested)), said.prediction
    # Both kinds of intervals end where jobs do: else the comparison would flatter ours.
    longest = np.maximum(numbers(test, "time_req") * calibration.limit_overrun, predicted)
    widths = np.array(exported.models.constant_widths)
    base_rate = calibration.timeout_base_rate
    return Replayed(
        jobs=test,
        jobs_train=len(split.training()),
        predicted_s=predicted,
        members=dict(zip(EXPERTS, said.experts.T, strict=True)),
        levels=LEVELS,
        lower_s=lower.astype(np.float64),
        upper_s=upper.astype(np.float64),
        constant_lower_s=predicted[:, None] / widths,
        constant_upper_s=np.fmin(predicted[:, None] * widths, longest[:, None]),
        timeout_probability=said.timeout,
        timeout_base_rate=float("nan") if base_rate is None else base_rate,
        request_only_s=request_only_s,
        user_runs=user_runs(log.known(test)).astype(np.float64),
        importance=importance,
    )


def _replayed_offsets(
    log: PreparedLog, jobs: pl.DataFrame, said: Said, start: OffsetState
) -> NDArray[np.float32]:
    """[n, TAILS] what intervals were offset by at each submit, if these jobs are all there are."""
    groups = history_group(user_runs(log.known(jobs)))
    submit_s, end_s = (jobs[name].to_numpy() for name in ("submit_time", "end_time"))
    siblings = replayed_siblings(key_ids(jobs)[:, USER_KEY], submit_s, end_s)
    scored = Scored(
        groups,
        submit_s,
        end_s,
        said.scores(jobs["runtime"].to_numpy()),
        outcome_weights(siblings, groups),
    )
    return replay_offsets(scored, start, MISS_SHARES)[0]


def answer_without_history(log: PreparedLog, ensemble: Ensemble) -> Array:
    """What an ensemble of `PreparedLog.without_history` says of the test span: [n] s."""
    encoded = ensemble.encoder.encode(log, log.split.test)
    experts = ensemble.experts_s(encoded)
    return ensemble.combination.answer_s(experts, nothing_known(len(experts)))
