"""What is served, as a supervisor keeps it: a copy of the model aside, which workers load.

By the time that a dead worker is started again, the folder that the settings name may be half
written, damaged or gone. The copy is what the first worker has verified and answered from.
"""

import hashlib
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from rt_predictor.model.files import BUNDLE_FILES, MANIFEST_FILE
from rt_predictor.settings import SecuritySettings

OPEN_TO_ALL = SecuritySettings()
_MAX_MANIFEST_BYTES = 1 << 20


@dataclass(frozen=True)
class ServedModel:
    """A bundle, the copy of it, and who is answered with it."""

    source: Path
    """The folder that the settings name"""
    copy: Path
    security: SecuritySettings = OPEN_TO_ALL

    @classmethod
    def beside(
        cls, source: Path, folder: Path, security: SecuritySettings = OPEN_TO_ALL
    ) -> "ServedModel":
        """A model whose copy, not made yet, will be in a folder of its own below `folder`."""
        own = Path(tempfile.mkdtemp(prefix="model-", dir=folder))
        return cls(source, own / "bundle", security)

    def take(self) -> None:
        """Copies what there is of the bundle, in place of what was copied before.

        It may change meanwhile: who loads the copy verifies it. Raises OSError.
        """
        shutil.rmtree(self.copy, ignore_errors=True)
        if not self.source.is_dir():
            return
        self.copy.mkdir()
        for name in BUNDLE_FILES:
            if (self.source / name).is_file():  # a device never ends
                shutil.copyfile(self.source / name, self.copy / name)

    def drop(self) -> None:
        """Removes the copy."""
        shutil.rmtree(self.copy.parent, ignore_errors=True)

    @property
    def digest(self) -> str:
        """What tells the copy from other bundles; see `digest_of`."""
        return digest_of(self.copy)


def digest_of(folder: Path) -> str:
    """SHA-256 of a bundle's manifest, which has the sums of all else; "" where there is none."""
    manifest = folder / MANIFEST_FILE
    try:
        if not manifest.is_file() or manifest.stat().st_size > _MAX_MANIFEST_BYTES:
            return ""
        return hashlib.sha256(manifest.read_bytes()).hexdigest()
    except OSError:
        return ""
