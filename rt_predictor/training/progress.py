"""Progress of a run of several steps, as one share of the whole."""

from collections.abc import Callable, Mapping

Progress = Callable[[str, float], None]
"""Called with the name of the step at hand and the share of the whole run that is done, 0 to 1."""

Report = Callable[[float], None]
"""Called with the share of one step that is done, 0 to 1."""


def ignore_progress(_step: str, _share: float) -> None:
    """Show nothing."""


class Plan:
    """Steps of a run with their expected durations; shares never fall."""

    def __init__(self, seconds: Mapping[str, float], progress: Progress) -> None:
        self._seconds = dict(seconds)
        self._progress = progress
        self._done_s = 0.0
        self._share = 0.0

    def expect(self, seconds: Mapping[str, float]) -> None:
        """Replace the steps that have not begun, with their expected durations."""
        self._seconds = dict(seconds)

    def step(self, name: str) -> Report:
        """Begin a step and end the one before; return the function that takes its progress.

        Steps may come in any order, each once.
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
        """Report that all is done."""
        self._share = 1.0
        self._progress("done", 1.0)


def part_of(report: Report, start: float, end: float) -> Report:
    """Return the report of a part of a step: its shares are mapped to `start` to `end`."""
    return lambda share: report(start + (end - start) * share)
