"""Scores a Polars frame, the fastest way there is: python examples/score_frame.py [HOST:PORT]"""

import asyncio
import sys

import polars as pl

from rt_predictor.client import Client


async def main(target: str) -> None:
    """Scores 50,000 jobs, and prints some with their answers."""
    jobs = pl.select(
        time_req=pl.int_range(1, 50_001) * 60,
        processors_req=pl.int_range(50_000) % 64 + 1,
        partition=pl.lit("normal"),
    )
    # Several connections: a service of several workers spreads those over them.
    async with Client(target, timeout_s=60, connections=2) as client:
        answers = pl.concat([part async for part in client.predict_frame(jobs)])
    scored = pl.concat([jobs, answers], how="horizontal")
    print(scored.select("time_req", "predicted_runtime", "confidence_upper", "error").head())
    print(f"{len(scored)} jobs scored")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else "localhost:50051"))
