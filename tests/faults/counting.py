"""A job process whose stage only counts, in its own time: the real holding, telling, ending and queue, no model.

python -m tests.faults.counting FOLDER: counts to the job's `max_train_steps`, else 1000, 50 steps a second, and saves
every tenth. A file `freeze` in the job's folder names the step at which the process stops itself
(SIGSTOP), as a laptop's lid does.
"""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from ksh_studio import ROOT
from ksh_studio.events import Checkpoint, Finished, Paused, Resumed, Started, Step, Stopped
from ksh_studio.jobs import journal
from ksh_studio.jobs import start as jobs
from ksh_studio.jobs.folder import open_job
from ksh_studio.jobs.process import require_ownership, run_job
from ksh_studio.jobs.queue import start_next_job
from ksh_studio.jobs.status import job_events

HEARTBEAT_SECONDS = 0.2
PATIENCE = 60.0


def spawn(job):
    """In place of `ksh_studio.jobs.start._spawn`."""
    with job.log.open("ab") as log:
        command = [sys.executable, "-m", "tests.faults.counting", str(job.folder)]
        return subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log, start_new_session=True)


def count(job):
    total = job.file.settings["max_train_steps"] or 1000
    saved = job.folder / "saved.txt"
    first = int(saved.read_text()) if saved.exists() else 0
    yield Started(stage="train", total=total)
    if job.events_file.exists():
        yield Resumed(step=first)
    for step in range(first + 1, total + 1):
        for asked, key in ((job.stop_requested(), Stopped), (job.pause_requested(), Paused)):
            if asked:
                yield key(key="train.stopped", values={"step": str(step), "total": str(total)})
                return
        yield Step(step=step, total=total, loss=0.1, ema_loss=0.1, learning_rate=1e-4, seconds=step)
        if (freeze := job.folder / "freeze").exists() and step == int(freeze.read_text()):
            freeze.unlink()
            os.kill(os.getpid(), signal.SIGSTOP)
        if step % 10 == 0:
            require_ownership(job)
            saved.write_text(str(step))
            yield Checkpoint(step=step, path="saved.txt")
        time.sleep(0.02)
    yield Finished(key="train.finished", values={"steps": str(total), "name": "x"})


def wait_for(true, seconds=PATIENCE):
    """What `true()` gives once it gives something."""
    deadline = time.monotonic() + seconds
    while not (found := true()):
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)
    return found


def counted(job):
    """The steps that the job has told of."""
    return [event.step for event in job_events(job) if isinstance(event, Step)]


def main(folder):
    journal.HEARTBEAT_SECONDS = HEARTBEAT_SECONDS
    jobs._spawn = spawn
    job = open_job(folder)
    *_, last = run_job(job, count)
    start_next_job(job.project.workspace)
    return last.kind == "failed"


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
