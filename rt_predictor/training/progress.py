"""How far a run of several steps has come, as one share of the whole."""

from collections.abc import Callable, Mapping

Progress = Callable[[str, float], None]
"""Called with the name of the step at hand and the share of the whole run that is done, 0 to 1."""

Report = Callable[[float], None]
"""Called with the share of one step that is done, 0 to 1."""


def ignore_progress(_step: str, _share: float) -> None:
    """Show nothing."""


class Plan:
    """The steps of a run, with about how long each takes; shares never fall."""

    def __init__(self, seconds: Mapping[str, float], progress: Progress) -> None:
        self._seconds = dict(seconds)
        self._progress = progress
        self._done_s = 0.0
        self._share = 0.0

    def expect(self, seconds: Mapping[str, float]) -> None:
        """Say anew about how long the steps that have not begun take, and which there are."""
        self._seconds = dict(seconds)

    def step(self, name: str) -> Report:
        """Begin a step, which ends the one before it; steps come in any order, each once.

        Returns what to call while it goes on.
        """
        duration_s = self._seconds.pop(name, 0.0)
        before_s = self._done_s
        self._done_s += duration_s
        whole_s = max(self._done_s + sum(self._seconds.values()), 1e-9)

        def report(share: float) -> None:
            self._share = max(self._share, (before_s + share * duration_s) / whole_s)
            self._progress(name, min(self._share, 1.0))

        report(0.0)
        return report

    def finish(self) -> None:
        """Say that all is done."""
        self._share = 1.0
        self._progress("done", 1.0)


def part_of(report: Report, start: float, end: float) -> Report:
    """Return what a part of a step reports to: its shares become those from `start` to `end`."""
    return lambda share: report(start + (end - start) * share)
