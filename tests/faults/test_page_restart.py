"""The page's process dies while a job works: the next one finds the job on the disk, and believes no number (R11)."""

import json
import os
import subprocess
import sys

import pytest

from ksh_studio import holder, jobs
from ksh_studio.config import TrainConfig
from ksh_studio.spawning import ROOT
from ksh_studio.workspace import Workspace
from tests.faults.counting import counted, wait_for

PAGE = """
import sys, time
from ksh_studio import jobs
from ksh_studio.config import TrainConfig
from ksh_studio.workspace import Workspace
from pathlib import Path
from tests.faults.counting import spawn
jobs._spawn = spawn
project = Workspace(Path(sys.argv[1])).project(sys.argv[2])
print(jobs.start(project, "train", TrainConfig(max_train_steps=100_000)).id, flush=True)
time.sleep(600)
"""


@pytest.fixture
def orphan(project):
    """A job whose page was killed."""
    command = [sys.executable, "-c", PAGE, str(project.workspace.root), project.slug]
    page = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    job = jobs.job_at(project.jobs / page.stdout.readline().strip(), project)
    page.kill()
    page.wait()
    page.stdout.close()
    yield job
    jobs.kill(job)
    wait_for(lambda: not jobs.status(job).alive)


def test_a_job_outlives_its_page_and_is_followed_and_stopped_by_the_next(orphan):
    again = Workspace(orphan.project.workspace.root).project(orphan.project.slug)
    (job,) = jobs.jobs_of(again, "train")
    assert jobs.running_job(again.workspace) == job
    assert jobs.status(job).state == "running"
    seen = len(counted(job))
    wait_for(lambda: len(counted(job)) > seen)
    jobs.stop(job)
    wait_for(lambda: jobs.status(job).state == "stopped")


@pytest.mark.parametrize("starting", [False, True])
def test_a_number_that_now_belongs_to_somebody_else_is_not_believed(project, starting):
    job = jobs.create(project, "train", TrainConfig())
    holder.take(job.folder, starting)
    said = json.loads((job.folder / holder.FILE).read_text())
    assert said["pid"] == os.getpid() and holder.holder_of(job.folder).lives()
    for other in ({"began": said["began"] - 1}, {"boot": "another start"}):
        (job.folder / holder.FILE).write_text(json.dumps(said | other))
        assert not holder.holder_of(job.folder).lives()
        assert jobs.status(job).state == "ended unexpectedly"
        jobs.kill(job)  # would end this test


def test_a_damaged_process_file_is_nobodys(project):
    job = jobs.create(project, "train", TrainConfig())
    for text in ("", "{", "[]", '{"pid": "x"}', "\0" * 100):
        (job.folder / holder.FILE).write_text(text)
        assert holder.holder_of(job.folder) is None
        assert jobs.status(job).state == "ended unexpectedly"
        jobs.kill(job)
