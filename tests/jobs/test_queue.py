"""Jobs wait for their turn, each starts once, and none can block the others."""

import subprocess
import sys
import threading

import pytest

from ksh_studio.config import CaptionConfig, ProjectSettings, TrainConfig
from ksh_studio.disk import Busy, locked
from ksh_studio.errors import StudioError
from ksh_studio.events import Finished, Paused
from ksh_studio.jobs.folder import jobs_of
from ksh_studio.jobs.owner import release_ownership, take_ownership
from ksh_studio.jobs.process import run_job
from ksh_studio.jobs.queue import dequeue_job, enqueue_job, next_job, paused_job, queued_jobs, start_next_job
from ksh_studio.jobs.requests import end_job, pause_job, stop_job
from ksh_studio.jobs.start import begin_job, create_job, own_device
from ksh_studio.jobs.status import job_events, job_status
from ksh_studio.project.workspace import Workspace
from tests.faults.counting import spawn, wait_for


@pytest.fixture
def enqueue(project):
    def make(steps=1000, of=project):
        return enqueue_job(of, "train", TrainConfig(max_train_steps=steps))

    return make


@pytest.fixture
def started(workspace, monkeypatch):
    """The jobs for which a process was made; killed in the end."""
    children = {}

    def begin(job):
        children[job.id] = spawn(job)
        return children[job.id]

    monkeypatch.setattr("ksh_studio.jobs.start._spawn", begin)
    yield children
    for job in queued_jobs(workspace):
        dequeue_job(job)
    for project in workspace.projects():
        for job in jobs_of(project):
            end_job(job)


def end_at_once(job):
    with job.log.open("ab") as log:
        return subprocess.Popen([sys.executable, "-c", "raise SystemExit('no such library')"], stderr=log)


def test_jobs_of_all_projects_wait_in_the_order_of_asking(workspace, project, enqueue):
    other = workspace.create_project(ProjectSettings(name="A"))  # its folder sorts before
    wanted = [enqueue(), enqueue(of=other), enqueue()]
    assert [job.id for job in queued_jobs(workspace)] == [job.id for job in wanted]
    assert [job.project.slug for job in queued_jobs(workspace)] == [job.project.slug for job in wanted]
    assert {job_status(job).state for job in wanted} == {"queued"}
    assert not job_status(wanted[0]).alive
    assert wanted[1].file.settings["max_train_steps"] == 1000


def test_a_job_taken_out_of_the_queue_leaves_nothing(workspace, enqueue):
    first, second = enqueue(), enqueue()
    dequeue_job(first)
    assert not first.folder.exists()
    assert queued_jobs(workspace) == [second]
    with pytest.raises(StudioError, match="does not wait"):
        dequeue_job(first)


def test_the_jobs_of_a_deleted_project_wait_no_more(workspace, project, enqueue):
    job = enqueue()
    trashed = workspace.delete_project(project)
    assert queued_jobs(workspace) == []
    assert (trashed / "jobs" / job.id / "job.json").exists()
    assert not (trashed / "jobs" / job.id / "queued").exists()


def test_a_damaged_place_does_not_stop_the_queue(workspace, enqueue):
    first, second = enqueue(), enqueue()
    second.queue_mark.write_text("?")
    assert queued_jobs(workspace) == [second, first]
    assert enqueue_job(first.project, "caption", CaptionConfig()).queue_mark.read_text() == "2"


def test_many_starters_at_once_start_one_job(workspace, enqueue, started):
    wanted = [enqueue() for _ in range(3)]
    found = []
    starters = [threading.Thread(target=lambda: found.append(start_next_job(workspace))) for _ in range(4)]
    for thread in starters:
        thread.start()
    for thread in starters:
        thread.join()
    assert [job for job in found if job] == [wanted[0]]
    assert list(started) == [wanted[0].id]
    wait_for(lambda: queued_jobs(workspace) == wanted[1:])
    assert job_status(wanted[0]).state == "running"


def test_a_job_that_ends_starts_the_next_one(workspace, enqueue, started):
    first, second, third = enqueue(3), enqueue(3), enqueue(3)
    assert start_next_job(workspace) == first
    wait_for(lambda: job_status(third).state == "finished")
    assert {job_status(job).state for job in (first, second)} == {"finished"}
    assert list(started) == [first.id]  # the others were begun by the processes before them
    begins = [job_events(job)[0].time for job in (first, second, third)]
    ends = [job_events(job)[-1].time for job in (first, second, third)]
    assert begins[1] >= ends[0] and begins[2] >= ends[1]


