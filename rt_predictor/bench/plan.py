"""BenchPlan of a benchmark: what is measured, and how often."""

from dataclasses import dataclass
from pathlib import Path

from rt_predictor.bench.jobs import JobSource
from rt_predictor.client.access import PLAIN, Access


@dataclass(frozen=True)
class BenchPlan:
    """Subjects of a run of the benchmark, and how often each is measured."""

    bundle: Path
    """Folder of the model bundle."""
    source: JobSource
    rounds: int
    """Number of times that each figure is taken."""
    scale: float
    """Share of the usual number of calls and jobs: 1 for figures to quote, less for a look."""
    target: str | None = None
    """A service that runs already; None starts one."""
    access: Access = PLAIN
    """Credentials and TLS for it."""
    mlserver: Path | None = None
    """Python with MLServer, to compare with; None compares with none."""

    def count(self, usual: int, least: int = 1) -> int:
        """That many at scale 1."""
        return max(least, round(usual * self.scale))
