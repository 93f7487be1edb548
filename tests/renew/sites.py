"""A made-up site whose model is renewed: its bundles, its recorded jobs and its clock."""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from rt_predictor.eventlog.files import open_log
from rt_predictor.jobs.events import ended_events
from rt_predictor.model.bundle import read_bundle, write_bundle
from rt_predictor.model.documents import SpanDocument
from rt_predictor.renew import put_in_place
from rt_predictor.renew.folders import Folders, folders_of
from rt_predictor.renew.renewer import DAY_S, Renewer, Sources, Terms
from rt_predictor.renew.state import State, read_state
from rt_predictor.settings import Settings
from rt_predictor.traces.generate import generate_jobs
from rt_predictor.training.prepare import prepare_log
from rt_predictor.training.site import SiteReport
from tests.model.plain_bundle import plain_bundle, write_plain_bundle

EVERY_S = 7 * DAY_S
LEAST = 50


@dataclass
class Site:
    """Everything lies below one folder."""

    folder: Path
    jobs: pl.DataFrame = field(default_factory=lambda: generate_jobs(600, seed=4).sort("end_time"))
    now_s: float = 1.7e9
    settings: Settings = field(default_factory=Settings)

    def __post_init__(self) -> None:
        self.settings = self.settings.with_overrides(
            {
                "model.path": self.folder / "models" / "served",
                "model.shadow_path": self.folder / "models" / "candidate",
                "training.base": self.folder / "base",
                "history.path": self.folder / "history.sqlite",
            }
        )

    def made(self) -> "Site":
        """Write its base and the bundle in service."""
        write_plain_bundle(self.folder / "base", version="base")
        write_plain_bundle(self.folder / "models" / "served", version="old")
        return self

    @property
    def folders(self) -> Folders:
        return folders_of(self.settings, None, self.settings.training.base)

    @property
    def state(self) -> State:
        return read_state(self.folders.state)

    def record(self, first: int, last: int) -> None:
        """Record the ends of its jobs from one place to another, in the order of their ends."""
        log = open_log(self.settings.history.path)
        log.append(ended_events(self.jobs[first:last]))
        log.close()

    def renewer(self, least: int = LEAST, every_s: float = EVERY_S) -> Renewer:
        terms = Terms(every_s, least, self.settings.training.base)
        sources = Sources(self.settings.history.path)
        return Renewer(self.folders, terms, sources, self.settings, lambda: self.now_s)

    def names(self) -> set[str]:
        """Names of all that lies beside the bundle in service."""
        return {path.name for path in (self.folder / "models").iterdir()}


def version_of(folder: Path) -> str:
    return read_bundle(folder).info.model_version


@dataclass
class Trainer:
    """Stands in for `train_site`: writes plain bundles that have learned from all jobs."""

    trained: int = 0

    def __call__(
        self, jobs: pl.DataFrame, names: list[str], _: Any, folder: Path, *__: Any, **___: Any
    ) -> SiteReport:
        self.trained += 1
        log = prepare_log(jobs, names[0])
        bundle = plain_bundle(f"new-{self.trained}", log.columns.ident[log.rows])
        span = SpanDocument(start=log.submit_s[0], end=log.end_s[log.rows].max())
        info = bundle.info.model_copy(update={"training_span": span})
        bundle = replace(bundle, info=info)
        write_bundle(folder, bundle, {})
        return SiteReport(folder, bundle, None, ("it is plain",))  # type: ignore[arg-type]


class Killed(BaseException):
    """The process is gone."""


@dataclass
class Death:
    """Comes before one of the steps that change what is on disk; nothing is done after it."""

    at: int
    steps: int = 0

    def _step(self) -> None:
        self.steps += 1
        if self.steps > self.at:
            raise Killed

    def wrapped(self, change: Callable[..., Any]) -> Callable[..., Any]:
        def changed(*arguments: Any, **options: Any) -> Any:
            self._step()
            return change(*arguments, **options)

        return changed

    @contextmanager
    def awaited(self, *, exchanging: bool) -> Iterator[None]:
        """Have every change counted; `exchanging`: whether names can be exchanged at once."""
        with pytest.MonkeyPatch.context() as patch:
            for owner, name in (
                (Path, "rename"), (Path, "replace"), (Path, "unlink"), (Path, "mkdir"),
                (Path, "write_bytes"), (shutil, "rmtree"), (shutil, "copyfile"),
            ):  # fmt: skip
                patch.setattr(owner, name, self.wrapped(getattr(owner, name)))
            # No power is cut here: it need not take its time.
            patch.setattr(os, "fsync", self.wrapped(lambda _: None))
            if exchanging:
                exchanged = self.wrapped(put_in_place._exchanged)
                patch.setattr(put_in_place, "_exchanged", exchanged)
            else:
                patch.setattr(put_in_place, "_exchanged", lambda *_: False)
            yield
