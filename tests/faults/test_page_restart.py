"""The page's process dies while a job works: the next one finds the job on the disk, and believes no number."""

import json
import os
import subprocess
import sys

import pytest

from ksh_studio import ROOT
from ksh_studio.config import TrainConfig
from ksh_studio.jobs.folder import job_at, jobs_of, running_job
from ksh_studio.jobs.owner import OWNER_FILE, owner_of, take_ownership
from ksh_studio.jobs.requests import end_job, stop_job
from ksh_studio.jobs.start import create_job
from ksh_studio.jobs.status import job_status
from ksh_studio.project.workspace import Workspace
from tests.faults.counting import counted, wait_for

pytestmark = pytest.mark.slow

PAGE = """
import sys, time
from ksh_studio.jobs import start as jobs
from ksh_studio.config import TrainConfig
from ksh_studio.project.workspace import Workspace
from pathlib import Path
from tests.faults.counting import spawn
jobs._spawn = spawn
project = Workspace(Path(sys.argv[1])).project(sys.argv[2])
print(jobs.start_job(project, "train", TrainConfig(max_train_steps=100_000)).id, flush=True)
time.sleep(600)
"""


@pytest.fixture
def orphan(project):
    """A job whose page was killed."""
    command = [sys.executable, "-c", PAGE, str(project.workspace.root), project.slug]
    page = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    job = job_at(project.jobs / page.stdout.readline().strip(), project)
    page.kill()
    page.wait()
    page.stdout.close()
    yield job
    end_job(job)
    wait_for(lambda: not job_status(job).alive)


def test_a_job_outlives_its_page_and_is_followed_and_stopped_by_the_next(orphan):
    again = Workspace(orphan.project.workspace.root).project(orphan.project.slug)
    (job,) = jobs_of(again, "train")
    assert running_job(again.workspace) == job
    assert job_status(job).state == "running"
    seen = len(counted(job))
    wait_for(lambda: len(counted(job)) > seen)
    stop_job(job)
    wait_for(lambda: job_status(job).state == "stopped")


@pytest.mark.parametrize("starting", [False, True])
def test_a_number_that_now_belongs_to_somebody_else_is_not_believed(project, starting):
    job = create_job(project, "train", TrainConfig())
    take_ownership(job.folder, starting)
    said = json.loads((job.folder / OWNER_FILE).read_text())
    assert said["pid"] == os.getpid() and owner_of(job.folder).is_running()
    for other in ({"began": said["began"] - 1}, {"boot": "another start"}):
        (job.folder / OWNER_FILE).write_text(json.dumps(said | other))
        assert not owner_of(job.folder).is_running()
        assert job_status(job).state == "ended unexpectedly"
        end_job(job)  # would end this test


def test_a_damaged_process_file_is_nobodys(project):
    job = create_job(project, "train", TrainConfig())
    for text in ("", "{", "[]", '{"pid": "x"}', "\0" * 100):
        (job.folder / OWNER_FILE).write_text(text)
        assert owner_of(job.folder) is None
        assert job_status(job).state == "ended unexpectedly"
        end_job(job)
