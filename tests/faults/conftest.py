import os
from types import SimpleNamespace

import pytest

from ksh_studio.config import TrainConfig
from ksh_studio.jobs.owner import owner_of
from ksh_studio.jobs.start import begin_job, create_job
from ksh_studio.jobs.status import job_status
from tests.faults.counting import counted, spawn, wait_for

FOREVER = 100_000
if os.name == "nt":  # its processes know no such signals
    collect_ignore_glob = ["test_*.py"]


@pytest.fixture
def begin(project, monkeypatch):
    """Begins a counting job as the page does, and waits until it counts; every process is ended after the test."""
    children = []

    def begun(job):
        children.append(spawn(job))
        return children[-1]

    monkeypatch.setattr("ksh_studio.jobs.start._spawn", begun)

    def make(job=None, steps=FOREVER):
        job = job or create_job(project, "train", TrainConfig(max_train_steps=steps))
        before = len(counted(job))
        begin_job(job)
        wait_for(lambda: len(counted(job)) > before or not job_status(job).alive)
        return SimpleNamespace(job=job, pid=children[-1].pid, child=children[-1])

    yield make
    for child in children:
        child.kill()
        child.wait()


@pytest.fixture
def signalled():
    def send(begun, number):
        assert owner_of(begun.job.folder).pid == begun.pid
        os.kill(begun.pid, number)

    return send
