"""The real job logs beside the project: counts of their README, and sane values."""

from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from rt_predictor.jobs.outcomes import Skip
from rt_predictor.jobs.rules import invalid_jobs
from rt_predictor.jobs.schema import JOB_SCHEMA
from rt_predictor.traces import ReadOptions, Trace, TraceFormat, read_trace

pytestmark = pytest.mark.slow

TracePath = Callable[[str], Path]

UBCCR = "UBCCR-xdmod-pozidriv-2016-12.sacct.gz"
UBCCR_FIELDS = (
    *("jobid", "jobidraw", "cluster", "partition", "qos", "account", "group", "gid", "user"),
    *("uid", "submit", "eligible", "start", "end", "elapsed", "exitcode", "state", "nnodes"),
    *("ncpus", "reqcpus", "reqmem", "reqtres", "alloctres", "timelimit", "nodelist", "jobname"),
)
THETA = "ALCF-Theta-2022.swf.gz"
CURIE = "CEA-Curie-2011-2.1-cln.swf.gz"
CTC = "CTC-SP2-1996-pyss-easy.swf.gz"
BLUE = "SDSC-BLUE-2000-pyss-easy.swf.gz"
SP2 = "SDSC-SP2-1998-pyss-easy.swf.gz"
HPC2N = "HPC2N-2002-first3170.swf.gz"
KTH = "KTH-SP2-1996-2.swf.gz"
EAGLE = "NREL-Eagle-sample1000.csv.gz"
GRAHAM = "drac-graham-2021.sacct.gz"

JOBS = {
    THETA: 23_911,
    CURIE: 312_826,
    CTC: 77_199,
    BLUE: 232_542,
    SP2: 54_006,
    HPC2N: 3_145,
    KTH: 28_489,
    EAGLE: 1_000,
    UBCCR: 11_704,
    GRAHAM: 171_584,
}
USERS = {
    THETA: 0,
    CURIE: 582,
    CTC: 679,
    BLUE: 468,
    SP2: 428,
    HPC2N: 17,
    KTH: 214,
    EAGLE: 15,
    UBCCR: 18,
    GRAHAM: 670,
}
ZERO_RUNTIMES = {CURIE: 17_286, KTH: 8, UBCCR: 1_031}
MEDIAN_RUNTIME_S = {
    THETA: 3562,
    CURIE: 124,
    CTC: 1104,
    BLUE: 219,
    SP2: 357,
    HPC2N: 943,
    KTH: 847,
    EAGLE: 14171,
    UBCCR: 270,
    GRAHAM: 5186,
}
SPANS = {
    THETA: ("2022-01-01", "2022-12-31"),
    CURIE: ("2012-02-03", "2012-10-13"),
    HPC2N: ("2002-07-28", "2002-09-23"),
    KTH: ("1996-09-23", "1997-08-29"),
    EAGLE: ("2019-01-01", "2019-01-03"),
    UBCCR: ("2016-12-21", "2017-01-01"),
    GRAHAM: ("2021-04-24", "2021-06-30"),
}


@pytest.fixture(scope="module")
def real(trace_path: TracePath) -> Callable[[str], Trace]:
    """Reads a real log, once for the module."""
    read: dict[str, Trace] = {}

    def trace(name: str) -> Trace:
        if name not in read:
            options = ReadOptions(fields=UBCCR_FIELDS if name == UBCCR else ())
            read[name] = read_trace(trace_path(name), options=options)
        return read[name]

    return trace


Real = Callable[[str], Trace]


@pytest.mark.parametrize("name", JOBS)
def test_every_job_of_the_log_is_read(real: Real, name: str) -> None:
    trace = real(name)
    assert trace.jobs.height == JOBS[name]
    assert trace.jobs.height + sum(trace.skipped.values()) == trace.lines
    assert trace.malformed_count == 0
    assert trace.jobs["user"].drop_nulls().n_unique() == USERS[name]


def test_only_the_first_jobs_of_hpc2n_without_runtime_are_skipped(real: Real) -> None:
    assert {name: dict(real(name).skipped) for name in JOBS if real(name).skipped} == {
        HPC2N: {Skip.NO_RUNTIME: 25}
    }


@pytest.mark.parametrize("name", JOBS)
def test_jobs_have_the_schema_the_order_and_values_that_make_sense(real: Real, name: str) -> None:
    jobs = real(name).jobs
    assert dict(jobs.schema) == dict(JOB_SCHEMA)
    assert jobs["submit_time"].is_sorted()
    assert invalid_jobs(jobs, partial=True) == {}
    assert jobs.select(pl.col("submit_time", "start_time", "end_time", "runtime").has_nulls()).row(
        0
    ) == (False, False, False, False)
    assert jobs.select((pl.col("start_time") >= pl.col("submit_time")).all()).item()
    assert jobs.select((pl.col("end_time") >= pl.col("start_time")).all()).item()


@pytest.mark.parametrize("name", JOBS)
def test_runtimes_are_those_of_the_log(real: Real, name: str) -> None:
    runtime = real(name).jobs["runtime"]
    assert (runtime == 0).sum() == ZERO_RUNTIMES.get(name, 0)
    # The README counts the upper of two middle values.
    assert runtime.quantile(0.5, "higher") == pytest.approx(MEDIAN_RUNTIME_S[name], abs=1)


@pytest.mark.parametrize("name", SPANS)
def test_submit_times_are_in_the_years_of_the_log(real: Real, name: str) -> None:
    submit = pl.from_epoch(real(name).jobs["submit_time"].cast(pl.Int64))
    assert (str(submit[0])[:10], str(submit[-1])[:10]) == SPANS[name]


@pytest.mark.parametrize("name", [CTC, BLUE, SP2])
def test_simulated_schedules_are_noted_and_their_backfill_mark_is_no_partition(
    real: Real, name: str
) -> None:
    trace = real(name)
    assert trace.missing()["partition"] == 1.0
    assert len(trace.notes) == 3


@pytest.mark.parametrize(("name", "partitions"), [(CURIE, 18), (HPC2N, 1), (EAGLE, 5), (UBCCR, 7)])
def test_partitions_are_kept_where_they_are_real(real: Real, name: str, partitions: int) -> None:
    assert real(name).jobs["partition"].drop_nulls().n_unique() == partitions


def test_memory_is_requested_and_for_the_whole_job(real: Real) -> None:
    # A third of the jobs of HPC2N tell the memory they used; three tell what they requested.
    hpc2n = real(HPC2N).jobs["mem_req"].drop_nulls()
    assert hpc2n.to_list() == [800.0 * 16, 950.0 * 16, 950.0 * 16]
    assert real(EAGLE).jobs["mem_req"].drop_nulls().len() == 12
    small = real(UBCCR).jobs.filter(pl.col("processors_req") == 8)["mem_req"]
    assert set(small.unique()) >= {22400.0, 23000.0}
    assert real(UBCCR).jobs["mem_req"].max() <= 500 * 1024 * 4


def test_gpus_are_those_of_the_request(real: Real) -> None:
    jobs = real(GRAHAM).jobs
    assert (jobs["gpus_req"] > 0).sum() == 18_976 + 431
    assert real(GRAHAM).missing()["gpus_req"] == 0.0


def test_formats_are_told_from_the_files_themselves(real: Real) -> None:
    formats = {name: real(name).format for name in JOBS}
    assert formats[GRAHAM] is formats[UBCCR] is TraceFormat.SACCT
    assert formats[EAGLE] is TraceFormat.CSV
    assert {formats[name] for name in JOBS if ".swf" in name} == {TraceFormat.SWF}
