"""Several processes for one training: started by 🤗 Accelerate's launcher, heard through one pipe, ended together.

The job's own process stays what it is with one device: it holds the locks, appends the events and is asked to stop or
pause. It starts `accelerate launch` and passes on what the main one of the processes says. When the job's process ends,
however it ends, the others see their standard input close and end too.

Several machines, the workspace on a drive that all of them share, the same line on each with its own number for R; the
job must exist already (a training that was stopped, or one that was refused for want of devices):

    accelerate launch --multi_gpu --mixed_precision no --num_machines 2 --machine_rank R --num_processes 4 \
        --main_process_ip 192.168.0.10 --main_process_port 29500 -m ksh_studio.training.launch JOB_FOLDER
"""

import argparse
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

import psutil
import torch

from ksh_studio import holder, job_process, jobs
from ksh_studio.disk import disk_errors, locked
from ksh_studio.events import Event, Failed, Final, failed, from_line, to_line
from ksh_studio.job_folder import Job
from ksh_studio.locales import StudioError
from ksh_studio.models.device import pick_device
from ksh_studio.narration import describe
from ksh_studio.spawning import set_computing_environment, spawn
from ksh_studio.workspace import Project, Workspace

MODULE = "ksh_studio.training.launch"
END_SECONDS = 10.0
"""So long the processes may take to end by themselves after the last event."""


def launched() -> bool:
    """Whether this process is one of several that the launcher started."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1


def launch(job: Job, count: int) -> Iterator[Event]:
    """Train with `count` processes and yield what the main one says.

    Raises StudioError when it fails, when one of them dies, or when there are fewer GPUs.
    """
    _require_devices(job, count)
    options = ["--multi_gpu", "--num_machines", "1", "--main_process_port", "0"]  # 0: the first free one
    arguments = [*options, *_options(count), "-m", MODULE, str(job.folder), "--heard"]
    with disk_errors(job.log), job.log.open("ab") as log:
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": log}
        child = spawn(arguments, "accelerate.commands.launch", holder.on_behalf_of(job.folder), **pipes)
    try:
        for line in child.stdout:
            event = from_line(line)
            if isinstance(event, Failed):
                raise StudioError(event.key, **event.values)
            if event is not None:
                yield event
            if isinstance(event, Final):
                return
        raise StudioError("distributed.worker_died", count=count, log=job.log)
    finally:
        _end(child)


def _options(count: int) -> list[str]:
    # the studio computes in the precision it chose itself, whatever the machine's own settings of Accelerate say
    return ["--num_processes", str(count), "--mixed_precision", "no", "--dynamo_backend", "no"]


def _require_devices(job: Job, count: int) -> None:
    device = pick_device()
    there = {"cuda": torch.cuda.device_count(), "mps": 1}.get(device.type, count)  # a CPU shares its cores
    if count > there:
        machines = f"--num_machines {-(-count // max(1, there))} --machine_rank R --num_processes {count}"
        address = "--main_process_ip ADDRESS --main_process_port 29500"
        command = f"accelerate launch --multi_gpu --mixed_precision no {machines} {address} -m {MODULE} {job.folder}"
        raise StudioError("distributed.too_many", asked=count, there=there, command=command)


def _end(child: subprocess.Popen) -> None:
    """Let the processes end, which they do when their standard input closes; then kill those that have not."""
    with suppress(OSError):
        child.stdin.close()
    try:
        child.wait(END_SECONDS)
    except subprocess.TimeoutExpired:
        with suppress(psutil.NoSuchProcess):
            family = psutil.Process(child.pid).children(recursive=True)
            for process in [*family, child]:
                with suppress(psutil.NoSuchProcess):
                    process.kill()
        child.wait()
    child.stdout.close()


def main(arguments: list[str]) -> int:
    """One of the processes: the main one trains and says its events, the others compute along."""
    set_computing_environment()  # started by hand on several machines, it inherits nothing
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="of the job")
    parser.add_argument("--heard", action="store_true", help="started by the job's own process, which reads the events")
    chosen = parser.parse_args(arguments)
    folder = chosen.folder.resolve()
    project = Project(folder.parent.parent, Workspace(folder.parent.parent.parent.parent))
    job = jobs.job_at(folder, project)
    events_out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # only events may go to the job's process: what a library prints goes to the log
    if chosen.heard:
        threading.Thread(target=_end_with_the_job, daemon=True).start()
    if int(os.environ.get("RANK", "0")) > 0:
        from ksh_studio.training.trainer import follow

        follow(job.file.config(), project, job)
        return 0
    return _speak(job, events_out) if chosen.heard else _work(job)


def _end_with_the_job() -> None:
    """Nobody writes to the standard input: it ends when the job's process has."""
    while os.read(0, 1):
        pass
    os._exit(1)


def _stage(job: Job) -> Iterator[Event]:
    from ksh_studio.training.trainer import train

    return train(job.file.config(), job.project, job)


def _speak(job: Job, out: BinaryIO) -> int:
    """Train, every event a line; one main process at a time, also for the moment in which an orphan ends."""
    with locked(job.folder / "processes.lock", "job.running", name=job.id):
        last: Event | None = None
        try:
            for last in _stage(job):
                out.write(to_line(last))
                out.flush()
        except StudioError as error:
            last = failed(error)
            out.write(to_line(last))
            out.flush()
    return 1 if isinstance(last, Failed) else 0


def _work(job: Job) -> int:
    """Without a job's process to listen, as on several machines: this is the job's process."""
    last: Event | None = None
    for last in job_process.run(job, _stage):
        text = describe(last, "en")
        if text is not None:
            sys.stderr.write(text + "\n")
    return 1 if isinstance(last, Failed) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
