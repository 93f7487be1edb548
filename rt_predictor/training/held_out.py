"""The held-out span of a log, answered by the graph as a service would have answered it.

Every outcome becomes known when its job ends: it enters the history that features come from, and
the recent losses of the experts. Jobs that ended while the model was trained do not count among the
losses, since the model has seen them; the service leaves them out too.
"""

from collections.abc import Mapping

import numpy as np
import polars as pl

from rt_predictor.features.jobs import numbers
from rt_predictor.model.interval import ErrorDistribution
from rt_predictor.model.session import ModelSession
from rt_predictor.training.baselines import user_runs
from rt_predictor.training.combine import EXPERTS
from rt_predictor.training.ensemble import Ensemble, nothing_known, replayed_sums
from rt_predictor.training.metrics import Array, share
from rt_predictor.training.prepare import PreparedLog, run_in_chunks
from rt_predictor.training.replayed import Replayed


def replay_held_out(
    log: PreparedLog,
    ensemble: Ensemble,
    session: ModelSession,
    importance: Mapping[str, float],
    request_only_s: Array | None,
) -> Replayed:
    """Answers every job of the test span, in the order of submission.

    Args:
        log: the whole log.
        ensemble: what was learned from its training span.
        session: the graph made of that.
        importance: of each feature, for the record.
        request_only_s: [n] what `answer_without_history` says of the same jobs.
    """
    split = log.split
    later = log.jobs.filter(pl.col("end_time") > split.mark_s)
    tested = (later["submit_time"] >= split.mark_s).to_numpy()
    encoded = ensemble.encoder.encode(log, later)
    experts = run_in_chunks(session, encoded.inputs, nothing_known(len(later)))[2]
    sums = replayed_sums(later, experts.astype(np.float64))
    point, interval, experts = run_in_chunks(session, encoded.inputs[tested], sums[tested])
    test, learned = later.filter(pl.Series(tested)), split.training()
    calibration, predicted = ensemble.calibration, point.astype(np.float64)
    errors = ErrorDistribution.from_document(calibration)
    limits, learned_limits = numbers(test, "time_req"), numbers(learned, "time_req")
    reached = (learned["runtime"].to_numpy() >= learned_limits)[~np.isnan(learned_limits)]
    # Both kinds of intervals end where jobs do: else the comparison would flatter ours.
    longest = np.maximum(limits * calibration.limit_overrun, predicted)
    return Replayed(
        jobs=test,
        jobs_train=len(learned),
        predicted_s=predicted,
        members={name: experts[:, place].astype(np.float64) for place, name in enumerate(EXPERTS)},
        levels=(calibration.level,),
        lower_s=interval[:, :1].astype(np.float64),
        upper_s=interval[:, 1:].astype(np.float64),
        constant_lower_s=(predicted / ensemble.constant_width)[:, None],
        constant_upper_s=np.fmin(predicted * ensemble.constant_width, longest)[:, None],
        timeout_probability=errors.probability_of_reaching(limits, predicted),
        timeout_base_rate=share(reached),
        request_only_s=request_only_s,
        user_runs=user_runs(log.known(test)),
        importance=importance,
    )


def answer_without_history(log: PreparedLog, ensemble: Ensemble) -> Array:
    """What an ensemble of `PreparedLog.without_history` says of the test span: [n] s."""
    encoded = ensemble.encoder.encode(log, log.split.test)
    experts = ensemble.experts_s(encoded)
    return ensemble.combination.answer_s(experts, nothing_known(len(experts)))
