"""What a shadow model costs the calls: latency of Predict without and with one, by turns.

    python tools/shadow_latency.py [--bundle DIR] [--shadow DIR] [--rounds N] [--calls N]

Starts three services on free ports of this machine: without a shadow model, with one that repeats
the usual share of the calls, and with one that repeats all. Figures are medians over the rounds;
ratios are taken within each round, to the service without.
"""

import argparse
import asyncio
import os
import sys
from collections import defaultdict
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(PROJECT))

import grpc  # noqa: E402

from rt_predictor.api.v1 import rt_predictor_pb2 as pb  # noqa: E402
from rt_predictor.api.v1 import rt_predictor_pb2_grpc as pb_grpc  # noqa: E402
from rt_predictor.bench.figures import Figure, quantile_ms, rounds  # noqa: E402
from rt_predictor.bench.jobs import JobSource  # noqa: E402
from rt_predictor.bench.load import a_second, at_once  # noqa: E402
from rt_predictor.bench.processes import Running, service  # noqa: E402

RATE = 200
"""Calls a second of the open loop."""
SERVICES = {"without": None, "with, a tenth": 0.1, "with, all": 1.0}
QUANTILES = {"p50": 0.5, "p99": 0.99}
LOADED_S = 60.0


@contextmanager
def _environment(**settings: str) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.update(settings)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


@contextmanager
def _service(bundle: Path, shadow: Path, share: float | None) -> Iterator[Running]:
    settings = {}
    if share is not None:
        settings["RT_PREDICTOR_MODEL__SHADOW_PATH"] = str(shadow)
        settings["RT_PREDICTOR_MODEL__SHADOW_SHARE"] = str(share)
    with _environment(**settings), service(bundle) as running:
        yield running


async def _until_loaded(stub: "pb_grpc.RuntimePredictorAsyncStub") -> None:
    async with asyncio.timeout(LOADED_S):
        while not (await stub.GetModelInfo(pb.GetModelInfoRequest())).shadow.model_version:
            await asyncio.sleep(0.2)


async def measure(options: argparse.Namespace) -> dict[str, dict[str, Figure]]:
    """Service -> amount -> its figure."""
    source = JobSource.generated()
    found: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    async with AsyncExitStack() as stack:
        stubs = {}
        for name, share in SERVICES.items():
            running = stack.enter_context(_service(options.bundle, options.shadow, share))
            channel = await stack.enter_async_context(grpc.aio.insecure_channel(running.target))
            stubs[name] = pb_grpc.RuntimePredictorStub(channel)
            if share is not None:
                await _until_loaded(stubs[name])
            await at_once(stubs[name].Predict, source.messages(300), 1)
        for number in range(options.rounds):
            turn = list(stubs.items())
            for name, stub in turn[number % 3 :] + turn[: number % 3]:
                alone = (await at_once(stub.Predict, source.messages(options.calls), 1))[1]
                opened = await a_second(stub.Predict, source.messages(options.calls), RATE)
                for quantile, share in QUANTILES.items():
                    found[name][f"alone {quantile}"].append(quantile_ms(alone, share))
                    found[name][f"{RATE}/s {quantile}"].append(quantile_ms(opened, share))
    return {
        name: {amount: rounds(values, "ms") for amount, values in amounts.items()}
        for name, amounts in found.items()
    }


def table(found: dict[str, dict[str, Figure]]) -> str:
    """The figures for people: ms, and the ratio to the service without, least to greatest."""
    (first, plain), *others = found.items()
    lines = [
        "| Predict | " + " | ".join(f"{name} shadow" if name == first else name for name in found),
        "|---|" + "---:|" * len(found),
    ]
    for amount, figure in plain.items():
        cells = [f"{figure.median:.2f} ms"]
        for _, amounts in others:
            ratio = amounts[amount].over(figure)
            spread = f"{min(ratio.values):.2f} to {max(ratio.values):.2f}"
            cells.append(f"{ratio.median:.2f} ({spread})")
        lines.append(f"| {amount} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> int:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    production = PROJECT / "artifacts" / "production"
    parser.add_argument("--bundle", type=Path, default=production)
    parser.add_argument("--shadow", type=Path, default=production)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--calls", type=int, default=500)
    print(table(asyncio.run(measure(parser.parse_args()))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
