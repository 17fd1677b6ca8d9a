"""The computer's clock is set a day ahead or back while a job works: no verdict and no forecast changes."""

import os
import signal
import time

import psutil
import pytest

from ksh_studio.config import TrainConfig
from ksh_studio.disk import boot_id, locked
from ksh_studio.events import Heartbeat, Started, Step, to_line
from ksh_studio.jobs.folder import jobs_of
from ksh_studio.jobs.history import JobHistory
from ksh_studio.jobs.journal import EventReader
from ksh_studio.jobs.owner import owner_of, take_ownership
from ksh_studio.jobs.start import create_job
from ksh_studio.jobs.status import job_status
from tests.faults.counting import wait_for

DAY = 86_400.0
real_time = time.time


@pytest.fixture(params=[DAY, -DAY], ids=["ahead", "back"])
def jump(request, monkeypatch):
    """The clock jumps when this is called."""
    return lambda: monkeypatch.setattr(time, "time", lambda: real_time() + request.param)


def test_a_working_job_stays_running(begin, jump):
    life = begin()
    wait_for(lambda: b"heartbeat" in life.job.events_file.read_bytes())
    jump()
    assert job_status(life.job).state == "running"
    os.utime(life.job.events_file, (time.time(), time.time()))
    assert job_status(life.job).state == "running"


def test_a_job_that_does_not_answer_is_noticed_all_the_same(begin, signalled, jump, monkeypatch):
    monkeypatch.setattr("ksh_studio.jobs.status.SILENCE_SECONDS", 2.0)
    life = begin()
    signalled(life, signal.SIGSTOP)
    jump()
    wait_for(lambda: job_status(life.job).state == "not answering")


def test_a_resumed_job_is_not_silent_because_its_earlier_life_was_long_ago(project):
    job = create_job(project, "train", TrainConfig())
    job.events_file.write_bytes(to_line(Heartbeat(uptime=time.monotonic() - DAY, boot=boot_id())))
    os.utime(job.events_file, (real_time() - DAY, real_time() - DAY))
    with locked(job.lock, "job.running", name=job.id):
        assert job_status(job).state == "not answering"
        take_ownership(job.folder)
        assert job_status(job).state == "running"


def test_a_process_on_another_machine_is_judged_by_its_file(project):
    job = create_job(project, "train", TrainConfig())
    job.events_file.write_bytes(to_line(Heartbeat(uptime=1e12, boot="another machine")))
    with locked(job.lock, "job.running", name=job.id):
        assert job_status(job).state == "running"
        os.utime(job.events_file, (real_time() - DAY, real_time() - DAY))
        assert job_status(job).state == "not answering"


def test_a_process_is_still_itself(project, jump, monkeypatch):
    job = create_job(project, "train", TrainConfig())
    take_ownership(job.folder)
    jump()
    monkeypatch.setattr(psutil.Process, "create_time", lambda self: time.time())  # it moves with the clock
    assert owner_of(job.folder).is_this_process() and owner_of(job.folder).is_running()


def test_the_newest_job_stays_the_newest(project, jump):
    first = create_job(project, "train", TrainConfig())
    jump()
    second = create_job(project, "train", TrainConfig())
    assert jobs_of(project) == [second, first]


def test_the_time_left_is_never_negative_and_does_not_jump(project, jump):
    job = create_job(project, "train", TrainConfig())

    def step(number):
        values = {"step": number, "total": 100, "loss": 1, "ema_loss": 1, "learning_rate": 1e-4}
        return Step(time=time.time(), seconds=number * 2.0, **values)

    lines = [Started(stage="train", total=100), *(step(number) for number in range(1, 11))]
    jump()
    lines += [step(number) for number in range(11, 21)]
    job.events_file.write_bytes(b"".join(to_line(event) for event in lines))
    history = JobHistory(EventReader(job.events_file)).follow()
    assert abs(history.steps[-1].time - history.steps[0].time) > DAY - 100
    assert history.remaining_seconds() == pytest.approx(160.0)
