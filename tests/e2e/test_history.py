"""History with real processes: what is acknowledged stays, and every worker knows it."""

import asyncio
import urllib.request
from pathlib import Path

import polars as pl
import pytest

from rt_predictor.api.sockets import shares_ports
from rt_predictor.client import Client, Job, Prediction
from rt_predictor.errors import ServiceError
from rt_predictor.eventlog.files import logs_set_aside, open_log
from rt_predictor.jobs.events import job_events
from rt_predictor.jobs.schema import REQUEST_SCHEMA
from rt_predictor.model.answer_flags import Flag
from rt_predictor.model.bundle import read_bundle
from rt_predictor.settings import Settings
from rt_predictor.traces.generate import generate_jobs
from rt_predictor.training.judged import judge_bundle
from rt_predictor.training.prepare import prepare_log
from tests.waiting import PATIENCE_S

from .conftest import Program, Service, running

EVENTS = generate_jobs(4000, seed=5).sort("end_time")
A_CALL = 100
COUNTS = ("processors_req", "nodes_req", "gpus_req")
ASKED = [pl.col(name).cast(int) if name in COUNTS else name for name in REQUEST_SCHEMA]
(USER,) = EVENTS["user"][:1]
JOB = Job(processors_req=4, time_req=3600, user=USER, partial=True)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "history.sqlite"


def at(path: Path) -> dict[str, str]:
    return {"RT_PREDICTOR_HISTORY__PATH": str(path)}


def client(service: Service) -> Client:
    return Client(service.target, timeout_s=PATIENCE_S)


def metric(service: Service, name: str) -> float:
    with urllib.request.urlopen(service.metrics_url, timeout=PATIENCE_S) as page:
        lines = page.read().decode().splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith(f"{name} "))


async def until_metric(service: Service, name: str, value: float) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while await asyncio.to_thread(metric, service, name) != value:
            await asyncio.sleep(0.05)


def recorded_ids(path: Path) -> list[str]:
    log = open_log(path)
    ids = log.read_after(0, 1_000_000).events["job_id"].to_list()
    log.close()
    return ids


async def test_kill_9_loses_no_acknowledged_outcome_and_counts_none_twice(
    bundle: Path, path: Path
) -> None:
    acknowledged: list[str] = []
    enough = asyncio.Event()

    async def record_all(client: Client) -> None:
        for call in EVENTS.iter_slices(A_CALL):
            await client.record(call)
            acknowledged.extend(call["job_id"])
            if len(acknowledged) >= 5 * A_CALL:
                enough.set()

    with running(bundle, **at(path)) as service:
        async with client(service) as some:
            recording = asyncio.create_task(record_all(some))
            await asyncio.wait_for(enough.wait(), PATIENCE_S)
            service.process.kill()
            with pytest.raises(ServiceError):
                await recording
    kept = recorded_ids(path)
    assert set(acknowledged) <= set(kept)
    assert 5 * A_CALL <= len(kept) == len(set(kept))

    with running(bundle, **at(path)) as service:
        async with client(service) as again:
            found = await again.record(EVENTS)
        assert (found.recorded, found.duplicates) == (len(EVENTS) - len(kept), len(kept))
        await until_metric(service, "rt_predictor_history_events", len(EVENTS))
    assert sorted(recorded_ids(path)) == sorted(EVENTS["job_id"])


@pytest.mark.skipif(not shares_ports(), reason="this system does not share ports")
async def test_every_worker_learns_what_one_was_told(bundle: Path, path: Path) -> None:
    with running(bundle, "--workers", 2, **at(path)) as service:

        async def knows_the_user() -> bool:
            async with client(service) as fresh:  # a connection of its own, to any worker
                return Flag.COLD_START_USER not in (await fresh.predict(JOB)).flags

        assert not any([await knows_the_user() for _ in range(6)])
        async with client(service) as one:
            assert (await one.record(EVENTS[:1])).recorded == 1
        async with asyncio.timeout(PATIENCE_S):
            while not all([await knows_the_user() for _ in range(12)]):
                await asyncio.sleep(0.05)


