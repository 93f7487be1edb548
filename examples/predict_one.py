"""Predicts one job: python examples/predict_one.py [HOST:PORT]"""

import asyncio
import sys

from rt_predictor.client import Client, Job


async def main(target: str) -> None:
    """Asks, and prints the answer."""
    job = Job(
        processors_req=32,
        nodes_req=4,
        mem_req=128_000,
        time_req=3600,
        partition="normal",
        qos="normal",
        user="alice",
    )
    async with Client(target) as client:
        answer = await client.predict(job)
    print(f"runs for {answer.predicted_runtime:.0f} s,")
    print(f"between {answer.confidence_lower:.0f} s and {answer.confidence_upper:.0f} s")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else "localhost:50051"))
