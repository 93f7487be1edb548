"""Measures what the job_submit hook costs a submission, on a Slurm of one node on this machine.

    python tools/slurm/latency.py [--submissions N]

Prints a table for docs/slurm.md. Jobs are submitted held, so nothing but submitting is measured; no
two are alike, so the agent has no answer kept. It needs what cluster.py needs, and takes about a
minute.
"""

import argparse
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(Path(__file__).resolve().parent))

from cluster import PATIENCE_S, Cluster, cluster, free_ports, missing  # noqa: E402

AT_ONCE = 4
"""sbatch processes at a time, for submissions/s."""
_NEVER = 1_000_000
_SETTLES_S = 3.0
"""Time in which the agent finds out that the service is there, or gone."""
_HEADER = (
    "| | slurmctld p50, ms | p99 | sbatch p50, ms | p99 | submissions/s | predicted |",
    "|---|---:|---:|---:|---:|---:|---:|",
)
_SERVED = re.compile(r"REQUEST_SUBMIT_BATCH_JOB\s.*total_time:(\d+)")


def row(name: str, site: Cluster, submissions: int) -> str:
    """A row of the table: submits one after the other, then several at once."""
    number = iter(range(10**9))

    def submit(_: int) -> float:
        begun_s = time.perf_counter()
        # The length of a name changes nothing but the answer that might have been kept.
        found = site.run("sbatch", "--hold", "-t", "2-0", "-J", f"{name}{next(number)}",
                         "--output=/dev/null", "--wrap", "true")  # fmt: skip
        if found.returncode:
            raise SystemExit(f"sbatch was refused: {found.stderr}")
        return time.perf_counter() - begun_s

    known = _predicted(site)
    site.run("sdiag", "--reset")
    took_ms, served_ms = [], []
    for n in range(submissions):
        took_ms.append(1000 * submit(n))
        served_ms.append(_served_ms(site) - sum(served_ms))
    begun_s = time.perf_counter()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(submit, range(submissions)))
    rate = submissions / (time.perf_counter() - begun_s)
    share = (_predicted(site) - known) / (2 * submissions)
    site.run("scancel", "--user=root")
    inside, outside = (
        " | ".join(f"{_quantile(values, at):.1f}" for at in (0.5, 0.99))
        for values in (served_ms, took_ms)
    )
    return f"| {name} | {inside} | {outside} | {rate:.0f} | {share:.0%} |"


def _predicted(site: Cluster) -> int:
    """Jobs that the cluster knows of and that carry a prediction."""
    return site.run("scontrol", "show", "job").stdout.count("AdminComment=rt_predictor")


def _served_ms(site: Cluster) -> float:
    """Time that slurmctld has spent on submissions, hooks included."""
    found = _SERVED.search(site.run("sdiag").stdout)
    return int(found[1]) / 1000 if found else 0.0


def _quantile(values: Sequence[float], share: float) -> float:
    return sorted(values)[round(share * (len(values) - 1))]


@contextmanager
def program(*arguments: object, until: str, **settings: str) -> Iterator[subprocess.Popen[str]]:
    """`rt-predictor` with arguments, once it has logged a line with `until`."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("RT_PREDICTOR_")}
    process = subprocess.Popen(
        [sys.executable, "-m", "rt_predictor", *map(str, arguments)], cwd=PROJECT, text=True,
        stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, env={**kept, **settings},
    )  # fmt: skip
    try:
        assert process.stderr is not None
        for line in process.stderr:
            if until in line:
                break
        else:
            raise SystemExit(f"rt-predictor {arguments[0]} does not start")
        yield process
    finally:
        process.send_signal(signal.SIGCONT)
        process.terminate()
        try:
            process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def rows(submissions: int) -> Iterator[str]:
    """All rows, one after the other."""
    with cluster(hooks=()) as site:
        yield row("no hook", site, submissions)
    with ExitStack() as stack:
        (port,) = free_ports(1)
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        history = {"RT_PREDICTOR_HISTORY__PATH": f"{folder}/history.sqlite"}
        serve = ("serve", "--port", port, "--metrics-port", 0)
        service = stack.enter_context(program(*serve, until="serving", **history))
        target = ("--target", f"localhost:{port}")
        with cluster(hooks=("job_submit", "cli_filter")) as site, agent_of(site, *target):
            yield row("service up, cli_filter too", site, submissions)
        site = stack.enter_context(cluster(hooks=("job_submit",)))
        agent = stack.enter_context(agent_of(site, *target))
        yield row("service up", site, submissions)
        service.kill()
        service.wait()
        time.sleep(_SETTLES_S)
        yield row("service down", site, submissions)
        agent.send_signal(signal.SIGSTOP)
        yield row("agent hung", site, submissions)
        site.configure_hooks(failures=_NEVER)
        yield row("agent hung, hook never pauses", site, submissions)
        site.off_file.touch()
        yield row("switched off", site, submissions)


@contextmanager
def agent_of(site: Cluster, *arguments: object) -> Iterator[subprocess.Popen[str]]:
    """An agent for the hooks of a cluster, once it has found the service."""
    with program("agent", "--socket", site.socket, *arguments, until="listening") as agent:
        time.sleep(_SETTLES_S)
        yield agent


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints the table; 0 if all went well."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--submissions", type=int, default=300, help="jobs of each kind and row")
    submissions: int = parser.parse_args(arguments).submissions
    if lacking := missing():
        print(f"cannot measure here: {lacking}", file=sys.stderr)
        return 1
    print(*_HEADER, sep="\n")
    for line in rows(submissions):
        print(line, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