async def test_a_restart_reads_the_snapshot_and_not_the_log(bundle: Path, path: Path) -> None:
    with running(bundle, **at(path)) as service:
        async with client(service) as some:
            await some.record(EVENTS)
        await until_metric(service, "rt_predictor_history_events", len(EVENTS))
    with running(bundle, **at(path)) as service:
        await until_metric(service, "rt_predictor_history_events", len(EVENTS))
        assert metric(service, "rt_predictor_history_folded_total") == 0
        async with client(service) as some:
            assert Flag.COLD_START_USER not in (await some.predict(JOB)).flags


async def test_a_damaged_log_stops_nothing_and_is_told_of(bundle: Path, path: Path) -> None:
    path.write_bytes(b"this is no database" * 1000)
    workers = 2 if shares_ports() else 1
    with running(bundle, "--workers", workers, **at(path)) as service:
        async with client(service) as some:
            assert (await some.predict(JOB)).predicted_runtime > 0
            health = await some.health()
            assert (health.status, health.components["history"]) == ("DEGRADED", "DEGRADED")
            assert "a damaged log was set aside as history.sqlite.damaged-" in health.message
            assert (await some.record(EVENTS)).recorded == len(EVENTS)
        said = [line["message"] for line in service.log]
        assert said.count("damaged history log set aside, a new one begun") == 1
    assert len(logs_set_aside(path)) == 1


async def test_a_log_that_cannot_be_written_stops_nothing(bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with running(bundle, **at(tmp_path / "file" / "history.sqlite")) as service:
        async with client(service) as some:
            assert (await some.predict(JOB)).predicted_runtime > 0
            with pytest.raises(ServiceError, match="cannot be opened"):
                await some.record(EVENTS[:5])
            assert (await some.health()).status == "DEGRADED"


async def test_a_job_log_goes_into_a_running_service_either_way(
    bundle: Path, path: Path, program: Program, tmp_path: Path
) -> None:
    traces = {name: tmp_path / f"{name}.parquet" for name in ("first", "second")}
    EVENTS[:1500].write_parquet(traces["first"])
    EVENTS[1000:].write_parquet(traces["second"])
    with running(bundle, **at(path)) as service:
        over_it = program("history", "import", traces["first"], "--target", service.target)
        assert over_it.returncode == 0, over_it.stderr
        assert over_it.stdout.startswith("1,500 records = 1,500 recorded in ")
        beside_it = program("history", "import", traces["second"], "--history", path)
        assert "= 2,500 recorded in" in beside_it.stdout
        assert "500 known already" in beside_it.stdout
        await until_metric(service, "rt_predictor_history_events", len(EVENTS))
        info = program("history", "info", "--history", path)
        assert "events    4,000" in info.stdout


async def test_without_history_outcomes_are_refused(bundle: Path) -> None:
    with running(bundle, RT_PREDICTOR_HISTORY__ENABLED="false") as service:
        async with client(service) as some:
            with pytest.raises(ServiceError, match=r"switched off \(history.enabled\)"):
                await some.record(pl.DataFrame(EVENTS[:1]))
            assert (await some.health()).status == "SERVING"


async def test_over_grpc_a_service_predicts_what_the_replay_of_an_evaluation_did_bit_for_bit(
    tiny_bundle: Path, tiny_log: pl.DataFrame, path: Path
) -> None:
    log = prepare_log(tiny_log, "log")
    replayed = judge_bundle(log, read_bundle(tiny_bundle), Settings(), lambda *_: None)
    events, asked = job_events(tiny_log), replayed.jobs
    answers: list[Prediction] = []
    with running(tiny_bundle, **at(path)) as service:
        async with client(service) as some:
            told = 0
            for step in asked.iter_slices(300):
                known = events["event_time"].search_sorted(step["submit_time"][-1], side="right")
                assert (await some.record_events(events[told:known])).recorded == known - told
                told = known
                await until_metric(service, "rt_predictor_history_folded_total", told)
                jobs = (Job(**job) for job in step.select(ASKED).iter_rows(named=True))
                async for answer in some.predict_many(jobs):
                    assert isinstance(answer, Prediction), answer
                    answers.append(answer)
    level = replayed.levels.index(0.9)
    assert [answer.predicted_runtime for answer in answers] == replayed.predicted_s.tolist()
    assert [answer.confidence_upper for answer in answers] == replayed.upper_s[:, level].tolist()
    for name, says in replayed.members.items():
        assert [answer.model_predictions[name] for answer in answers] == says.tolist(), name
