"""Shedding: which calls are turned away while calls wait too long before they are begun.

Past its capacity a service gets more calls than it can begin. They wait in gRPC's core, which says
nothing of them and in the end breaks some off without a word; those that are answered are answered
late. To refuse a call costs a fraction of answering it, so a share of them is refused until the
others no longer wait: the share is cut as long as the wait is too long, and grows again after.
"""

from typing import Final

LOOKS: Final = 3
"""Looks in a row that find a long wait, after which calls are refused: once is no overload."""
CUT: Final = 0.7
"""Part of the admitted share that one more such look leaves."""
GROWTH: Final = 0.05
"""What is added to the share by a look that finds a short wait."""
LEAST_SHARE: Final = 0.1
"""Share that is admitted in any case: else, where more calls come than can even be refused, all
time would go into refusing. gRPC's core breaks the rest off."""


class Shedding:
    """The share of calls that are admitted, by how long they wait."""

    def __init__(self, most_wait_s: float) -> None:
        """Admit all calls at first; `most_wait_s` is the wait that is put up with, 0 any."""
        self._most_wait_s = most_wait_s
        self._late = 0
        self._credit = 0.0
        self.asked = 0
        """Calls that asked to be admitted, in all."""
        self.begun = 0
        """Calls of any kind that got to our code, in all."""
        self.calm = True
        """Whether no call waited at the last look."""
        self.share = 1.0
        """Of the calls that are admitted, 0 to 1."""

    def look(self, wait_s: float) -> None:
        """Take in how long a call waits now before it is begun; 0 for not at all."""
        self.calm = not wait_s
        if not self._most_wait_s or wait_s < self._most_wait_s / 2:
            self._late = 0
            self.share = min(self.share + GROWTH, 1.0)
        elif wait_s <= self._most_wait_s:
            self._late = 0
        else:
            self._late += 1
            if self._late >= LOOKS:
                self.share = max(self.share * CUT, LEAST_SHARE)

    def admits(self) -> bool:
        """Return whether the next call is admitted: as many of all as the share says."""
        self.asked += 1
        if self.share >= 1.0:
            return True
        self._credit += self.share
        if self._credit < 1.0:
            return False
        self._credit -= 1.0
        return True
