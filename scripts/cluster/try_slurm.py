#!/usr/bin/env python3
"""Does scripts/cluster/slurm.sh do on a real SLURM what docs/cluster.md says?

Starts a cluster of this one machine in a temporary folder, runs the commands of docs/cluster.md on it with four shards, and
stops it again. The cluster has ports, a key and processes of its own and leaves alone one that is here already. Ends with 77
where something is missing: it needs root, Linux, and Debian's slurmctld, slurmd, slurm-client and munge.

    FEDROBUST=target/debug/fedrobust python3 scripts/cluster/try_slurm.py
"""

import csv
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
NEEDED = ["munged", "slurmctld", "slurmd", "sbatch", "scancel", "scontrol", "sinfo", "squeue", "unshare"]
SKIPPED = 77
# In a process namespace of its own everything ends with its first process, however that ends.
INSIDE = ["unshare", "--fork", "--pid", "--mount-proc", "--kill-child"]
# Seconds until everything must be done.
LIMIT = 240

# A run a shard; long enough that a task can be caught at work.
SCENARIO = """question = "Does SLURM run it?"
seeds = [1, 2, 3, 4]
strategy = "fedavg"

[data.synthetic]
samples = 90
classes = 3
clients = 5
modalities.sound = { width = 4, informativeness = 0.9 }

[model]
encoder.mlp = { hidden = 4 }
fusion = "concat"
head = 4

[train]
rounds = 1000
cohort = 1.0
optimizer.sgd = { lr = 0.1 }
"""

# CPUs and memory for four tasks, whatever the machine has. A task that is queued again waits until its credential has
# expired: here the least that SLURM takes, not two minutes.
CONF = """ClusterName=try
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=5
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerParameters=sched_interval=1
SlurmdParameters=config_overrides
NodeName={host} NodeAddr=127.0.0.1 CPUs=8 RealMemory=64000
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


def skip(why):
    print(f"skipped: {why}", file=sys.stderr)
    sys.exit(SKIPPED)


def free_ports(count):
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [it.getsockname()[1] for it in sockets]
    for it in sockets:
        it.close()
    return ports


class Cluster:
    def __init__(self, folder, binary):
        self.folder, self.end = folder, time.monotonic() + LIMIT
        foreign = ("SLURM", "SBATCH", "SQUEUE", "SINFO", "SCANCEL", "SCONTROL", "SHARDS", "FEDROBUST")
        self.env = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
        self.env |= {"SLURM_CONF": f"{folder}/slurm.conf", "PATH": f"{folder}/bin:{os.environ['PATH']}"}
        # Both the whole sweep and the tasks on the CPU: a GPU's numbers differ from it.
        self.env["CUDA_VISIBLE_DEVICES"] = ""
        for name in ["bin", "state", "spool", "scenarios"]:
            (folder / name).mkdir()
        (folder / "bin/fedrobust").symlink_to(binary)
        (folder / "scripts").symlink_to(ROOT / "scripts")
        (folder / "scenarios/quickstart.toml").write_text(SCENARIO)
        (folder / "scenarios/wrong.toml").write_text(SCENARIO.replace("rounds = ", "runds = "))
        conf = CONF.format(folder=folder, host=socket.gethostname().split(".")[0], ports=free_ports(2))
        (folder / "slurm.conf").write_text(conf)
        key = os.open(folder / "munge.key", os.O_WRONLY | os.O_CREAT, 0o600)
        os.write(key, os.urandom(128))
        os.close(key)

    def start(self):
        files = {"socket": "socket", "key-file": "key", "pid-file": "pid", "seed-file": "seed"}
        munge = [f"--{option}={self.folder}/munge.{name}" for option, name in files.items()]
        self.daemon("munged", "--foreground", "--force", *munge)
        self.wait("munged", lambda: (self.folder / "munge.socket").exists())
        self.daemon("slurmctld", "-D")
        self.daemon("slurmd", "-D")
        self.wait("the node", lambda: self.sh("sinfo --noheader --format=%T", check=False).strip() == "idle")

    def daemon(self, name, *options):
        with open(self.folder / f"{name}.log", "w") as log:
            subprocess.Popen([name, *options], cwd=self.folder, env=self.env, stdin=subprocess.DEVNULL,
                             stdout=log, stderr=subprocess.STDOUT)

    def left(self):
        return max(self.end - time.monotonic(), 1)

    def sh(self, command, check=True):
        ran = subprocess.run(command, shell=True, cwd=self.folder, env=self.env, stdin=subprocess.DEVNULL,
                             capture_output=True, text=True, timeout=self.left())
        assert ran.returncode == 0 or not check, f"{command}: exit code {ran.returncode}\n{ran.stdout}{ran.stderr}"
        return ran.stdout

    def wait(self, what, condition):
        while not condition():
            if time.monotonic() > self.end:
                raise AssertionError(f"waited in vain for {what}\n{self.sh('squeue --array; sinfo', check=False)}")
            time.sleep(0.2)

    def submit(self, command):
        return re.fullmatch(r"Submitted batch job (\d+)\n", self.sh(command))[1]

    def state(self, task):
        """Its state, how often it was queued again, and its exit code."""
        shown = self.sh(f"scontrol --oneliner show job {task}")
        return tuple(re.search(rf" {field}=(\S+)", shown)[1] for field in ["JobState", "Restarts", "ExitCode"])

    def ends(self, job):
        """Waits until nothing of the job is queued or runs."""
        self.wait(f"the end of job {job}", lambda: not self.sh(f"squeue --noheader --jobs={job}", check=False).strip())

    def works(self, task, shard):
        """Waits until a task has rounds on the disk and is still at work."""
        rows = lambda: list(self.folder.glob(f"results/quickstart-shards/{shard}/runs/*/rounds.csv"))
        before = [path.stat().st_size for path in rows()]
        self.wait(f"rounds of task {task}", lambda: [path.stat().st_size for path in rows()] > before)
        assert self.state(task)[0] == "RUNNING", f"{task} ended before it could be caught: {self.state(task)}"

    def saved(self, task):
        """The task's sweep said that it stopped with everything saved."""
        log = (self.folder / f"fedrobust-{task.replace('_', '-')}.log").read_text()
        assert "stopped after the round under way" in log, log

    def tables(self, out):
        """All columns but times."""
        def rows(path):
            with open(path, newline="") as file:
                return [{name: cell for name, cell in row.items() if name != "seconds"} for row in csv.DictReader(file)]
        return [rows(self.folder / "results" / out / name) for name in ["runs.csv", "rounds.csv", "summary.csv"]]


