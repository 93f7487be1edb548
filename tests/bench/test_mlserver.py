"""The comparison with MLServer: programs in its place say what it would say."""

import json
import sys
from pathlib import Path

import pytest

from rt_predictor.bench import mlserver
from rt_predictor.bench.figures import Figure
from rt_predictor.bench.jobs import JobSource
from rt_predictor.bench.plan import BenchPlan
from rt_predictor.errors import ServiceError

PRODUCTION = Path(__file__).resolve().parents[2] / "artifacts/production"


@pytest.fixture
def plan() -> BenchPlan:
    return BenchPlan(PRODUCTION, JobSource.generated(), rounds=2, scale=0.002)


def _program(path: Path, body: str) -> Path:
    path.write_text(f"#!{sys.executable}\nimport sys\n{body}\n")
    path.chmod(0o700)
    return path


def test_each_round_gives_a_value_in_its_unit(plan: BenchPlan, tmp_path: Path) -> None:
    said = {name.removeprefix("mlserver."): [3.0, 5.0] for name in mlserver.NAMES}
    _program(tmp_path / "mlserver", "import time\ntime.sleep(60)")
    seen = tmp_path / "seen.json"
    python = _program(
        tmp_path / "python",
        "import json, pathlib\n"
        f"folder = pathlib.Path(sys.argv[4]).parent\n"
        f"pathlib.Path({str(seen)!r}).write_text(json.dumps([sys.argv[2:], "
        "(folder / 'model-settings.json').read_text(), (folder / 'model.bst').stat().st_size]))\n"
        f"print({json.dumps(said)!r})",
    )
    figures = mlserver.measure(plan, python)
    assert figures["mlserver.alone_p50_ms"] == Figure((3.0, 5.0), "ms")
    assert figures["mlserver.batch_per_s"] == Figure((3.0, 5.0), "1/s")
    assert set(figures) == set(mlserver.NAMES)
    arguments, model_settings, model_bytes = json.loads(seen.read_text())
    assert arguments[0].startswith("127.0.0.1:")
    assert arguments[-3:] == ["20", "64", "2"]
    assert json.loads(model_settings)["implementation"] == "mlserver_lightgbm.LightGBMModel"
    assert model_bytes > 100_000  # as many trees as the bundle has


def test_an_environment_without_it_is_told_what_to_install(plan: BenchPlan, tmp_path: Path) -> None:
    with pytest.raises(ServiceError, match="install mlserver and mlserver-lightgbm there"):
        mlserver.measure(plan, tmp_path / "python")


def test_what_keeps_it_from_answering_is_said(plan: BenchPlan, tmp_path: Path) -> None:
    _program(tmp_path / "mlserver", "import time\ntime.sleep(60)")
    python = _program(tmp_path / "python", "sys.exit('MLServer did not become ready')")
    with pytest.raises(ServiceError, match="MLServer did not become ready"):
        mlserver.measure(plan, python)
