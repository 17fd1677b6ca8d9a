"""Two clicks in each of two studios, all at once, start exactly one job."""

import subprocess
import sys

import pytest

from ksh_studio import ROOT
from ksh_studio.config import TrainConfig
from ksh_studio.jobs.folder import job_at, jobs_of
from ksh_studio.jobs.queue import enqueue_job, queued_jobs
from ksh_studio.jobs.requests import end_job
from ksh_studio.jobs.status import job_status
from tests.faults.counting import counted, wait_for

STUDIO = """
import sys, threading, time
from pathlib import Path
from ksh_studio.jobs import start as jobs
from ksh_studio.config import TrainConfig
from ksh_studio.errors import StudioError
from ksh_studio.jobs.queue import start_next_job
from ksh_studio.project.workspace import Workspace
from tests.faults.counting import spawn
jobs._spawn = spawn
workspace, how = Workspace(Path(sys.argv[1])), sys.argv[3]

def say(line):
    sys.stdout.write(line + "\\n")  # in one piece: `print` of two threads mixes lines and their ends

def click():
    while not (workspace.root / "go").exists():
        time.sleep(0.001)
    try:
        if how == "start":
            job = jobs.start_job(workspace.project(sys.argv[2]), "train", TrainConfig(max_train_steps=9999))
        else:
            job = start_next_job(workspace)
        say("started " + job.id if job else "refused next")
    except StudioError as error:
        say("refused " + error.sentence.key)

clicks = [threading.Thread(target=click) for _ in range(2)]
for one in clicks:
    one.start()
print("ready", flush=True)
for one in clicks:
    one.join()
"""


@pytest.mark.parametrize("how", ["start", "next"])
def test_exactly_one_job_starts(project, how):
    workspace = project.workspace
    waiting = [enqueue_job(project, "train", TrainConfig(max_train_steps=9999)) for _ in range(3 * (how == "next"))]
    command = [sys.executable, "-c", STUDIO, str(workspace.root), project.slug, how]
    studios = [subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    assert [studio.stdout.readline() for studio in studios] == ["ready\n"] * 2
    (workspace.root / "go").touch()
    said = [line.split() for studio in studios for line in studio.communicate(timeout=120)[0].splitlines()]
    started = [name for word, name in said if word == "started"]
    try:
        assert len(said) == 4 and len(started) == 1
        assert {name for word, name in said if word == "refused"} <= {"job.busy", "job.starting", "next"}
        job = job_at(project.jobs / started[0], project)
        wait_for(lambda: counted(job))
        assert job_status(job).state == "running"
        assert [one for one in jobs_of(project) if one.log.exists()] == [job]
        assert queued_jobs(workspace) == waiting[1:]
    finally:
        for one in jobs_of(project):
            one.queue_mark.unlink(missing_ok=True)
        for name in started:
            end_job(job_at(project.jobs / name, project))
