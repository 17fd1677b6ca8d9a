"""Several processes for one training: started by 🤗 Accelerate's launcher, read through one pipe, ended together.

The job's own process stays what it is with one device: it holds the locks, appends the events and is asked to stop or
pause. It starts `accelerate launch` and passes on what the main one of the processes says. When the job's process ends,
however it ends, the others see their standard input close and end too.
"""

import os
import subprocess
from collections.abc import Iterator
from contextlib import suppress

import psutil
import torch

from ksh_studio.disk import disk_errors
from ksh_studio.errors import StudioError
from ksh_studio.events import Event, Failed, Final, from_line
from ksh_studio.jobs.folder import Job
from ksh_studio.jobs.owner import environment_on_behalf
from ksh_studio.jobs.spawn import spawn
from ksh_studio.jobs.tokens import tokens_for
from ksh_studio.models.device import pick_device

PROGRAM = "ksh_studio.training.member"
END_SECONDS = 10.0
"""How long the processes may take to end by themselves after the last event."""


def launched() -> bool:
    """Whether this process is one of several that the launcher started."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1


def launch(job: Job, count: int) -> Iterator[Event]:
    """Train with `count` processes and yield what the main one says.

    Raises StudioError when it fails, when one of them dies, or when there are fewer GPUs.
    """
    _require_devices(job, count)
    options = ["--multi_gpu", "--num_machines", "1", "--main_process_port", "0"]  # 0: the first free one
    arguments = [*options, *_options(count), "-m", PROGRAM, str(job.folder), "--events-to-parent"]
    with disk_errors(job.log), job.log.open("ab") as log:
        child = spawn(
            arguments,
            "accelerate.commands.launch",
            environment_on_behalf(job.folder) | tokens_for(job.file.settings),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
        )
    try:
        for line in child.stdout or ():
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
        command = f"accelerate launch --multi_gpu --mixed_precision no {machines} {address} -m {PROGRAM} {job.folder}"
        raise StudioError("distributed.too_many", asked=count, there=there, command=command)


def _end(child: subprocess.Popen) -> None:
    """Let the processes end, which they do when their standard input closes; then kill those that have not."""
    if child.stdin is not None:
        with suppress(OSError):
            child.stdin.close()
    try:
        child.wait(END_SECONDS)
    except subprocess.TimeoutExpired:
        with suppress(psutil.NoSuchProcess):
            launcher = psutil.Process(child.pid)
            for process in [*launcher.children(recursive=True), launcher]:
                with suppress(psutil.NoSuchProcess):
                    process.kill()
        child.wait()
    if child.stdout is not None:
        child.stdout.close()
