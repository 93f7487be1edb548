"""Replays a log: every later job is answered from what was known at its submit.

Outcomes teach the recalibration as they come, from the first job of the log on, as in a service
that imported the log before the first answer that is judged. Jobs that the model was trained on are
part of history, but no evidence of how good it is.
"""

from dataclasses import dataclass

import numpy as np
import polars as pl

from rt_predictor.history.columns import job_columns
from rt_predictor.history.log_tokens import log_tokens
from rt_predictor.model.distribution import Distribution, limits_too_short, recommended_limit_s
from rt_predictor.online.recalibration import LearnedLevels
from rt_predictor.settings import Settings
from rt_predictor.training.answering import Answering, AskedJobs
from rt_predictor.training.baselines import user_runs
from rt_predictor.training.calibrate import constant_width, fit_limit_overrun
from rt_predictor.training.evidence import Evidence, Maps, gather_evidence, served_maps
from rt_predictor.training.prepare import Array, PreparedLog
from rt_predictor.training.progress import Report, part_of
from rt_predictor.training.replayed import (
    CONFIDENCES,
    LEVELS,
    LONGER,
    TRIED_CONFIDENCES,
    AskedAgain,
    Replayed,
)
from rt_predictor.training.split import Rows, last_ended

_ASKED_AGAIN = 4000
"""Jobs that are asked again with other limits, at most."""

_WIDTH_SHARE = 0.15
"""Share of the jobs that had ended before the first answer, last to end, that intervals of constant
width are learned from."""

_NAMES = ("user", "account", "job_name")
"""Fields that tie a job to history."""


@dataclass(frozen=True)
class Span:
    """The jobs of a log that are judged, and what came before."""

    tested: Rows
    """[n] by submit"""
    before: Rows
    """Jobs that had ended before the first of them was submitted"""


@dataclass(frozen=True)
class Replay:
    """Result of a replay."""

    replayed: Replayed
    levels: LearnedLevels
    """State of the recalibration after all outcomes of the log."""
    outcomes: int
    """Outcomes that it learned from."""


def replay(
    log: PreparedLog,
    model: Answering,
    start: LearnedLevels | None,
    span: Span,
    settings: Settings,
    *,
    report: Report,
) -> Replay:
    """Answer every job of a span, in the order of submission.

    Args:
        log: the whole log.
        model: what answers.
        start: where its recalibration starts from.
        span: the jobs to answer.
        settings: granularity of recommended limits, whether limits are enforced, and the seed.
        report: called with the share of the work that is done.
    """
    asked = AskedJobs.of(log.columns, log.tokens, log.limit_s)
    rows = log.rows[~model.learned.hold(log.columns.ident[log.rows])]
    evidence = gather_evidence(log, model, rows, part_of(report, 0.0, 0.5))
    maps, levels = served_maps(log, evidence, start, span.tested)
    views = _Views.empty(len(span.tested))
    enforced = settings.prediction.limits_enforced
    granularity_s = settings.prediction.limit_granularity_s
    members: list[dict[str, Array]] = []
    jobs = log.jobs[span.tested]
    if enforced:  # who is stopped some seconds later has run to the limit
        jobs = jobs.with_columns(runtime=pl.min_horizontal("runtime", "time_req"))
    runtime_s = jobs["runtime"].cast(pl.Float64).to_numpy()
    for piece, output in model.ask(asked, span.tested):
        limit_s = log.limit_s[span.tested[piece]]
        raw = Distribution.of(output.support_s, output.weights, limit_s, limits_enforced=enforced)
        distribution = maps[piece].recalibrated(raw)
        views.put(piece, distribution, runtime_s[piece], granularity_s)
        members.append(model.members(output))
        report(0.5 + 0.4 * min(piece.stop / len(span.tested), 1.0))
    widths = _constant_widths(log, span, evidence)
    overrun = fit_limit_overrun(log.runtime_s[span.before], log.limit_s[span.before])
    longest = np.maximum(log.limit_s[span.tested] * overrun, views.predicted_s)
    replayed = Replayed(
        jobs=jobs,
        rows=span.tested,
        kind=model.kind,
        model_version=model.version,
        jobs_train=len(span.before),
        predicted_s=views.predicted_s,
        members={name: np.concatenate([part[name] for part in members]) for name in members[0]},
        levels=LEVELS,
        lower_s=views.lower_s,
        upper_s=views.upper_s,
        constant_lower_s=views.predicted_s[:, None] / widths,
        constant_upper_s=np.fmin(views.predicted_s[:, None] * widths, longest[:, None]),
        crps_s=views.crps_s,
        crps_sqrt_s=views.crps_sqrt_s,
        timeout_probability=views.timeout_probability,
        timeout_base_rate=_timeout_rate(log, span.before),
        recommended_s=views.recommended_s,
        user_runs=user_runs(log.jobs[log.rows], jobs),
        asked_again=_ask_again(log, model, maps, span.tested, views=views, settings=settings),
        request_only_s=_without_history(log, model, span.tested),
    )
    return Replay(replayed, levels, len(rows))


