"""A stand-in for Slurm's commands: ``sbatch`` runs the script it is given here and now, task by task.

No scheduler is tested with it, only our side: that datatrove's script, as a node would run it, makes the shards, and that
the queue is read as Slurm's manual says. A job is a detached process group; its number is that of the group's leader.
"""

import os
import sys
from pathlib import Path

_SBATCH = """#!{python}
import os, re, subprocess, sys
script = open(sys.argv[-1]).read()
first, last = re.search(r"--array=(\\d+)-(\\d+)", script).groups()
log = re.search(r"--output=(.*)", script).group(1)
offset = re.search(r"RUN_OFFSET=(\\d+)", " ".join(sys.argv)).group(1)
open({state!r} + "/calls", "a").write(script)
runner = '''
import os, subprocess, sys
for task in range(int(sys.argv[2]), int(sys.argv[3]) + 1):
    variables = dict(SLURM_JOB_ID=str(os.getpid()), SLURM_ARRAY_TASK_ID=str(task), SLURM_NODELIST="node1", RUN_OFFSET=sys.argv[5])
    with open(sys.argv[4].replace("%A", str(os.getpid())).replace("%a", str(task)), "w") as log:
        subprocess.run(["bash", "-c", sys.argv[1]], env=os.environ | variables, stdout=log, stderr=log)
'''
job = subprocess.Popen([{python!r}, "-c", runner, script, first, last, log, offset], start_new_session=True, stdin=subprocess.DEVNULL,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
print("Submitted batch job", job.pid)
"""
# A job that ended stays a zombie until its parent (sbatch, gone) is replaced by init: it counts as gone too.
_SQUEUE = """#!{python}
import os, sys
number = sys.argv[sys.argv.index("--jobs") + 1]
try:
    alive = open("/proc/" + number + "/stat").read().rpartition(")")[2].split()[0] != "Z"
except FileNotFoundError:
    sys.exit("slurm_load_jobs error: Invalid job id specified")
if alive:
    print(number)
"""
_SCANCEL = """#!{python}
import os, signal, sys
os.killpg(int(sys.argv[1]), signal.SIGKILL)
"""
_SCONTROL = """#!/bin/sh
echo node1
"""
_SRUN = """#!/bin/sh
while [ "$1" != launch_pickled_pipeline ]; do shift; done
exec "$@"
"""


def install(folder: Path, *without: str) -> Path:
    """Write the commands into ``folder`` (but those named); returns it, to be put on PATH. ``calls`` there holds all scripts."""
    folder.mkdir(parents=True, exist_ok=True)
    scripts = {"sbatch": _SBATCH, "squeue": _SQUEUE, "scancel": _SCANCEL, "scontrol": _SCONTROL, "srun": _SRUN}
    for name, text in scripts.items():
        if name in without:
            continue
        path = folder / name
        if text.startswith("#!{python}"):
            text = text.replace("{python!r}", repr(sys.executable)).replace("{python}", sys.executable)
            text = text.replace("{state!r}", repr(str(folder)))
        path.write_text(text)
        path.chmod(0o755)
    return folder


def on_path(folder: Path) -> str:
    """PATH with the commands first."""
    return f"{folder}{os.pathsep}{os.environ['PATH']}"
