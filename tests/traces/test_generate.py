from rt_predictor.jobs.rules import invalid_jobs
from rt_predictor.jobs.schema import JOB_SCHEMA
from rt_predictor.traces.generate import WorkloadShape, generate_jobs


def test_a_generated_log_has_the_schema_and_only_valid_jobs() -> None:
    jobs = generate_jobs(2000, seed=5)
    assert dict(jobs.schema) == dict(JOB_SCHEMA)
    assert len(jobs) == 2000
    assert invalid_jobs(jobs, partial=False) == {}
    assert jobs["submit_time"].is_sorted()
    assert jobs["end_time"].equals(jobs["start_time"] + jobs["runtime"], check_names=False)


def test_the_same_seed_gives_the_same_log() -> None:
    assert generate_jobs(300, seed=5).equals(generate_jobs(300, seed=5))
    assert not generate_jobs(300, seed=5).equals(generate_jobs(300, seed=6))


def test_drift_makes_later_jobs_longer() -> None:
    calm = generate_jobs(5000, seed=5)
    drifted = generate_jobs(5000, seed=5, shape=WorkloadShape(drift_at=0.5, drift_factor=3.0))
    third = len(calm) // 3
    assert calm["runtime"][:third].equals(drifted["runtime"][:third])
    assert drifted["runtime"][-third:].sum() > calm["runtime"][-third:].sum()


def test_jobs_come_in_arrays() -> None:
    jobs = generate_jobs(3000, seed=5)
    assert jobs["submit_time"].n_unique() < 0.5 * len(jobs)
