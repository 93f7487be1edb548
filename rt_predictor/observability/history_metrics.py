"""What an operator can see of history: what came in, and what memory holds of it."""

from prometheus_client import CollectorRegistry, Counter, Gauge

from rt_predictor.eventlog.port import Appended
from rt_predictor.history.history import HistoryState


class HistoryMetrics:
    """The series of history in one worker. All workers hold the same, so gauges are not summed."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
        outcomes = Counter(
            "rt_predictor_outcomes",
            "Finished jobs that clients have sent: recorded, duplicate or invalid.",
            ("result",),
            registry=registry,
        )
        self._recorded = outcomes.labels("recorded")
        self._duplicates = outcomes.labels("duplicate")
        self._invalid = outcomes.labels("invalid")
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

    def sent(self, appended: Appended, invalid: int) -> None:
        """Counts outcomes that clients have sent."""
        self._recorded.inc(appended.recorded)
        self._duplicates.inc(appended.duplicates)
        self._invalid.inc(invalid)

    def sample(self, state: HistoryState) -> None:
        """Shows how history is."""
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
