"""Jobs that wait and run from `squeue --json`, look by look."""

import asyncio
import tempfile
from collections.abc import Sequence
from pathlib import Path

import polars as pl

from rt_predictor.errors import TraceError
from rt_predictor.follow.command import check_is_there, run
from rt_predictor.follow.feed import Batch
from rt_predictor.jobs.schema import JOB_SCHEMA
from rt_predictor.jobs.states import ACTIVE, WAITING
from rt_predictor.traces import read_squeue

_KEY = ("job_id", "submit_time", "start_time")
_CALLED = "the output of squeue"


class SqueueFeed:
    """Asks squeue for the jobs of the queue; gives those that are new in it, or have started.

    After a restart all of the queue is given again, which the service knows. What comes and goes
    between two looks is not seen: its end tells of it.

    Args:
        command: squeue and options of its own, e.g. ("squeue", "-M", "alpha").

    Raises StartupError where squeue is not there.
    """

    def __init__(self, command: Sequence[str]) -> None:
        check_is_there(
            command, 'install Slurm\'s client programs, or leave it out with --squeue ""'
        )
        self._command = tuple(command)
        self._queue = pl.DataFrame(schema={name: JOB_SCHEMA[name] for name in _KEY})
        """Jobs that the queue held when it was recorded last"""
        self._found = self._queue

    async def read(self) -> Batch:
        """Return the jobs that are new in the queue. Raises FeedError."""
        with tempfile.NamedTemporaryFile(prefix="rt-predictor-", suffix=".json") as file:
            await run((*self._command, "--json"), file.fileno(), "squeue")
            found = await asyncio.to_thread(read_queue, Path(file.name), _CALLED)
        self._found = found.open.select(_KEY)
        new = found.open.join(
            self._queue, on=_KEY, how="anti", nulls_equal=True, maintain_order="left"
        )
        return Batch(found.jobs, found.unread, open=new)

    def recorded(self, batch: Batch) -> None:  # noqa: ARG002
        """Remember the queue of the last look."""
        self._queue = self._found


def read_queue(path: Path, called: str) -> Batch:
    """The jobs of a document of `squeue --json` that wait or run, as `Batch.open`.

    Clusters and attempts are left out: sacct and completion scripts do not say them, and all events
    of a job must say the same (of the cluster, unless it is the service's `history.home_cluster`).
    Slurm gives a job that is requeued another submit time.

    Raises TraceError, with `called` for the file, where it is no such document.
    """
    try:
        queue = read_squeue(path).jobs
    except TraceError as error:
        raise TraceError(str(error).replace(str(path), called)) from error
    malformed = queue["malformed"].drop_nulls()
    known = pl.col("submit_time").is_not_null() & pl.col("job_id").is_not_null()
    is_open = pl.col("state").is_in([*WAITING, *ACTIVE])
    jobs = queue.filter(pl.col("malformed").is_null() & known & is_open)
    absent = [name for name in JOB_SCHEMA if name not in jobs.columns]
    jobs = jobs.with_columns(
        *(pl.lit(None, JOB_SCHEMA[name]).alias(name) for name in absent),
        pl.lit(None, pl.String).alias("cluster"),
        pl.lit(None, pl.Float64).alias("attempt"),
    ).select(*JOB_SCHEMA)
    reason = malformed[0] if len(malformed) else ""
    return Batch(pl.DataFrame(schema=JOB_SCHEMA), (len(malformed), reason), open=jobs)
