"""Judges a candidate beside the bundle in service, by jobs that were submitted after its training.

Both answer every job as of its submit, as `evaluate --bundle` has it, so that the verdict depends
on the recorded events alone, and not on when the service or its shadow ran.
"""

from dataclasses import dataclass

from rt_predictor.model.bundle import Bundle
from rt_predictor.online.recalibration import LearnedLevels
from rt_predictor.settings import Settings
from rt_predictor.training.answering import Answering
from rt_predictor.training.fine_tune import Figures
from rt_predictor.training.prepare import PreparedLog
from rt_predictor.training.progress import Report, part_of
from rt_predictor.training.replay import replay, span_after
from rt_predictor.training.split import Rows


@dataclass(frozen=True)
class Verdict:
    """Comparison of a candidate with the bundle in service."""

    jobs: int
    candidate: Figures
    served: Figures

    @property
    def is_no_worse(self) -> bool:
        """Return whether the candidate may take the other's place: neither error is greater."""
        return not self.worse_in

    @property
    def worse_in(self) -> tuple[str, ...]:
        """Errors of the candidate that are greater, by name."""
        ours, theirs = self.candidate, self.served
        errors = {
            "mean absolute error": (ours.mae_s, theirs.mae_s),
            "CRPS": (ours.crps_s, theirs.crps_s),
        }
        return tuple(name for name, (our, their) in errors.items() if our > their)

    def __str__(self) -> str:
        """Say it in plain words."""
        ours, theirs = self.candidate, self.served
        return (
            f"on {self.jobs:,} jobs that followed its mean absolute error is {ours.mae_s:,.1f} s "
            f"({theirs.mae_s:,.1f} s of the one in service), the error of its distributions (CRPS) "
            f"{ours.crps_s:,.1f} s ({theirs.crps_s:,.1f} s)"
        )


def jobs_that_followed(log: PreparedLog, after_s: float, *bundles: Bundle) -> Rows:
    """Return jobs of a log that were submitted after a time and have ended, by submit.

    Jobs that any of the bundles has learned from are left out.
    """
    rows = log.rows[log.submit_s[log.rows] > after_s]
    for bundle in bundles:
        rows = rows[~bundle.info.fingerprints().hold(log.columns.ident[rows])]
    return rows


def judge(
    log: PreparedLog,
    rows: Rows,
    candidate: Bundle,
    served: Bundle,
    settings: Settings,
    *,
    report: Report,
) -> Verdict:
    """Compare two bundles on jobs of a log, at least one.

    Raises BundleError where one of them does not fit this program.
    """
    found = [
        _figures(log, rows, bundle, settings, part)
        for bundle, part in (
            (candidate, part_of(report, 0.0, 0.5)),
            (served, part_of(report, 0.5, 1.0)),
        )
    ]
    return Verdict(len(rows), *found)


def _figures(
    log: PreparedLog, rows: Rows, bundle: Bundle, settings: Settings, report: Report
) -> Figures:
    span = span_after(log, rows, float(log.submit_s[rows[0]]))
    start = LearnedLevels.of(bundle.recalibration)
    replayed = replay(log, Answering.of(bundle), start, span, settings, report=report).replayed
    return Figures.of(replayed.predicted_s, replayed.crps_s, log.runtime_s[rows])
