"""A folder into which files of jobs are dropped by rename, and the folder of their answers.

A file goes through steps, each of which happens at once and for good. Whoever comes after a process
that was killed, at any point, reads off the folders what is left to do:

    claimed     FOLDER/name becomes FOLDER/.rt-predictor/claimed/name, by rename
    answered    its answers are written, and synced, as ANSWERS/.name.jsonl.part
    committed   .rt-predictor/committed/name is made, a symbolic link to ANSWERS/name.jsonl
    published   ANSWERS/.name.jsonl.part becomes ANSWERS/name.jsonl, by rename
    done        claimed/name is removed, then committed/name

Before a file is committed nobody has seen answers, so it may be scored again. Afterwards its
answers are whole, so it never is: what is missing of the last two steps is made up for. So each
file is answered once, also where answers are taken away as soon as they are there.
"""

import fcntl
import os
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from rt_predictor.cli.scoring.attempts import Attempts
from rt_predictor.durable_files import sync, write_file
from rt_predictor.errors import StartupError, UsageError

MAX_NAME_BYTES = 200
"""The names of answers and reasons are longer, and no name may be longer than 255 bytes."""

_UNFINISHED = (".part", ".tmp", "~")


@dataclass(frozen=True)
class Answered:
    """A claimed file, and the bytes of its answers."""

    file: Path
    answers: bytes


class Spool:
    """The two folders, for the one process that holds their lock."""

    def __init__(self, folder: Path, answers: Path, suffix: str) -> None:
        """Answers of `folder`/name go to `answers`/name`suffix`."""
        self._folder = folder
        self._answers = answers.absolute()
        self._suffix = suffix
        self._state = folder / ".rt-predictor"
        self._claimed = self._state / "claimed"
        self._committed = self._state / "committed"
        self._rejected = folder / "rejected"
        self._found: deque[Path] = deque()
        self.attempts = Attempts(self._state / "attempts.json")
        """At files that a process has begun and not ended; read anew once the folder is locked."""

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Make the folders and keep others off them.

        Raises UsageError where they cannot be used, StartupError where another process does.
        """
        if not self._folder.is_dir():
            raise UsageError(f"{self._folder} is no folder: name one that files of jobs come to")
        try:
            for path in (self._answers, self._claimed, self._committed, self._rejected):
                path.mkdir(parents=True, exist_ok=True)
            if self._answers.samefile(self._folder):
                raise UsageError(f"{self._answers} is where jobs come from: name another folder")
            lock = (self._state / "lock").open("a")
        except OSError as error:
            raise UsageError(f"cannot work in {self._folder}: {error}") from error
        with lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise StartupError(
                    f"{self._folder} is watched by another process already: stop it first"
                ) from error
            self.attempts = Attempts(self._state / "attempts.json")
            yield

    def claim(self, most_files: int, most_bytes: int) -> list[Path]:
        """Files to answer, the oldest first: those that were claimed before, then new ones.

        At least one where there is any; no more of them than the bounds allow.
        """
        self._finish(self._committed.iterdir())
        if not self._found:
            self._found.extend(self._waiting())
        claimed = deque(sorted(self._claimed.iterdir(), key=_age))
        files: list[Path] = []
        size = 0
        while (source := claimed or self._found) and len(files) < most_files:
            try:
                size += source[0].stat().st_size
                if files and size > most_bytes:
                    break
                if file := self._claim_one(source[0]):
                    files.append(file)
            except FileNotFoundError:
                # Whoever dropped it has taken it back.
                pass
            source.popleft()
        return files

    def _claim_one(self, file: Path) -> Path | None:
        """The file, claimed; None where one of its name comes first."""
        claimed = self._claimed / file.name
        if file == claimed:
            return file
        return None if claimed.exists() else file.rename(claimed)

    def commit(self, done: Sequence[Answered]) -> None:
        """Put the answers of claimed files in their place, and forget the files.

        Raises OSError where that cannot be done. The next claim gives those that are not committed
        again, and finishes the others.
        """
        targets = {one.file: self._answers / f"{one.file.name}{self._suffix}" for one in done}
        for one in done:
            write_file(_staged(targets[one.file]), one.answers)
        sync(self._answers)
        committed = []
        for file, target in targets.items():
            link = self._committed / file.name
            link.symlink_to(target)
            committed.append(link)
        sync(self._committed)
        self._finish(committed)

    def reject(self, file: Path, reason: str) -> Path:
        """Set a claimed file aside, with the reason beside it; return where it is."""
        short = os.fsdecode(os.fsencode(file.name)[:MAX_NAME_BYTES])
        note = self._rejected / f"{short}.reason"
        write_file(_staged(note), f"{reason}\n".encode("utf-8", "backslashreplace"))
        _staged(note).replace(note)
        return file.rename(self._rejected / file.name)

    def _waiting(self) -> list[Path]:
        with os.scandir(self._folder) as entries:
            names = [entry.name for entry in entries if entry.is_file(follow_symlinks=False)]
        whole = (n for n in names if not n.startswith(".") and not n.endswith(_UNFINISHED))
        return sorted((self._folder / name for name in whole), key=_age)

    def _finish(self, committed: Iterable[Path]) -> None:
        links = list(committed)
        for link in links:
            target = link.readlink()
            # Where it is not there it was published already, and then the process was killed.
            with suppress(FileNotFoundError):
                _staged(target).replace(target)
        for folder in {link.readlink().parent for link in links}:
            with suppress(FileNotFoundError):
                sync(folder)
        for link in links:
            (self._claimed / link.name).unlink(missing_ok=True)
        # A link that outlives its file is harmless. A file that outlives its link would be scored
        # again, so the loss of the file must be on the disk first.
        if links:
            sync(self._claimed)
        for link in links:
            link.unlink()


def _staged(target: Path) -> Path:
    return target.with_name(f".{target.name}.part")


def _age(path: Path) -> tuple[int, str]:
    try:
        return path.stat().st_mtime_ns, path.name
    except FileNotFoundError:
        return 0, path.name
