"""What security adds to a prediction: services with and without it, one call at a time, in turns.

    python tools/security_cost.py [--rounds 20] [--calls 300]

Prints the median latency of `Predict` for each, the least of the rounds' medians (most of what
other work on the machine adds is not in it), and the median over rounds of the ratio to the one
without.
"""

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(PROJECT))

import trustme  # noqa: E402

from rt_predictor.api.v1 import rt_predictor_pb2_grpc as pb_grpc  # noqa: E402
from rt_predictor.bench.jobs import JobSource  # noqa: E402
from rt_predictor.bench.load import at_once  # noqa: E402
from rt_predictor.bench.processes import service  # noqa: E402
from rt_predictor.client import Access  # noqa: E402
from rt_predictor.security.tokens import hash_of, new_token  # noqa: E402

BUNDLE = PROJECT / "artifacts" / "production"
TOKENS = 10
"""In the settings; each call is compared with all of them."""
OPEN = "without"


@dataclass(frozen=True)
class Side:
    """A service, and how it is reached."""

    settings: dict[str, str]
    access: Access


def sides(folder: Path) -> dict[str, Side]:
    """What is compared, by name; certificates go into the folder."""
    ca, token = trustme.CA(), new_token()
    issued = ca.issue_cert("127.0.0.1")
    ca_file, certificate, key = (folder / name for name in ("ca.pem", "server.pem", "server.key"))
    ca.cert_pem.write_to_path(ca_file)
    certificate.write_bytes(b"".join(part.bytes() for part in issued.cert_chain_pems))
    issued.private_key_pem.write_to_path(key)
    hashes = [hash_of(token), *(hash_of(new_token()) for _ in range(TOKENS - 1))]
    tokens = json.dumps(
        [{"name": f"client-{n}", "hash": one, "roles": ["predict"]} for n, one in enumerate(hashes)]
    )
    with_tls = _variables(CERTIFICATE=str(certificate), KEY=str(key))
    with_tokens = _variables(TOKENS=tokens)
    with_limits = _variables(
        CALLS_PER_SECOND_PER_CLIENT="1e6", BURST_PER_CLIENT="1000000", MAX_CALLS_PER_CLIENT="1000"
    )
    return {
        OPEN: Side({}, Access()),
        "tokens": Side(with_tokens, Access(token=token)),
        "TLS": Side(with_tls, Access(ca=ca_file)),
        "all, with limits": Side(
            with_tls | with_tokens | with_limits, Access(ca=ca_file, token=token)
        ),
    }


def _variables(**settings: str) -> dict[str, str]:
    return {f"RT_PREDICTOR_SECURITY__{name}": value for name, value in settings.items()}


async def measure(targets: dict[str, tuple[str, Access]], rounds: int, calls: int) -> None:
    """Asks all in turns, and prints what came of it."""
    source, found = JobSource.generated(), {name: list[float]() for name in targets}
    channels = {name: access.channel(target) for name, (target, access) in targets.items()}
    for turn in range(rounds + 1):
        for name, channel in channels.items():
            stub: pb_grpc.RuntimePredictorAsyncStub = pb_grpc.RuntimePredictorStub(channel)
            metadata = targets[name][1].metadata()
            _, latencies = await at_once(
                lambda job: stub.Predict(job, metadata=metadata),  # noqa: B023
                source.messages(calls),
                1,
            )
            if turn:  # the first is to warm up
                found[name].append(statistics.median(latencies) * 1000)
    for name, medians in found.items():
        ratio = statistics.median(a / b for a, b in zip(medians, found[OPEN], strict=True))
        print(f"{name:18} {min(medians):.3f} ms at least; {ratio:.2f} times the one without")
    await asyncio.gather(*(channel.close() for channel in channels.values()))


def main() -> int:
    """Measures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--calls", type=int, default=300)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        targets = {}
        for name, side in sides(Path(folder)).items():
            running = stack.enter_context(service(BUNDLE, environment=side.settings))
            targets[name] = running.target, side.access
        asyncio.run(measure(targets, chosen.rounds, chosen.calls))
    return 0


if __name__ == "__main__":
    sys.exit(main())
