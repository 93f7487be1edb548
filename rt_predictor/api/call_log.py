"""What the log says of whole calls: those that were turned away (DEBUG), and those that were slow.

Nothing is said of a call that goes well, and never what a client sent beside the call's id: a line
costs a fifth of a prediction, and a rule that was broken can have been broken by a name.
"""

import math
from time import monotonic

from loguru import logger

from rt_predictor.api.call import Call
from rt_predictor.errors import InvalidJobError

_PAUSE_S = 1.0
"""Time between two lines on slow calls: where one is slow, hundreds often are."""


def log_refused(call: Call, error: Exception, status: str) -> None:
    """One call that ended with an error of the client's, or for want of room."""
    why = {"field": error.field, "rule": error.rule} if isinstance(error, InvalidJobError) else {}
    logger.debug("call refused", **call.fields(), status=status, reason=type(error).__name__, **why)


class SlowCalls:
    """Logs calls that took long, one a second at most."""

    def __init__(self, from_s: float) -> None:
        """`from_s`: what counts as long; 0 logs none."""
        self.from_s = from_s or math.inf
        self._quiet_until_s = 0.0
        self._unsaid = 0

    def log(self, call: Call, status: str, duration_s: float) -> None:
        """Says that a call took long, and how many did since the last line."""
        now_s = monotonic()
        if now_s < self._quiet_until_s:
            self._unsaid += 1
            return
        self._quiet_until_s = now_s + _PAUSE_S
        logger.warning(
            "slow call",
            **call.fields(),
            status=status,
            duration_s=round(duration_s, 3),
            not_logged=self._unsaid,
        )
        self._unsaid = 0
