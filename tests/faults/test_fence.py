"""No two processes train one job: a stopped one keeps its lock, and one that lost its lock in its sleep writes no more.

The second is a laptop that slept while its work lay on a network drive, which forgot the lock.
"""

import signal

import pytest

from ksh_studio import events as said
from ksh_studio.errors import StudioError
from ksh_studio.events import Finished, Resumed, Step
from ksh_studio.jobs.process import run_job
from ksh_studio.jobs.requests import end_job, stop_job
from ksh_studio.jobs.start import begin_job
from ksh_studio.jobs.status import job_status
from tests.faults.counting import PATIENCE, counted, wait_for

pytestmark = pytest.mark.slow


def test_a_stopped_process_keeps_its_job_until_it_is_ended(begin, signalled):
    life = begin()
    wait_for(lambda: len(counted(life.job)) > 12)
    signalled(life, signal.SIGSTOP)
    with pytest.raises(StudioError, match="already working"):
        begin_job(life.job)
    with pytest.raises(StudioError, match="already working"):
        list(run_job(life.job, lambda _: iter([Finished(key="train.finished")])))
    assert job_status(life.job).alive
    end_job(life.job)
    assert life.child.wait(PATIENCE) == -signal.SIGKILL
    other = begin(life.job)
    assert other.pid != life.pid and job_status(life.job).state == "running"


def test_a_woken_process_that_lost_its_job_writes_nothing_more(begin, project):
    job = begin().job
    stop_job(job)
    wait_for(lambda: job_status(job).state == "stopped")
    (job.folder / "freeze").write_text(str(counted(job)[-1] // 10 * 10 + 15))  # between two saves
    asleep = begin(job)
    wait_for(lambda: not (job.folder / "freeze").exists())
    for lock in (job.lock, project.workspace.device_lock):
        lock.unlink()  # the drive has forgotten who held them
    awake = begin(job)
    wait_for(lambda: counted(job)[-1] % 10 > 5)
    asleep.child.send_signal(signal.SIGCONT)
    assert asleep.child.wait(PATIENCE) == 1
    reached = counted(job)[-1]
    wait_for(lambda: counted(job)[-1] > reached + 20)
    assert awake.child.poll() is None and job_status(job).state == "running"
    stop_job(job)
    assert awake.child.wait(PATIENCE) == 0
    lines = [said.from_line(line) for line in job.events_file.read_bytes().splitlines()]
    last_life = lines[max(n for n, event in enumerate(lines) if isinstance(event, Resumed)) :]
    steps = [event.step for event in last_life if isinstance(event, Step)]
    assert steps == list(range(last_life[0].step + 1, last_life[0].step + 1 + len(steps)))  # one hand wrote them
    assert [event.kind for event in last_life if event.kind in ("failed", "stopped")] == ["stopped"]
    assert (job.folder / "saved.txt").read_text() == str(steps[-1] // 10 * 10)


def test_a_process_whose_project_is_gone_makes_no_new_one(begin, project, signalled):
    life = begin()
    signalled(life, signal.SIGSTOP)
    life.job.lock.unlink()
    project.workspace.delete_project(project)
    life.child.send_signal(signal.SIGCONT)
    assert life.child.wait(PATIENCE) == 1
    assert not project.root.exists()