def test_a_job_that_cannot_start_says_why_and_the_next_one_goes_on(workspace, enqueue, started, monkeypatch):
    first, second, third = enqueue(), enqueue(), enqueue()

    def begin(job):
        if job == first:
            return end_at_once(job)
        if job == second:
            raise StudioError("disk.full", path=job.log)
        return spawn(job)

    monkeypatch.setattr("ksh_studio.jobs.start._spawn", begin)
    assert start_next_job(workspace) == third
    assert (job_status(first).state, job_status(first).last.key) == ("failed", "job.not_started")
    assert "no such library" in first.log.read_text()
    assert (job_status(second).state, job_status(second).last.key) == ("failed", "disk.full")
    assert job_status(third).state == "running"


def test_a_paused_job_holds_the_queue_back_until_it_is_stopped(workspace, project, enqueue):
    paused = create_job(project, "train", TrainConfig())
    pause_job(paused)
    list(run_job(paused, lambda _: iter([Paused(key="train.stopped", values={"step": "1", "total": "2"})])))
    waiting = enqueue()
    assert paused_job(workspace) == paused
    assert next_job(workspace) is None and start_next_job(workspace) is None
    stop_job(paused)
    assert next_job(workspace) == waiting


def test_the_queue_waits_while_the_device_is_somebodys(workspace, project, enqueue):
    waiting = enqueue()
    with own_device(workspace):
        assert start_next_job(workspace) is None
    running = create_job(project, "train", TrainConfig())
    with locked(running.lock, "job.running", name=running.id):
        assert start_next_job(workspace) is None
    assert next_job(workspace) == waiting


def test_a_job_begun_from_a_terminal_meanwhile_does_not_cost_the_next_one_its_place(workspace, enqueue, monkeypatch):
    waiting = enqueue()

    def busy(job):
        raise Busy("job.busy", name="x")

    monkeypatch.setattr("ksh_studio.jobs.queue.begin_locked", busy)
    assert start_next_job(workspace) is None
    assert queued_jobs(workspace) == [waiting] and not waiting.events_file.exists()


def test_a_slow_start_is_waited_for_and_not_made_twice(workspace, enqueue, started, monkeypatch):
    monkeypatch.setattr("ksh_studio.jobs.start.START_SECONDS", 0.0)
    job = enqueue()
    assert start_next_job(workspace) == job
    assert next_job(workspace) is None and start_next_job(workspace) is None
    wait_for(lambda: job_status(job).state == "running")
    assert list(started) == [job.id] and queued_jobs(workspace) == []


def test_a_job_that_is_just_being_started_is_left_alone(workspace, enqueue):
    job = enqueue()
    take_ownership(job.folder, starting=True)
    assert job_status(job).state == "starting" and next_job(workspace) is None
    for meddle in (begin_job, dequeue_job):
        with pytest.raises(StudioError, match="just being started"):
            meddle(job)
    end_job(job)  # whoever starts it is not the job
    release_ownership(job.folder)
    assert next_job(workspace) == job


def test_a_queued_job_waits_for_a_picture_to_be_drawn(workspace, enqueue, monkeypatch):
    monkeypatch.setattr("ksh_studio.jobs.process.WAIT_SECONDS", 0.05)
    job, told = enqueue(), []
    work = threading.Thread(target=lambda: told.extend(run_job(job, lambda _: iter([Finished(key="train.finished")]))))
    with own_device(Workspace(workspace.root)):
        work.start()
        wait_for(lambda: job_status(job).state == "running")
        assert told == []
    work.join()
    assert [event.kind for event in told] == ["finished"]


def test_the_command_that_works_on_a_job_starts_the_next_one(workspace, enqueue):
    """The real child, twice; the settings are damaged, so that each ends with a sentence before it loads anything."""
    wanted = [enqueue(steps=5), enqueue(steps=5)]
    for job in wanted:
        file = job.folder / "job.json"
        file.write_text(file.read_text().replace('"max_train_steps": 5', '"max_train_steps": -5'))
    assert start_next_job(workspace) == wanted[0]
    wait_for(lambda: job_status(wanted[1]).state == "failed")
    assert [job_status(job).last.key for job in wanted] == ["settings.at_least"] * 2
    assert queued_jobs(workspace) == []
