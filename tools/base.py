"""Trains the base model on the public job logs: `make base`.

    python tools/base.py [-o DIR] [--traces DIR] [--without CENTRE ...] [--weights F] [--config F]

Writes artifacts/production, with a model card that names every log and whom its terms ask to thank.
Of the eleven logs that accuracy is measured on, only what had ended before the 70 % mark is learned
from. `--without` leaves all logs of a centre out: such a model has never seen that site.
`--weights` takes the weights.npz of a network that has learned from these logs already, and makes
all the rest of the bundle anew.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(PROJECT))

from public_logs import PUBLIC_LOGS  # noqa: E402

from rt_predictor.errors import RTPredictorError  # noqa: E402
from rt_predictor.settings import load_settings  # noqa: E402
from rt_predictor.training.base import BaseLog, train_base  # noqa: E402
from rt_predictor.training.model_graph import weights_of  # noqa: E402
from rt_predictor.training.prepare import prepare_log  # noqa: E402

CENTRES = sorted({log.centre for log in PUBLIC_LOGS})


class _Steps:
    """Writes steps, and each tenth of the whole, to stderr."""

    def __init__(self) -> None:
        self._started_s = time.monotonic()
        self._said = ("", -1)

    def __call__(self, step: str, share: float) -> None:
        now = (step, int(10 * share))
        if now != self._said:
            self._said = now
            passed_s = time.monotonic() - self._started_s
            print(f"  {passed_s:6.0f} s  {share:4.0%}  {step}", file=sys.stderr, flush=True)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    production = PROJECT / "artifacts" / "production"
    parser.add_argument("--output", "-o", type=Path, metavar="DIR", default=production)
    parser.add_argument("--traces", type=Path, default=PROJECT.parent / "shared" / "traces")
    parser.add_argument("--without", choices=CENTRES, action="append", default=[])
    parser.add_argument("--weights", type=Path, metavar="F", help="weights.npz to keep")
    parser.add_argument("--config", type=Path, help="settings file (TOML)")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Read, prepare, train and write; 0 if all went well."""
    options = _options(arguments)
    chosen = [log for log in PUBLIC_LOGS if log.centre not in options.without]
    if absent := [log.file for log in chosen if not (options.traces / log.file).exists()]:
        print(f"{options.traces} lacks {', '.join(absent)}: say --traces DIR", file=sys.stderr)
        return 1
    try:
        settings = load_settings(options.config)
        logs = []
        for log in chosen:
            print(f"reading {log.name} ...", file=sys.stderr, flush=True)
            prepared = prepare_log(log.read(options.traces), log.name)
            logs.append(BaseLog(prepared, log.centre, log.acknowledgement, log.judged))
        start = weights_of(options.weights.read_bytes()) if options.weights else None
        bundle = train_base(logs, options.output, settings, _Steps(), start=start)
    except RTPredictorError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"wrote model {bundle.info.model_version} to {options.output}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
