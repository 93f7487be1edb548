"""Metrics of history: what came in, and what memory holds of it."""

from collections import Counter as CounterOf
from collections.abc import Mapping

import polars as pl
from prometheus_client import CollectorRegistry, Counter, Gauge

from rt_predictor.eventlog.port import Appended, Fate
from rt_predictor.history.history import HistoryState
from rt_predictor.jobs.event_kind import EventKind

_ENDED = EventKind.ENDED.value
_RESULTS = {
    Fate.RECORDED: "recorded",
    Fate.DUPLICATE: "duplicate",
    Fate.CONFLICT: "conflict",
    Fate.PRUNED: "pruned",
    Fate.QUARANTINED: "quarantined",
}


class HistoryMetrics:
    """The series of history in one worker. All workers hold the same, so gauges are not summed."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
        outcomes = Counter(
            "rt_predictor_outcomes",
            "Finished jobs that clients have sent: recorded, duplicate, quarantined or invalid.",
            ("result",),
            registry=registry,
        )
        self._recorded = outcomes.labels("recorded")
        self._duplicates = outcomes.labels("duplicate")
        self._quarantined = outcomes.labels("quarantined")
        self._invalid = outcomes.labels("invalid")
        self._events = Counter(
            "rt_predictor_events",
            "Events of jobs that clients have sent, by kind: recorded, duplicate, conflict (unlike "
            "what is recorded), pruned (older than what the log keeps), quarantined (doubtful, "
            "until an operator releases it) or invalid.",
            ("kind", "result"),
            registry=registry,
        )
        for kind in EventKind:
            for result in (*_RESULTS.values(), "invalid"):
                self._events.labels(kind.value, result)
        self._totals = {
            "commits": self._counter("commits", "Commits to the outcome log."),
            "commit_s": self._counter("commit_seconds", "Time that those commits took, in all."),
            "errors": self._counter("errors", "Failed attempts to read or write the log."),
            "folded": self._counter("folded", "Events read and folded, over all workers."),
        }
        self._counted = dict.fromkeys(self._totals, 0.0)
        self._gauges = {
            "events": self._gauge("events", "Finished jobs that a worker keeps in memory."),
            "keys": self._gauge("keys", "Keys that a worker keeps in memory."),
            "memory_bytes": self._gauge("memory_bytes", "Memory that those take in a worker."),
            "behind": self._gauge("lag_events", "Events of the log that are not folded yet."),
            "behind_s": self._gauge(
                "lag_seconds", "Time since memory was last known to hold all of the log."
            ),
        }
        self._set_aside = self._gauge(
            "damaged_logs", "Damaged logs that were set aside and lie beside the log."
        )
        self._snapshot_age = self._gauge(
            "snapshot_age_seconds", "Time since the last snapshot; -1 where there is none."
        )

    def sent(
        self, valid: pl.DataFrame, appended: Appended, invalid_kinds: Mapping[str, int]
    ) -> None:
        """Count events that clients have sent.

        Args:
            valid: [n] `EVENT_SCHEMA`.
            appended: what became of them.
            invalid_kinds: kind -> how many were not valid.
        """
        fates = CounterOf(zip(valid["kind"], appended.fates, strict=True))
        for (kind, fate), count in fates.items():
            self._events.labels(kind, _RESULTS[Fate(fate)]).inc(count)
            if kind == _ENDED:
                self._outcomes_of(Fate(fate)).inc(count)
        for kind, count in invalid_kinds.items():
            self._events.labels(kind, "invalid").inc(count)
            if kind == _ENDED:
                self._invalid.inc(count)

    def _outcomes_of(self, fate: Fate) -> Counter:
        match fate:
            case Fate.RECORDED:
                return self._recorded
            case Fate.QUARANTINED:
                return self._quarantined
            case _:
                return self._duplicates

    def sample(self, state: HistoryState) -> None:
        """Show how history is."""
        for name, gauge in self._gauges.items():
            gauge.set(getattr(state, name))
        for name, counter in self._totals.items():
            total = getattr(state, name)
            counter.inc(total - self._counted[name])
            self._counted[name] = total
        self._set_aside.set(len(state.set_aside))
        self._snapshot_age.set(-1 if state.snapshot_age_s is None else state.snapshot_age_s)

    def _counter(self, name: str, text: str) -> Counter:
        return Counter(f"rt_predictor_history_{name}", text, registry=self._registry)

    def _gauge(self, name: str, text: str) -> Gauge:
        return Gauge(
            f"rt_predictor_history_{name}",
            text,
            multiprocess_mode="livemax",
            registry=self._registry,
        )
