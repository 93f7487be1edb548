"""MLServer with a LightGBM of as many trees, served from an environment of its own.

It is told ready features, and answers one number; no history, no intervals, no rules for jobs.
"""

import json
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from rt_predictor.bench.calls import MANY
from rt_predictor.bench.figures import Figures, Skipped, rounds, unit_of
from rt_predictor.bench.plan import BenchPlan
from rt_predictor.bench.processes import ended, free_ports
from rt_predictor.errors import ServiceError
from rt_predictor.features.request_features import REQUEST_FEATURES
from rt_predictor.settings import load_settings

_CALLS, _ROWS = 1500, 10_000
_LOAD = Path(__file__).with_name("mlserver_load.py")
_MODEL = "jobs"
_MOST_S = 600.0
NAMES = tuple(
    f"mlserver.{name}" for name in ("alone_p50_ms", "alone_p99_ms", "many_per_s", "batch_per_s")
)


def measure(plan: BenchPlan, python: Path) -> Figures:
    """Single calls, 64 in flight, and batches of 10,000 rows.

    Args:
        plan: how much is measured.
        python: an interpreter that has mlserver and mlserver-lightgbm.

    Raises ServiceError where MLServer does not start or answer.
    """
    if not _program(python).exists():
        raise ServiceError(
            f"no MLServer beside {python}: install mlserver and mlserver-lightgbm there"
        )
    if find_spec("lightgbm") is None:
        return dict.fromkeys(NAMES, Skipped("lightgbm not installed (extra `train`)"))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _write_model(folder, plan)
        with _served(folder, python) as target:
            found = _loaded(plan, python, target, folder)
    return {
        f"mlserver.{amount}": rounds(values, unit_of(amount)) for amount, values in found.items()
    }


def _program(python: Path) -> Path:
    return python.parent / "mlserver"


def _write_model(folder: Path, plan: BenchPlan) -> None:
    from rt_predictor.bench.noise import lightgbm_of, noise  # LightGBM need not be installed

    settings = load_settings().training
    trees = sum(
        booster.trees for booster in (settings.xgboost, settings.lightgbm, settings.catboost)
    )
    width = len(REQUEST_FEATURES)
    booster = lightgbm_of(*noise(plan, width), trees, settings.lightgbm.num_leaves)
    booster.save_model(folder / "model.bst")
    rows = np.random.default_rng(4).random((plan.count(_ROWS, 20), width), dtype=np.float32)
    np.save(folder / "rows.npy", rows)
    described = {
        "name": _MODEL,
        "implementation": "mlserver_lightgbm.LightGBMModel",
        "parameters": {"uri": "model.bst"},
    }
    (folder / "model-settings.json").write_text(json.dumps(described))


@contextmanager
def _served(folder: Path, python: Path) -> Iterator[str]:
    http, grpc, metrics = free_ports(3)
    settings = {
        "host": "127.0.0.1",
        "http_port": http,
        "grpc_port": grpc,
        "metrics_port": metrics,
        # In the server itself, which is quicker for one model than a worker process beside it.
        "parallel_workers": 0,
        "grpc_max_message_length": -1,
    }
    (folder / "settings.json").write_text(json.dumps(settings))
    process = subprocess.Popen(
        [_program(python), "start", folder],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    with ended(process):
        yield f"127.0.0.1:{grpc}"


def _loaded(plan: BenchPlan, python: Path, target: str, folder: Path) -> dict[str, Any]:
    counts = (plan.count(_CALLS, 20), MANY, plan.rounds)
    # As its input: by its path, Python would take the modules beside it for others of that name.
    given = (python, "-", target, _MODEL, folder / "rows.npy", *counts)
    done = subprocess.run(
        list(map(str, given)),
        input=_LOAD.read_text(),
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=_MOST_S,
        check=False,
    )
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines() or ["it said nothing"]
        raise ServiceError(f"MLServer cannot be measured: {lines[-1]}")
    found: dict[str, Any] = json.loads(done.stdout)
    return found
