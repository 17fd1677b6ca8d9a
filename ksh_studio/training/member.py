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
import signal
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
from ksh_studio.jobs.printing import print_any_letter, print_events
from ksh_studio.jobs.process import END_SIGNALS, run_job
from ksh_studio.jobs.requests import request_stop
from ksh_studio.jobs.spawn import set_environment


def main(arguments: list[str]) -> int:
    """Train as one of several processes: the main one yields the events, the others compute their share."""
    print_any_letter()
    set_environment()  # started by hand on several machines, it inherits nothing
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="of the job")
    help_text = "started by the job's own process, which reads the events"
    parser.add_argument("--events-to-parent", action="store_true", help=help_text)
    options = parser.parse_args(arguments)
    job = open_job(options.folder)
    events_out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # only events may go to the job's process: what a library prints goes to the log
    follower = int(os.environ.get("RANK", "0")) > 0
    if follower or options.events_to_parent:
        _leave_the_end_to_the_job()
    if options.events_to_parent:
        threading.Thread(target=_end_with_the_job, daemon=True).start()
    if follower:
        from ksh_studio.training.stage import follow

        follow(job.file.config(SettledTraining), job.project, job)
        return 0
    return _write_events(job, events_out) if options.events_to_parent else _run_job(job)


def _leave_the_end_to_the_job() -> None:
    """Ignore what asks all processes at once to end: the job's own turns it into a stop, and all end after one step."""
    for number in (signal.SIGINT, *END_SIGNALS):
        signal.signal(number, signal.SIG_IGN)


def _end_with_the_job() -> None:
    """End this process when the job's process ends: only then does the standard input close."""
    while os.read(0, 1):
        pass
    os._exit(1)


def _stage(job: Job) -> Iterator[Event]:
    from ksh_studio.training.stage import train

    return train(job.file.config(SettledTraining), job.project, job)


def _write_events(job: Job, out: BinaryIO) -> int:
    """Train and write every event as a line; a main process of an earlier start may still be ending, hence the lock."""
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


def _run_job(job: Job) -> int:
    """Train as the job's own process, as on several machines, where nobody reads the events."""
    signal.signal(signal.SIGINT, lambda *_: request_stop(job))
    return print_events(run_job(job, _stage), "en")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
