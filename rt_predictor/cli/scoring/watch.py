"""Answers the files of a spool as they come."""

import asyncio
import os
import signal
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from rt_predictor.cli.options import AnswerFormat
from rt_predictor.cli.scoring.attempts import MOST, Attempts
from rt_predictor.cli.scoring.inputs import InputOptions, Requests, read_requests
from rt_predictor.cli.scoring.outputs import encoded
from rt_predictor.cli.scoring.scorers import OpenScorer, Scorer, score_jobs
from rt_predictor.cli.scoring.spool import MAX_NAME_BYTES, Answered, Spool
from rt_predictor.errors import RTPredictorError, ServiceError, TraceError
from rt_predictor.traces.source import check_unpacked

ROUND_FILES = 512
"""Files that are scored together, and synced together."""
ROUND_BYTES = 64 << 20
MAX_FILE_BYTES = 256 << 20
"""A larger file is set aside: reading it could take all memory, and then again after a restart."""
RETRY_S = 5.0

Say = Callable[[str], None]


@dataclass(frozen=True)
class Watch:
    """Options for watching a spool.

    poll_s: time between two looks into an empty folder.
    once: end when the folder is empty.
    """

    options: InputOptions
    format: AnswerFormat
    chunk_jobs: int
    poll_s: float
    once: bool
    retry_s: float = RETRY_S


async def watch_until_told(spool: Spool, open_scorer: OpenScorer, how: Watch, say: Say) -> None:
    """`watch` until SIGTERM or Ctrl-C."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await watch(spool, open_scorer, how, stop, say)


async def watch(
    spool: Spool, open_scorer: OpenScorer, how: Watch, stop: asyncio.Event, say: Say
) -> None:
    """Answers files until told to stop; the round in progress is finished then.

    Where a service does not answer, or answers cannot be written, files wait until that is over.
    Raises ServiceError or OSError instead where the folder is to be emptied once.
    """
    last_error = ""
    async with open_scorer() as scorer:
        while not stop.is_set():
            try:
                files = spool.claim(ROUND_FILES, ROUND_BYTES)
                if files:
                    files = this_round(files, spool.attempts)
                    with spool.attempts.begun(files):
                        await _Round(spool, scorer, how, say).answer(files)
                else:
                    spool.attempts.clear()
                    if how.once:
                        return
                last_error = ""
            except (ServiceError, OSError) as error:
                if how.once:
                    raise
                if last_error != str(error):
                    last_error = str(error)
                    say(f"{last_error}; files wait until that is over")
                await _pause(stop, how.retry_s)
                continue
            if not files:
                await _pause(stop, how.poll_s)


@dataclass(frozen=True)
class _Round:
    spool: Spool
    scorer: Scorer
    how: Watch
    say: Say

    async def answer(self, files: list[Path]) -> None:
        read = [(file, requests) for file in files if (requests := self._read(file)) is not None]
        if not read:
            return
        try:
            tables = await self._scored([requests for _, requests in read])
        except (ServiceError, OSError):
            raise
        except Exception as error:
            # One of the files does this: the others are answered without it.
            if len(read) == 1:
                self._reject(read[0][0], f"unexpected {type(error).__name__}: {error}")
                return
            for file, _ in read:
                await self.answer([file])
            return
        self.spool.commit(
            [
                Answered(file, encoded(table, self.how.format))
                for (file, _), table in zip(read, tables, strict=True)
            ]
        )

    def _read(self, file: Path) -> Requests | None:
        """The jobs of a file; None where it was set aside."""
        try:
            if self.spool.attempts.of(file) > MOST:
                raise TraceError(f"{MOST} processes ended while they read it")
            _check(file)
            return read_requests(file, self.how.options)
        except RTPredictorError as error:
            self._reject(file, str(error).replace(str(file), file.name))
        except Exception as error:
            self._reject(file, f"unexpected {type(error).__name__}: {error}")
        return None

    def _reject(self, file: Path, reason: str) -> None:
        reason = " ".join(reason.split())
        moved_to = self.spool.reject(file, reason)
        self.say(f"{moved_to} set aside: {reason}")

    async def _scored(self, every: list[Requests]) -> list[pl.DataFrame]:
        """The answers of several files, scored as one."""
        errors: dict[int, str] = {}
        rows = 0
        for requests in every:
            errors |= {rows + row: reason for row, reason in requests.errors.items()}
            rows += len(requests.jobs)
        together = Requests(pl.concat([requests.jobs for requests in every]), errors)
        table = await score_jobs(together, self.scorer, self.how.chunk_jobs)
        tables, start = [], 0
        for requests in every:
            tables.append(table.slice(start, len(requests.jobs)))
            start += len(requests.jobs)
        return tables


def this_round(files: list[Path], attempts: Attempts) -> list[Path]:
    """The files to answer now: one that an earlier process has not survived goes alone."""
    suspect = next((file for file in files if attempts.of(file)), None)
    return files if suspect is None else [suspect]


def _check(file: Path) -> None:
    """Raise TraceError where a file cannot be answered, whatever is in it."""
    if file.stat().st_size > MAX_FILE_BYTES:
        raise TraceError(f"it is larger than {MAX_FILE_BYTES >> 20} MB: split it")
    check_unpacked(file, MAX_FILE_BYTES)
    if len(os.fsencode(file.name)) > MAX_NAME_BYTES:
        raise TraceError(f"its name is longer than {MAX_NAME_BYTES} bytes: rename it")


async def _pause(stop: asyncio.Event, seconds: float) -> None:
    with suppress(TimeoutError):
        await asyncio.wait_for(stop.wait(), seconds)
