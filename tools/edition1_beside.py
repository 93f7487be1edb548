"""Measures this edition beside edition 1.0, in turns on one machine.

    python tools/edition1_beside.py [--rounds 5] [--calls 500] [--python PYTHON]

Each starts its own committed bundle with one worker. Printed are, of both and as a ratio: the time
from the start of the process until it serves, the median latency of `Predict` for a caller who is
alone, predictions a second of batches of 10,000 jobs, the memory of the worker after these, and the
time in the graph alone, of one row and a row of many, on one thread. Figures are medians of the
rounds. Edition 1.0 is made as `tools/edition1.py` makes it, under build/edition1.
"""

import argparse
import asyncio
import statistics
import sys
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

PROJECT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(PROJECT))

import numpy as np  # noqa: E402
import onnxruntime as ort  # noqa: E402
from edition1 import Edition1Error, prepare  # noqa: E402

from rt_predictor.api.v1 import rt_predictor_pb2 as pb  # noqa: E402
from rt_predictor.api.v1 import rt_predictor_pb2_grpc as pb_grpc  # noqa: E402
from rt_predictor.bench.jobs import JobSource  # noqa: E402
from rt_predictor.bench.load import at_once  # noqa: E402
from rt_predictor.bench.processes import Program, service  # noqa: E402
from rt_predictor.client import Access  # noqa: E402

BATCH_JOBS, BATCHES = 10_000, 4
MANY_ROWS = 512
"""Rows of the graph in bulk."""
_GRAPH_TIMES = {1: 400, MANY_ROWS: 20}
_BUNDLE = Path("artifacts") / "production"
_ANY_SIZE = (("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1))

NOW, BEFORE = "this edition", "edition 1.0"
Figures = Mapping[str, list[float]]


@dataclass(frozen=True)
class Edition:
    """A program with the bundle that it comes with."""

    program: Program
    graph: str
    """File of its graph."""

    @property
    def bundle(self) -> Path:
        """Return the folder of its bundle."""
        return self.program.source / _BUNDLE


def served(edition: Edition, jobs: JobSource, calls: int) -> dict[str, float]:
    """Start the service of an edition and return its figures, by name and unit."""
    with service(edition.bundle, program=edition.program) as running:
        found = asyncio.run(_asked(running.target, jobs, calls))
    return {"ready, s": running.ready_s, **found}


async def _asked(target: str, jobs: JobSource, calls: int) -> dict[str, float]:
    async with Access().channel(target, _ANY_SIZE) as channel:
        stub: pb_grpc.RuntimePredictorAsyncStub = pb_grpc.RuntimePredictorStub(channel)
        await at_once(stub.Predict, jobs.messages(calls // 5), 1)  # warms up
        _, latencies = await at_once(stub.Predict, jobs.messages(calls), 1)
        batches = [pb.PredictBatchRequest(jobs=jobs.messages(BATCH_JOBS)) for _ in range(BATCHES)]
        started = perf_counter()
        for batch in batches:
            answer = await stub.PredictBatch(batch)
            if answer.failed or len(answer.predictions) != BATCH_JOBS:
                raise RuntimeError(f"{target} did not answer a batch whole: no figure would count")
        seconds = perf_counter() - started
        health = await stub.HealthCheck(pb.HealthCheckRequest())
    return {
        "Predict alone, ms": statistics.median(latencies) * 1e3,
        "batches, 1/s": BATCH_JOBS * BATCHES / seconds,
        "memory of the worker, MiB": health.memory_bytes / 2**20,
    }


def graph_timer(edition: Edition) -> Callable[[int], float]:
    """Return what times a graph on one thread: (rows) -> us a row."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    path = edition.bundle / edition.graph
    session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    (given,) = session.get_inputs()
    width, random = given.shape[1], np.random.default_rng(1)

    def us_a_row(rows: int) -> float:
        times = _GRAPH_TIMES[rows]
        inputs = random.random((times, rows, width), dtype=np.float32)
        started = perf_counter()
        for matrix in inputs:
            session.run(None, {given.name: matrix})
        return (perf_counter() - started) / times / rows * 1e6

    return us_a_row


def measure(editions: Mapping[str, Edition], rounds: int, calls: int) -> dict[str, Figures]:
    """Return the figures of each edition: [rounds] of each name."""
    jobs = JobSource.generated()
    timers = {name: graph_timer(edition) for name, edition in editions.items()}
    found: dict[str, defaultdict[str, list[float]]] = {n: defaultdict(list) for n in editions}
    for _ in range(rounds):
        for name, edition in editions.items():
            for figure, value in served(edition, jobs, calls).items():
                found[name][figure].append(value)
        for rows in _GRAPH_TIMES:
            for name, us_a_row in timers.items():
                found[name][f"graph, {rows} rows at once, us a row"].append(us_a_row(rows))
    return dict(found)


def table(found: Mapping[str, Figures]) -> str:
    """Return the figures as a table, with the median ratio of the rounds."""
    lines = [f"| | {BEFORE} | {NOW} | ratio |", "|---|---:|---:|---:|"]
    for figure, now in found[NOW].items():
        before = found[BEFORE][figure]
        ratio = statistics.median(a / b for a, b in zip(now, before, strict=True))
        old, new = statistics.median(before), statistics.median(now)
        lines.append(f"| {figure} | {old:,.4g} | {new:,.4g} | {ratio:.2f} |")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; 0 if both could be started."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--calls", type=int, default=500)
    parser.add_argument("--python", type=Path, help="interpreter of an environment to use")
    parser.add_argument("--build", type=Path, metavar="DIR", default=PROJECT / "build" / "edition1")
    options = parser.parse_args(arguments)
    try:
        old = prepare(options.build.resolve(), options.python)
    except Edition1Error as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    editions = {
        BEFORE: Edition(Program(old.source, old.python), "ensemble.onnx"),
        NOW: Edition(Program(PROJECT, Path(sys.executable)), "graph.onnx"),
    }
    print(table(measure(editions, options.rounds, options.calls)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
