"""`rt-predictor train --every DAYS --watch`: what it makes of its options."""

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rt_predictor.cli.options import LogFormat
from rt_predictor.errors import EXIT_OK, StartupError, UsageError

if TYPE_CHECKING:
    import polars as pl

    from rt_predictor.settings import Settings
    from rt_predictor.traces import ReadOptions

_DAY_S = 86400.0


@dataclass(frozen=True)
class Renewal:
    """Options of `train` that are about renewal."""

    every_days: float | None
    watch: bool
    once: bool
    least_jobs: int

    def check(self, *, from_scratch: bool) -> None:
        """Raise UsageError for options that do not go together."""
        if self.watch and self.every_days is None:
            raise UsageError("--watch needs --every DAYS: how often a model is trained anew")
        if not self.watch and (self.once or self.every_days is not None):
            raise UsageError(
                "--every and --once go with --watch, which renews the model in service from what "
                "its service has recorded"
            )
        if self.watch and from_scratch:
            raise UsageError("a renewal starts from the base model: give it without --from-scratch")


@dataclass(frozen=True)
class Logs:
    """Job logs that are read beside the events of the service."""

    traces: list[Path]
    format_: LogFormat | None
    options: "ReadOptions"

    def events(self) -> "pl.DataFrame":
        """Read the last event of each of their jobs. Raises TraceError."""
        from rt_predictor.jobs.events import log_events
        from rt_predictor.traces import TraceFormat, read_traces

        log = read_traces(
            self.traces,
            format=TraceFormat(self.format_.value) if self.format_ else None,
            options=self.options,
        )
        return log_events(log.jobs, log.cancelled, log.open)[0]


def renew(
    renewal: Renewal, logs: Logs, output: Path | None, base: Path | None, settings: "Settings"
) -> None:
    """Renew the model in service once, or until the process is told to stop, which ends it.

    Raises as `run`.
    """
    from rt_predictor.renew.folders import folders_of
    from rt_predictor.renew.renewer import Renewer, Sources, Terms
    from rt_predictor.renew.run import run

    if not settings.history.enabled:
        raise StartupError(
            "history is switched off (history.enabled): a renewal has nothing to learn from"
        )
    base = base or settings.training.base
    names = tuple(path.name for path in logs.traces)
    renewer = Renewer(
        folders_of(settings, output, base),
        Terms((renewal.every_days or 0.0) * _DAY_S, renewal.least_jobs, base),
        Sources(settings.history.path, names, logs.events if logs.traces else None),
        settings,
    )
    if run(renewer, settings, once=renewal.once):
        # What was cut off may still compute: the interpreter cannot be taken down under it.
        sys.stderr.flush()
        os._exit(EXIT_OK)
