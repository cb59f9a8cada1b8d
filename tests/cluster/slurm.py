"""A real Slurm cluster of one node on this machine's loopback, in a directory of its own."""

import getpass
import os
import shlex
import shutil
import socket
import subprocess
import time
from pathlib import Path

import psutil

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scontrol", "scancel", "srun")
SEARCH = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])

# CPUS and MEMORY_MB are what the cluster believes to have (config_overrides), so that what runs
# side by side does not depend on the machine. Memory is watched by asking for each process's
# size every second: without cgroups, which a container may not change, the kernel watches nothing.
CPUS = 2
MEMORY_MB = 16000
CONFIG = """\
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller_port}
SlurmdPort={node_port}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={base}/munge.socket
StateSaveLocation={base}/state
SlurmdSpoolDir={base}/spool
SlurmctldPidFile={base}/slurmctld.pid
SlurmdPidFile={base}/slurmd.pid
SlurmctldLogFile={base}/slurmctld.log
SlurmdLogFile={base}/slurmd.log
MailProg=/bin/true
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=1
JobAcctGatherParams=OverMemoryKill
SlurmdParameters=config_overrides
ReturnToService=2
SchedulerParameters=sched_min_interval=0
SlurmdTimeout=10
KillWait=2
MinJobAge=3600
GresTypes=gpu
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory={memory} Gres=gpu:1
PartitionName=main Nodes={host} Default=YES MaxTime=INFINITE State=UP
PartitionName=gpu Nodes={host} MaxTime=INFINITE State=UP
"""


class Unavailable(Exception):
    """There can be no Slurm here; the message says why."""


def install():
    """Install Slurm with apt-get where it is missing. Raises Unavailable where that fails."""
    missing = [name for name in PROGRAMS if not shutil.which(name, path=SEARCH)]
    if not missing:
        return
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise Unavailable(f"no {', '.join(missing)} here, and only root can apt-get install them")
    # Runlevel 1: Debian's packages then start no service of their own.
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
    packages = ["slurm-wlm", "munge"]
    for words in (["update"], ["install", "-y", "--no-install-recommends", *packages]):
        run = subprocess.run(
            ["apt-get", "-q", *words], env=environment, capture_output=True, text=True, check=False
        )
    if run.returncode != 0:
        raise Unavailable(f"apt-get could not install Slurm: {run.stderr.strip()[-300:]}")


def free_ports(count):
    """Ports that nothing listens on."""
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def wait_until(condition, seconds, what):
    """Return the condition's first true value; fail when it takes too long."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if value := condition():
            return value
        time.sleep(0.1)
    raise AssertionError(f"waited {seconds} s in vain: {what}")


class Cluster:
    """munged, slurmctld and slurmd, with their state and logs in one directory."""

    def __init__(self, base):
        self.base = Path(base)
        self.daemons = {}
        # Only processes of this cluster have this SLURM_CONF: see `processes`.
        self.environment = {
            "SLURM_CONF": str(self.base / "slurm.conf"),
            "PATH": os.pathsep.join([str(self.base / "bin"), SEARCH]),
        }

    def start(self):
        """Configure and start; returns when the node takes jobs."""
        for folder in ("bin", "state", "spool"):
            (self.base / folder).mkdir(parents=True)
        self.base.chmod(0o755)
        key = self.base / "munge.key"
        key.write_bytes(os.urandom(128))
        key.chmod(0o400)
        controller_port, node_port = free_ports(2)
        config = CONFIG.format(
            base=self.base,
            host=socket.gethostname().split(".")[0],
            user=getpass.getuser(),
            cpus=CPUS,
            memory=MEMORY_MB,
            controller_port=controller_port,
            node_port=node_port,
        )
        (self.base / "slurm.conf").write_text(config, encoding="utf-8")
        # The plugin drops the variables named SLURM_* where it calls srun. An ordinary cluster does
        # not mind: its configuration is in /etc.
        srun = self.base / "bin" / "srun"
        settings = shlex.quote(self.environment["SLURM_CONF"])
        srun.write_text(
            f'#!/bin/sh\nSLURM_CONF={settings} exec {shutil.which("srun", path=SEARCH)} "$@"\n'
        )
        srun.chmod(0o755)
        # A GPU that Slurm can count and hand out, though there is none.
        (self.base / "gres.conf").write_text("Name=gpu File=/dev/null\n", encoding="utf-8")
        for name in ("munged", "slurmctld", "slurmd"):
            self.start_daemon(name)
        wait_until(lambda: "idle" in self.command("sinfo", "-h", "-o", "%T"), 30, "an idle node")

    def start_daemon(self, name):
        """Start one of the daemons in the foreground; it ends with this process at the latest."""
        if name == "munged":
            files = [f"--{k}={self.base}/munge.{k.split('-')[0]}" for k in ("key-file", "socket")]
            files += [f"--{k}-file={self.base}/munge.{k}" for k in ("pid", "log", "seed")]
            words = ["munged", "--foreground", *files]
        else:
            words = [name, "-D"]
        with open(self.base / f"{name}.out", "ab") as output:
            self.daemons[name] = subprocess.Popen(
                ["setpriv", "--pdeathsig", "TERM", *words],
                env=os.environ | self.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        if name == "munged":
            wait_until((self.base / "munge.socket").exists, 10, "munged's socket")

    def stop_daemon(self, name):
        """Stop one of the daemons."""
        daemon = self.daemons.pop(name)
        daemon.terminate()
        try:
            daemon.wait(20)
        except subprocess.TimeoutExpired:
            daemon.kill()
            daemon.wait()

    def command(self, *words):
        """What a Slurm command prints; nothing if it fails."""
        run = subprocess.run(
            words, env=os.environ | self.environment, capture_output=True, text=True, check=False
        )
        return run.stdout.strip() if run.returncode == 0 else ""

    def jobs(self):
        """Each job that the controller remembers: id, state, memory, time limit."""
        lines = self.command("squeue", "-h", "-t", "all", "-o", "%i|%T|%m|%l").splitlines()
        return [line.split("|") for line in sorted(lines, key=lambda line: int(line.split("|")[0]))]

    def running(self):
        """Ids of the running jobs."""
        return [job[0] for job in self.jobs() if job[1] == "RUNNING"]

    def processes(self):
        """Every process of this cluster: its daemons, its jobs, and what they started."""
        found = []
        for process in psutil.process_iter():
            try:
                if process.environ().get("SLURM_CONF") == self.environment["SLURM_CONF"]:
                    found.append(process)
            except psutil.Error:
                pass
        return found

    def stop(self):
        """Cancel the jobs, stop the daemons, and see to it that no process is left."""
        if "slurmctld" in self.daemons:
            self.command("scancel", "--user", getpass.getuser())
        for name in ("slurmd", "slurmctld", "munged"):
            if name in self.daemons:
                self.stop_daemon(name)
        left = self.processes()
        for process in left:
            process.kill()
        psutil.wait_procs(left, timeout=10)
