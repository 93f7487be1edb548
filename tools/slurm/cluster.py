"""A Slurm of one node on this machine, with the hooks in place: for tests and measurements.

It needs root, and Debian's slurm-wlm, munge and lua-socket. All of its files lie in one folder, it
listens on free ports of loopback, and it is gone when its context ends.
"""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

HOOKS = Path(__file__).resolve().parent
PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "scontrol", "sinfo", "scancel", "sdiag")
PATIENCE_S = 60.0
"""How long anything may take; nothing is measured by it."""
CGROUP_PLUGINS = ("cgroup/v1", "disabled")
"""Nothing here uses cgroups. The second is how newer Slurms say so; older ones do not know it."""
FILES = (
    "job_submit.lua", "cli_filter.lua", "rt_predictor.lua", "rt_predictor_jobs.lua",
    "rt_predictor_json.lua", "rt_predictor_jobcomp.sh",
)  # fmt: skip

_CONF = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.sock
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/slurmd
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmctldDebug={level}
SlurmdLogFile={folder}/slurmd.log
SlurmdParameters=config_overrides
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SchedulerParameters=sched_min_interval=100000,batch_sched_delay=0
ReturnToService=2
{hooks}
NodeName={host} NodeAddr=127.0.0.1 CPUs=8 RealMemory=100 State=UNKNOWN
PartitionName=normal Nodes=ALL Default=YES MaxTime=10-0 DefaultTime=60 State=UP
PartitionName=opted Nodes=ALL MaxTime=10-0 State=UP
"""
HOOK_LINES = {
    "job_submit": "JobSubmitPlugins=lua",
    "cli_filter": "CliFilterPlugins=lua",
    "jobcomp": "JobCompType=jobcomp/script\nJobCompLoc={folder}/etc/rt_predictor_jobcomp.sh",
}
"""What slurm.conf says of each hook."""


def missing() -> str:
    """What this machine lacks for a cluster; "" if nothing."""
    if os.geteuid() != 0:
        return "a Slurm of one's own needs root"
    absent = [name for name in PROGRAMS if shutil.which(name) is None]
    if absent:
        return f"not installed: {', '.join(absent)} (slurm-wlm, munge)"
    modules = Path("/usr/share/lua"), Path("/usr/local/share/lua")
    if not any(list(folder.glob("*/socket.lua")) for folder in modules):
        return "not installed: lua-socket"
    return ""


@dataclass(frozen=True)
class Cluster:
    """A running Slurm."""

    folder: Path
    controller: subprocess.Popen[bytes]

    @property
    def environment(self) -> dict[str, str]:
        """What makes Slurm's programs use it."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("SLURM_", "SBATCH_"))}
        return {**kept, "SLURM_CONF": str(self.folder / "etc" / "slurm.conf"), "USER": "root"}

    @property
    def socket(self) -> Path:
        """Where the hooks look for the agent."""
        return self.folder / "agent.sock"

    @property
    def spool(self) -> Path:
        """Where finished jobs are put."""
        return self.folder / "spool"

    @property
    def off_file(self) -> Path:
        """What switches the hooks off."""
        return self.folder / "off"

    def run(self, *command: object) -> subprocess.CompletedProcess[str]:
        """One of Slurm's programs, to its end."""
        return subprocess.run(
            [*map(str, command)], env=self.environment, cwd=self.folder, text=True, check=False,
            capture_output=True, stdin=subprocess.DEVNULL, timeout=PATIENCE_S,
        )  # fmt: skip

    def submit(self, *options: object, script: str = "true") -> "Submitted":
        """Submits a job. Raises AssertionError where it is refused."""
        command = ("sbatch", "--parsable", "--output=/dev/null", *options, "--wrap", script)
        found = self.run(*command)
        assert found.returncode == 0, f"sbatch was refused: {found.stderr}"
        return Submitted(int(found.stdout), found.stderr)

    def job(self, number: int) -> dict[str, str]:
        """What `scontrol show job` says of a job; AdminComment takes the rest of its line."""
        shown = self.run("scontrol", "show", "job", number).stdout
        fields: dict[str, str] = {}
        for line in map(str.strip, shown.splitlines()):
            if line.startswith(("AdminComment=", "Comment=", "Command=")):
                name, _, value = line.partition("=")
                fields[name] = value
            else:
                fields |= dict(part.split("=", 1) for part in line.split() if "=" in part)
        return fields

    def configure_hooks(self, **settings: object) -> None:
        """Writes the settings of the hooks, and makes slurmctld read them."""
        folder = self.folder / "etc"
        given = {"socket": str(self.socket), "off_file": str(self.off_file), **settings}
        lines = (f"{name} = {_lua(value)}," for name, value in given.items())
        (folder / "rt_predictor_conf.lua").write_text("return {\n" + "\n".join(lines) + "\n}\n")
        # slurmctld loads a script again whose time has changed, in whole seconds.
        hook = folder / "job_submit.lua"
        later_s = hook.stat().st_mtime + 2
        os.utime(hook, (later_s, later_s))