@dataclass(frozen=True)
class _Views:
    """Figures read from the distributions of n jobs; names as in `Replayed`."""

    predicted_s: Array
    lower_s: Array
    upper_s: Array
    crps_s: Array
    crps_sqrt_s: Array
    timeout_probability: Array
    recommended_s: Array

    @classmethod
    def empty(cls, jobs: int) -> "_Views":
        """Return arrays for n jobs, whose values are not set yet."""
        levels, tried = (jobs, len(LEVELS)), (jobs, len(TRIED_CONFIDENCES))
        shapes = (jobs, levels, levels, jobs, jobs, jobs, tried)
        return cls(*(np.empty(shape) for shape in shapes))

    def put(
        self, piece: slice, distribution: Distribution, runtime_s: Array, granularity_s: float
    ) -> None:
        """Set the figures of some jobs."""
        self.predicted_s[piece] = distribution.median_s()
        for column, level in enumerate(LEVELS):
            ends = distribution.interval_s(level)
            self.lower_s[piece, column], self.upper_s[piece, column] = ends
        self.crps_s[piece] = distribution.crps_s(runtime_s)
        self.crps_sqrt_s[piece] = distribution.crps_sqrt_s(runtime_s)
        self.timeout_probability[piece] = distribution.timeout_probability()
        reached_s = distribution.quantiles_s(TRIED_CONFIDENCES)
        recommended_s = recommended_limit_s(reached_s, granularity_s)
        recommended_s[limits_too_short(reached_s, distribution.limit_s[:, None])] = np.nan
        self.recommended_s[piece] = recommended_s


def _constant_widths(log: PreparedLog, span: Span, evidence: Evidence) -> Array:
    """[len(LEVELS)] factors of intervals of constant width, from the last jobs before the span.

    From all where there are none before it.
    """
    rows = evidence.rows
    last = last_ended(log.end_s, rows[np.isin(rows, span.before)], _WIDTH_SHARE)[1]
    chosen = np.isin(rows, last) if len(last) else np.ones(len(rows), dtype=np.bool_)
    predicted_s, runtime_s = evidence.median_s[chosen], log.runtime_s[rows[chosen]]
    return np.array([constant_width(predicted_s, runtime_s, level) for level in LEVELS])


def _timeout_rate(log: PreparedLog, before: Rows) -> float:
    limited = before[~np.isnan(log.limit_s[before])]
    if not len(limited):
        return float("nan")
    return float(np.mean(log.runtime_s[limited] >= log.limit_s[limited]))


def _without_history(log: PreparedLog, model: Answering, tested: Rows) -> Array:
    """Return medians [n] of the jobs without user, account, name and without any history."""
    nobody = log.jobs[tested].with_columns(pl.lit(None, pl.String).alias(n) for n in _NAMES)
    columns = job_columns(nobody)
    nothing = job_columns(nobody[:0])
    asked = AskedJobs.of(columns, log_tokens(nothing, columns), log.limit_s[tested])
    median_s = np.empty(len(tested))
    for piece, output in model.ask(asked, np.arange(len(tested))):
        limit_s = asked.asked.limit_s[piece]
        median_s[piece] = Distribution.of(output.support_s, output.weights, limit_s).median_s()
    return median_s


def _ask_again(
    log: PreparedLog,
    model: Answering,
    maps: Maps,
    tested: Rows,
    *,
    views: _Views,
    settings: Settings,
) -> AskedAgain:
    """Ask some of the jobs again: with longer limits, and with those that were recommended."""
    limited = np.flatnonzero(~np.isnan(log.limit_s[tested]))
    rng = np.random.default_rng(settings.training.seed)
    again = np.sort(rng.choice(limited, min(len(limited), _ASKED_AGAIN), replace=False))
    limit_s = log.limit_s[tested[again]]
    recommended = [
        views.recommended_s[again, TRIED_CONFIDENCES.index(confidence)]
        for confidence in CONFIDENCES
    ]
    limits_s = [limit_s * LONGER, limit_s * LONGER**2, *recommended]
    jobs = log.jobs[np.tile(tested[again], len(limits_s))]
    columns = job_columns(jobs.with_columns(time_req=pl.Series(np.concatenate(limits_s))))
    asked = AskedJobs.of(columns, log_tokens(log.columns, columns), np.concatenate(limits_s))
    same = maps[np.tile(again, len(limits_s))]
    predicted, chance = np.empty((2, len(jobs)))
    for piece, output in model.ask(asked, np.arange(len(jobs))):
        raw = Distribution.of(
            output.support_s,
            output.weights,
            asked.asked.limit_s[piece],
            limits_enforced=settings.prediction.limits_enforced,
        )
        distribution = same[piece].recalibrated(raw)
        predicted[piece], chance[piece] = (
            distribution.median_s(),
            distribution.timeout_probability(),
        )
    by_limit = np.split(predicted, len(limits_s)), np.split(chance, len(limits_s))
    return AskedAgain(
        np.column_stack([views.predicted_s[again], *by_limit[0][:2]]),
        np.column_stack(by_limit[1][2:]),
    )


def span_after(log: PreparedLog, rows: Rows, mark_s: float, until_s: float = np.inf) -> Span:
    """Return the span of those jobs that were submitted from a time on, before another."""
    submit_s = log.submit_s[rows]
    tested = rows[(submit_s >= mark_s) & (submit_s < until_s)]
    return Span(tested, log.rows[log.end_s[log.rows] <= mark_s])
