"""JSON lines that come through a pipe, answered as they come.

What has arrived is scored together and answered at once; nothing waits for a full batch.
"""

import asyncio
import os
import select
from collections.abc import AsyncIterator, Callable

from rt_predictor.cli.options import AnswerFormat
from rt_predictor.cli.scoring.inputs import checked
from rt_predictor.cli.scoring.outputs import encoded
from rt_predictor.cli.scoring.plain_lines import MAX_LINE_BYTES
from rt_predictor.cli.scoring.scorers import OpenScorer, score_jobs
from rt_predictor.cli.scoring.tables import read_lines
from rt_predictor.traces import ReadOptions

_BATCH_BYTES = 1 << 20


async def answer_lines(
    batches: AsyncIterator[list[bytes]],
    open_scorer: OpenScorer,
    reading: ReadOptions,
    write: Callable[[bytes], None],
) -> None:
    """Write an answer for each line, in their order.

    Raises ServiceError where who should answer does not; earlier lines have their answers then.
    """
    lines_seen = 0
    async with open_scorer() as scorer:
        async for lines in batches:
            jobs, unread = read_lines(lines, reading)
            requests = checked(jobs, unread, first_number=lines_seen + 1)
            table = await score_jobs(requests, scorer, len(lines))
            write(encoded(table, AnswerFormat.JSONL))
            lines_seen += len(lines)


async def arriving_lines(descriptor: int, head: bytes) -> AsyncIterator[list[bytes]]:
    """The lines of a file descriptor that are not blank, as many at a time as have arrived.

    `head` was read from it before. What goes beyond `MAX_LINE_BYTES` of a line is dropped, but for
    one byte, which tells that the line is too long.
    """
    rest = b""
    arrived = head or await _arrived(descriptor)
    while arrived:
        *whole, rest = (rest + arrived).split(b"\n")
        rest = rest[: MAX_LINE_BYTES + 1]
        if lines := [line[: MAX_LINE_BYTES + 1] for line in whole if line.strip()]:
            yield lines
        arrived = await _arrived(descriptor)
    if rest.strip():
        yield [rest]


async def _arrived(descriptor: int) -> bytes:
    """All that has arrived by now, once anything has; nothing at the end."""
    await _readable(descriptor)
    arrived = os.read(descriptor, _BATCH_BYTES)
    while arrived and len(arrived) < _BATCH_BYTES and _is_readable(descriptor):
        more = os.read(descriptor, _BATCH_BYTES)
        if not more:
            break
        arrived += more
    return arrived


async def _readable(descriptor: int) -> None:
    """Wait until there is something to read, or nothing will come any more."""
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    try:
        loop.add_reader(descriptor, ready.set)
    except PermissionError:
        # A file: there is nothing to wait for.
        return
    try:
        await ready.wait()
    finally:
        loop.remove_reader(descriptor)


def _is_readable(descriptor: int) -> bool:
    return bool(select.select([descriptor], [], [], 0)[0])
