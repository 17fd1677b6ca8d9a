r"""The program that each process of a training on several devices runs.

🤗 Accelerate's launcher starts it, once for each device; on one machine the job's own process calls the launcher (see
`launch`). For several machines an artist does it: the workspace on a drive that all of them share, the same line on
each with its own number for R. The job must exist already (a training that was stopped, or one that was refused for
want of devices):

    accelerate launch --multi_gpu --mixed_precision no --num_machines 2 --machine_rank R --num_processes 4 \
        --main_process_ip 192.168.0.10 --main_process_port 29500 -m ksh_studio.training.member JOB_FOLDER
"""

import argparse
import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from ksh_studio.config import SettledTraining
from ksh_studio.disk import locked
from ksh_studio.errors import StudioError
from ksh_studio.events import Event, Failed, to_line
from ksh_studio.jobs.folder import Job, open_job
from ksh_studio.jobs.printing import print_events
from ksh_studio.jobs.process import run_job
from ksh_studio.jobs.spawn import set_computing_environment


def main(arguments: list[str]) -> int:
    """One of the processes: the main one trains and says its events, the others compute along."""
    set_computing_environment()  # started by hand on several machines, it inherits nothing
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="of the job")
    parser.add_argument("--heard", action="store_true", help="started by the job's own process, which reads the events")
    chosen = parser.parse_args(arguments)
    job = open_job(chosen.folder)
    events_out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # only events may go to the job's process: what a library prints goes to the log
    if chosen.heard:
        threading.Thread(target=_end_with_the_job, daemon=True).start()
    if int(os.environ.get("RANK", "0")) > 0:
        from ksh_studio.training.stage import follow

        follow(job.file.config(SettledTraining), job.project, job)
        return 0
    return _speak(job, events_out) if chosen.heard else _work(job)


def _end_with_the_job() -> None:
    """Nobody writes to the standard input: it ends when the job's process has."""
    while os.read(0, 1):
        pass
    os._exit(1)


def _stage(job: Job) -> Iterator[Event]:
    from ksh_studio.training.stage import train

    return train(job.file.config(SettledTraining), job.project, job)


def _speak(job: Job, out: BinaryIO) -> int:
    """Train, every event a line; one main process at a time, also for the moment in which an orphan ends."""
    with locked(job.folder / "processes.lock", "job.running", name=job.id):
        last: Event | None = None
        try:
            for last in _stage(job):
                out.write(to_line(last))
                out.flush()
        except StudioError as error:
            last = Failed.of(error.sentence)
            out.write(to_line(last))
            out.flush()
    return 1 if isinstance(last, Failed) else 0


def _work(job: Job) -> int:
    """Without a job's process to listen, as on several machines: this is the job's process."""
    return print_events(run_job(job, _stage), "en")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
