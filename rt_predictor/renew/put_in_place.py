"""One folder in the place of another in a single step, and what is left where that was cut off.

Linux exchanges two names at once (renameat2(2)), so that whoever looks finds one bundle or the
other. Elsewhere there is a moment without either, between two renames; `finish` ends what a death
in that moment left.
"""

import ctypes
import errno
import os
import shutil
from pathlib import Path

from rt_predictor.durable_files import sync
from rt_predictor.model.files import BUNDLE_FILES
from rt_predictor.processes.served_model import digest_of

_EXCHANGE = 2  # RENAME_EXCHANGE of linux/fs.h
_HERE = -100  # AT_FDCWD
_CANNOT = frozenset({errno.ENOSYS, errno.EINVAL})
"""Errors of a kernel or a file system that exchanges no names."""


def copy_bundle(source: Path, folder: Path) -> None:
    """Copy the files of a bundle into a new folder, and have them on disk. Raises OSError."""
    remove(folder)
    folder.mkdir(mode=0o755)
    for name in BUNDLE_FILES:
        if (source / name).exists():
            shutil.copyfile(source / name, folder / name)
            sync(folder / name)
    sync(folder)


def put_in_place(new: Path, folder: Path, aside: Path) -> None:
    """Put `new` in the place of `folder`, which goes to `aside` in place of what lies there.

    All three are on one file system. Raises OSError.
    """
    if not os.path.lexists(folder):
        new.rename(folder)
    elif _exchanged(new, folder):
        _move_aside(new, aside)
    else:
        _move_aside(folder, aside)
        new.rename(folder)
    sync(folder.parent)


def finish(new: Path, folder: Path, aside: Path, digest: str) -> None:
    """End a `put_in_place` of the bundle with this digest that was cut off anywhere, or undo it."""
    if not os.path.lexists(new):
        return
    if digest_of(folder) == digest:  # they are exchanged
        _move_aside(new, aside)
    elif not os.path.lexists(folder) and digest_of(new) == digest:
        new.rename(folder)
    else:
        remove(new)


def remove(folder: Path) -> None:
    """Remove a folder, or a link to one, if there is any. Raises OSError."""
    if folder.is_symlink():
        folder.unlink()
    elif folder.exists():
        shutil.rmtree(folder)


def _move_aside(folder: Path, aside: Path) -> None:
    remove(aside)
    folder.rename(aside)


def _exchanged(one: Path, other: Path) -> bool:
    """Exchange two names at once; whether the system can. Raises OSError where it fails."""
    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if rename is None:
        return False
    if rename(_HERE, os.fsencode(one), _HERE, os.fsencode(other), _EXCHANGE) == 0:
        return True
    code = ctypes.get_errno()
    if code in _CANNOT:
        return False
    raise OSError(code, os.strerror(code), str(one), None, str(other))
