"""Judgement of a bundle, or of models trained anew, on the last part of a log."""

import numpy as np

from rt_predictor.errors import TrainingError
from rt_predictor.model.bundle import Bundle
from rt_predictor.online.recalibration import LearnedLevels
from rt_predictor.settings import Settings
from rt_predictor.training.answering import Answering
from rt_predictor.training.prepare import PreparedLog
from rt_predictor.training.progress import Plan, Progress
from rt_predictor.training.replay import Span, replay, span_after
from rt_predictor.training.replayed import Replayed, concatenate
from rt_predictor.training.site import Start, tune
from rt_predictor.training.split import MIN_PART_JOBS, Rows, split_by_time

_DAY_S = 86400.0
_VERSION = "not kept"


def judge_bundle(
    log: PreparedLog, bundle: Bundle, settings: Settings, progress: Progress
) -> Replayed:
    """Answer the test span of a log with a bundle as it is.

    What the log held before is its history, and teaches its recalibration. Jobs that the bundle
    has learned from are not scored.

    Raises TrainingError where too few jobs are left.
    """
    plan = Plan({"judging": 1.0}, progress)
    split = split_by_time(log.submit_s, log.end_s, log.rows, settings.training.test_share)
    model = Answering.of(bundle)
    tested = split.test[~model.learned.hold(log.columns.ident[split.test])]
    if len(tested) < MIN_PART_JOBS:
        raise TrainingError(
            f"the bundle has learned from all but {len(tested)} of the {len(split.test):,} jobs "
            "that it would be judged by: give a log of other jobs"
        )
    span = Span(tested, split.training)
    start = LearnedLevels.of(bundle.recalibration)
    report = plan.step("judging")
    return replay(log, model, start, span, settings, report=report).replayed


def judge_training(
    log: PreparedLog,
    start: Start,
    settings: Settings,
    renew_every_days: float | None,
    progress: Progress,
) -> Replayed:
    """Train on what had ended before the test span of a log, and answer that span.

    Args:
        log: the whole log.
        start: where training starts from.
        settings: everything under `[training]` and `[prediction]`.
        renew_every_days: days of the log after which a model is trained anew from the same start,
            on all that had ended by then; None for one model.
        progress: called with the step at hand and the share of the whole that is done.

    Raises TrainingError where the jobs do not suffice.
    """
    split = split_by_time(log.submit_s, log.end_s, log.rows, settings.training.test_share)
    marks = _marks(log, split.test, split.mark_s, renew_every_days)
    steps = [(f"tuning{_of(n, marks)}", f"judging{_of(n, marks)}") for n in range(len(marks))]
    plan = Plan({step: 1.0 for pair in steps for step in pair}, progress)
    spans = []
    for number, (mark_s, (tuning, judging)) in enumerate(zip(marks, steps, strict=True)):
        until_s = marks[number + 1] if number + 1 < len(marks) else np.inf
        rows = log.ended_before(mark_s, settings.training.max_jobs)
        tuned = tune(log, rows, start, settings, plan.step(tuning))
        model = tuned.answering(log, _VERSION)
        first = None if start.base is None else LearnedLevels.of(start.base.recalibration)
        span = span_after(log, split.test, mark_s, until_s)
        report = plan.step(judging)
        spans.append(replay(log, model, first, span, settings, report=report).replayed)
    plan.finish()
    return concatenate(spans, renew_every_days)


def _of(number: int, marks: list[float]) -> str:
    return f" {number + 1} of {len(marks)}" if len(marks) > 1 else ""


def _marks(log: PreparedLog, test: Rows, mark_s: float, every_days: float | None) -> list[float]:
    """Return when each model is trained; none answers fewer jobs than `MIN_PART_JOBS`."""
    if every_days is None:
        return [mark_s]
    submit_s = log.submit_s[test]
    marks = [mark_s]
    for mark in np.arange(mark_s, submit_s[-1], every_days * _DAY_S).tolist()[1:]:
        answered = np.count_nonzero((submit_s >= marks[-1]) & (submit_s < mark))
        if min(answered, np.count_nonzero(submit_s >= mark)) >= MIN_PART_JOBS:
            marks.append(mark)
    return marks
