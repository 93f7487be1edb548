"""Folders of renewal: the bundle in service, its candidate, and what lies beside them."""

from dataclasses import dataclass
from pathlib import Path

from rt_predictor.errors import StartupError
from rt_predictor.model.bundle import check_replaceable
from rt_predictor.settings import Settings


@dataclass(frozen=True)
class Folders:
    """Folder of each bundle of a renewal."""

    served: Path
    """`model.path`"""
    candidate: Path
    """Folder that the service's shadow looks at: `model.shadow_path`"""

    @property
    def previous(self) -> Path:
        """Bundle that was in service before the last promotion."""
        return self.served.with_name(f"{self.served.name}.previous")

    @property
    def promoted(self) -> Path:
        """Copy of a candidate on its way into service."""
        return self.served.with_name(f".{self.served.name}.promoted")

    @property
    def own(self) -> Path:
        """Folder of the renewal itself: the files of the candidate's are watched by the shadow."""
        return self.candidate.with_name(f"{self.candidate.name}.renewal")

    @property
    def state(self) -> Path:
        """State of the renewal."""
        return self.own / "renewal.json"

    @property
    def lock(self) -> Path:
        """Held by the one process that renews."""
        return self.own / "lock"

    @property
    def work(self) -> Path:
        """Emptied at the start of every round."""
        return self.own / "work"


def folders_of(settings: Settings, candidate: Path | None, base: Path) -> Folders:
    """Return the folders that settings name, if a renewal can be done there.

    Args:
        settings: `model.path` and `model.shadow_path`.
        candidate: the candidate's folder in place of that of the settings.
        base: folder of the base model.

    Raises StartupError for folders that do not go together, BundleError where that of the candidate
    holds something else.
    """
    served = settings.model.path
    candidate = candidate or settings.model.shadow_path
    if candidate is None:
        raise StartupError(
            "a renewal needs a folder for the candidate, which the service's shadow looks at: set "
            "model.shadow_path, or give -o DIR"
        )
    if candidate.resolve() in (served.resolve(), base.resolve()):
        raise StartupError(f"{candidate} holds a model in use: give the candidate another folder")
    if served.resolve() == base.resolve():
        raise StartupError(
            f"{served} is both the bundle in service (model.path) and the base model "
            f"(training.base), which a renewed one would replace: `cp -r {base} {base}.base` and "
            f"set training.base, or give --base {base}.base"
        )
    check_replaceable(candidate)
    return Folders(served, candidate)
