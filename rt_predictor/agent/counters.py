"""Counters of an agent, for `stats`."""

from collections import Counter, deque
from dataclasses import dataclass, field

from rt_predictor.agent.protocol import Document, Reason

_RECENT = 1024


@dataclass
class Counters:
    """Counts since the start, and how long recent answers took."""

    lines: int = 0
    predicted: int = 0
    """Answers with a prediction, cached ones too."""
    cached: int = 0
    late: int = 0
    """Predictions that came after their deadline; they are kept for the next request alike."""
    errors: int = 0
    """Lines that could not be understood."""
    evicted: int = 0
    """Clients that had to go because there were too many, or did not read."""
    fallbacks: Counter[Reason] = field(default_factory=Counter)
    answer_s: deque[float] = field(default_factory=lambda: deque(maxlen=_RECENT))
    """Time from a whole line to its answer, of recent requests for a prediction."""

    def document(self) -> Document:
        """The counts as JSON has them; quantiles in ms, of the last 1,024 requests."""
        took_s = sorted(self.answer_s)
        return {
            "lines": self.lines,
            "predicted": self.predicted,
            "cached": self.cached,
            "late": self.late,
            "errors": self.errors,
            "evicted": self.evicted,
            "fallbacks": {reason.value: self.fallbacks[reason] for reason in Reason},
            "answer_ms": {
                name: round(1000 * took_s[int(share * (len(took_s) - 1))], 3)
                for name, share in (("p50", 0.5), ("p99", 0.99), ("max", 1.0))
            }
            if took_s
            else {},
        }
