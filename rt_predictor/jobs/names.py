"""Names of fields: what somebody may have meant by one that is not known."""

from collections.abc import Collection, Iterable, Mapping
from difflib import get_close_matches

_SYNONYMS: Mapping[str, str] = {
    "cores": "processors_req",
    "cpu": "processors_req",
    "cpus": "processors_req",
    "cpu_num": "processors_req",
    "ncpus": "processors_req",
    "cpus_req": "processors_req",
    "reqcpus": "processors_req",
    "ntasks": "processors_req",
    "procs": "processors_req",
    "num_cores_req": "processors_req",
    "nodes": "nodes_req",
    "node_num": "nodes_req",
    "nnodes": "nodes_req",
    "reqnodes": "nodes_req",
    "num_nodes_req": "nodes_req",
    "memory": "mem_req",
    "mem": "mem_req",
    "reqmem": "mem_req",
    "gpus": "gpus_req",
    "gpu_num": "gpus_req",
    "num_gpus_req": "gpus_req",
    "time_limit": "time_req",
    "timelimit": "time_req",
    "wallclock": "time_req",
    "wallclock_req": "time_req",
    "walltime": "time_req",
    "wall_time": "time_req",
    "queue": "partition",
    "vc": "partition",
    "user_id": "user",
    "user_name": "user",
    "username": "user",
    "uid": "user",
    "id_user": "user",
    "project": "account",
    "group": "account",
    "name": "job_name",
    "jobname": "job_name",
    "id": "job_id",
    "job": "job_id",
    "jobid": "job_id",
    "id_job": "job_id",
    "jobidraw": "job_id",
    "submit": "submit_time",
    "time_submit": "submit_time",
    "start": "start_time",
    "time_start": "start_time",
    "end": "end_time",
    "time_end": "end_time",
    "duration": "runtime",
    "elapsed": "runtime",
    "elapsedraw": "runtime",
    "run_time": "runtime",
    "job_state": "state",
    "status": "state",
}
"""Names that schedulers and data sets give a field, in small letters -> our name."""

_LEAST_LIKENESS = 0.6


def nearest_field(name: str, known: Collection[str]) -> str | None:
    """The known field that somebody meant by a name, where one is near enough to be named."""
    lower = name.strip().lower()
    meant = _SYNONYMS.get(lower)
    if meant in known:
        return meant
    return next(iter(get_close_matches(lower, known, n=1, cutoff=_LEAST_LIKENESS)), None)


def no_such_field(name: str, known: Collection[str]) -> str:
    """The rule that an unknown field breaks, in words that name the nearest field or all."""
    meant = nearest_field(name, known)
    return f"no such field; did you mean {meant}?" if meant else _none_near(known)


def _none_near(known: Iterable[str]) -> str:
    return f"no such field; there are {', '.join(known)}"


def unread_columns(names: Iterable[str], known: Collection[str]) -> str:
    """Columns of a table that are not read, in words, each with what it may have been meant to be.

    "" where there are none. `known` are the fields that no column was read as.
    """
    shown = []
    for name in names:
        meant = nearest_field(name, known)
        shown.append(f"{name} (as {meant}?)" if meant else name)
    return ", ".join(shown)