@dataclass(frozen=True)
class Submitted:
    """A job that was taken."""

    number: int
    said: str
    """What sbatch wrote on stderr."""


@contextmanager
def cluster(
    *, hooks: Iterable[str] = tuple(HOOK_LINES), level: str = "info", **settings: object
) -> Iterator[Cluster]:
    """A cluster that takes jobs, with these hooks and their settings; slurmctld logs at `level`.

    Raises RuntimeError where it does not start.
    """
    with ExitStack() as stack:
        # Sockets have short paths: a folder of pytest's may be too deep.
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="rtp-slurm-")))
        _write_files(folder, level, hooks)
        stack.enter_context(_process(_munged(folder), folder))
        _wait((folder / "munge.sock").is_socket, "munged", folder)
        conf = {"SLURM_CONF": str(folder / "etc" / "slurm.conf")}
        stack.callback(_end_steps, conf["SLURM_CONF"])
        controller = stack.enter_context(_process(("slurmctld", "-D"), folder, **conf))
        made = Cluster(folder, controller)
        made.configure_hooks(**settings)
        _start_node(made, stack, conf)
        yield made
        made.run("scancel", "--state=PENDING,RUNNING", "--user=root")


def _write_files(folder: Path, level: str, hooks: Iterable[str]) -> None:
    for name in ("etc", "state", "slurmd", "spool"):
        (folder / name).mkdir()
    for name in FILES:
        shutil.copy(HOOKS / name, folder / "etc")
    (folder / "etc" / "rt_predictor_jobcomp.conf").write_text(f"SPOOL={folder}/spool\n")
    (folder / "munge.key").write_bytes(os.urandom(128))
    (folder / "munge.key").chmod(0o400)
    (folder / "etc" / "slurm.conf").write_text(
        _CONF.format(
            host=socket.gethostname().partition(".")[0],
            folder=folder,
            level=level,
            ports=free_ports(2),
            hooks="\n".join(HOOK_LINES[name].format(folder=folder) for name in hooks),
        )
    )


def _munged(folder: Path) -> tuple[str, ...]:
    names = {"key-file": "munge.key", "socket": "munge.sock", "pid-file": "munge.pid",
             "log-file": "munge.log", "seed-file": "munge.seed"}  # fmt: skip
    return ("munged", "-F", "--force", *(f"--{name}={folder}/{at}" for name, at in names.items()))


def _start_node(made: Cluster, stack: ExitStack, conf: dict[str, str]) -> None:
    for plugin in CGROUP_PLUGINS:
        (made.folder / "etc" / "cgroup.conf").write_text(f"CgroupPlugin={plugin}\n")
        node = stack.enter_context(_process(("slurmd", "-D"), made.folder, **conf))
        if _takes_jobs(made, node):
            return
    raise RuntimeError(f"Slurm does not start: {_logs(made.folder)}")


def _takes_jobs(made: Cluster, node: subprocess.Popen[bytes]) -> bool:
    ends_s = time.monotonic() + PATIENCE_S
    while time.monotonic() < ends_s and made.controller.poll() is None:
        if node.poll() is not None:
            return False
        if made.run("sinfo", "-h", "-o", "%T").stdout.split()[:1] == ["idle"]:
            return True
        time.sleep(0.05)
    raise RuntimeError(f"Slurm does not start: {_logs(made.folder)}")


@contextmanager
def _process(
    command: Sequence[str], folder: Path, **environment: str
) -> Iterator[subprocess.Popen[bytes]]:
    """A daemon in the foreground; it is gone afterwards."""
    with (folder / f"{command[0]}.out").open("ab") as output:
        process = subprocess.Popen(
            command, env={**os.environ, **environment}, cwd=folder, stdin=subprocess.DEVNULL,
            stdout=output, stderr=output,
        )  # fmt: skip
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _end_steps(conf: str) -> None:
    """Ends what runs jobs of the cluster: it outlives slurmd, to tell a controller that is gone."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            name = (folder / "comm").read_text().strip()
            if name == "slurmstepd" and f"SLURM_CONF={conf}\0".encode() in (
                (folder / "environ").read_bytes()
            ):
                os.kill(int(folder.name), signal.SIGKILL)
        except OSError:
            pass  # it has ended meanwhile


def _wait(is_so: Callable[[], bool], what: str, folder: Path) -> None:
    ends_s = time.monotonic() + PATIENCE_S
    while not is_so():
        if time.monotonic() > ends_s:
            raise RuntimeError(f"{what} does not start: {_logs(folder)}")
        time.sleep(0.02)


def _logs(folder: Path) -> str:
    """The ends of all logs."""
    files = [*folder.glob("*.log"), *folder.glob("*.out")]
    return "\n".join(f"{path.name}: {path.read_text(errors='replace')[-1500:]}" for path in files)


def free_ports(count: int) -> list[int]:
    """Ports of this machine that nobody listens on now."""
    with ExitStack() as stack:
        made = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in made:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in made]


def _lua(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        return "{" + ", ".join(map(_lua, value)) + "}"
    return f'"{value}"' if isinstance(value, str) else str(value)
