"""Predicts jobs as they come, one a line: python examples/stream_jobs.py [HOST:PORT] < jobs.jsonl

A line is a JSON object of the fields of a job: {"processors_req": 4, "time_req": 3600}
"""

import asyncio
import json
import sys
from collections.abc import AsyncIterator

from rt_predictor.client import Client, Job, Prediction


async def lines() -> AsyncIterator[Job]:
    """A job for each line, as soon as it is there."""
    while line := await asyncio.to_thread(sys.stdin.readline):
        yield Job(**json.loads(line), partial=True)


async def main(target: str) -> None:
    """Answers each line with one line."""
    async with Client(target) as client:
        async for answer in client.stream(lines()):
            if isinstance(answer, Prediction):
                print(f"{answer.predicted_runtime:.0f} s", flush=True)
            else:
                print(f"refused: {answer.message}", flush=True)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else "localhost:50051"))