def documented():
    """The three calls of sbatch in docs/cluster.md, for four shards."""
    lines = (ROOT / "docs/cluster.md").read_text().splitlines()
    lines = [line for line in lines if re.match(r"(\w+=\S+ )?sbatch ", line)]
    assert len(lines) == 3, lines
    for long, short in [("1-16", "1-4"), ("SHARDS=16", "SHARDS=4"), ("5,9", "2,3")]:
        lines = [line.replace(long, short) for line in lines]
    return lines


def check(cluster):
    whole, merge, repeat = documented()
    cluster.sh("fedrobust run scenarios/quickstart.toml --quiet --out results/whole")

    job = cluster.submit(whole)
    cluster.works(f"{job}_2", "2-of-4")
    cluster.sh(f"scancel {job}_2")
    wrong = cluster.submit(whole.replace("1-4", "1-1").replace("quickstart", "wrong"))
    cluster.ends(job)
    for task in [1, 3, 4]:
        assert cluster.state(f"{job}_{task}") == ("COMPLETED", "0", "0:0"), cluster.state(f"{job}_{task}")
    state = cluster.state(f"{job}_2")
    assert state[:2] == ("CANCELLED", "0"), f"a task that was cancelled queued itself again: {state}"
    cluster.saved(f"{job}_2")
    cluster.ends(wrong)
    assert cluster.state(f"{wrong}_1") == ("FAILED", "0", "2:0"), cluster.state(f"{wrong}_1")

    # The signal that SLURM sends before the time is up, as slurm.sh asks for it.
    signal = re.search(r"--signal=B:(\w+)@", (ROOT / "scripts/cluster/slurm.sh").read_text())[1]
    job = cluster.submit(repeat)
    merged = cluster.submit(merge.replace("JOBID", job))
    cluster.works(f"{job}_2", "2-of-4")
    cluster.sh(f"scancel --batch --signal={signal} {job}_2")
    cluster.ends(job)
    for task, again in [(2, "1"), (3, "0")]:
        assert cluster.state(f"{job}_{task}") == ("COMPLETED", again, "0:0"), cluster.state(f"{job}_{task}")
    cluster.saved(f"{job}_2")
    cluster.ends(merged)
    assert cluster.state(merged) == ("COMPLETED", "0", "0:0"), cluster.state(merged)
    assert cluster.tables("quickstart") == cluster.tables("whole"), "the merged tables differ from the whole sweep's"


def main():
    if os.geteuid() != 0:
        skip("it needs root")
    missing = [name for name in NEEDED if not shutil.which(name)]
    if missing:
        skip(f"there is no {', no '.join(missing)}")
    binary = os.environ.get("FEDROBUST") or shutil.which("fedrobust")
    if not binary:
        skip("FEDROBUST names no fedrobust, and there is none on the path")
    if "--inside" not in sys.argv:
        if subprocess.run([*INSIDE, "true"], capture_output=True).returncode != 0:
            skip("this machine gives no process namespace")
        # Removed from out here, where nothing of the cluster is left that could write.
        with tempfile.TemporaryDirectory(prefix="try-slurm-") as folder:
            sys.exit(subprocess.run([*INSIDE, sys.executable, "-B", __file__, "--inside", folder]).returncode)
    cluster = Cluster(Path(sys.argv[-1]), Path(binary).resolve())
    try:
        cluster.start()
        check(cluster)
    except (AssertionError, subprocess.TimeoutExpired) as error:
        logs = [f"== {log.name}\n{log.read_text()[-2000:]}" for log in sorted(cluster.folder.glob("*.log"))]
        sys.exit("\n".join([*logs, f"failed: {error}"]))
    print("the array, its merge, its repetition, a stopped, a cancelled and a wrong task did as docs/cluster.md says")


if __name__ == "__main__":
    main()
