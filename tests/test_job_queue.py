"""Jobs wait for their turn, each starts once, and none can block the others."""

import subprocess
import sys
import threading

import pytest

from ksh_studio import holder, job_process, job_queue, jobs
from ksh_studio.config import CaptionConfig, ProjectSettings, TrainConfig
from ksh_studio.disk import locked
from ksh_studio.errors import StudioError
from ksh_studio.events import Finished, Paused
from ksh_studio.workspace import Workspace
from tests.faults.counting import spawn, wait_for


@pytest.fixture
def enqueue(project):
    def make(steps=1000, of=project):
        return job_queue.enqueue(of, "train", TrainConfig(max_train_steps=steps))

    return make


@pytest.fixture
def started(workspace, monkeypatch):
    """The jobs for which a process was made; killed in the end."""
    children = {}

    def begin(job):
        children[job.id] = spawn(job)
        return children[job.id]

    monkeypatch.setattr(jobs, "_spawn", begin)
    yield children
    for job in job_queue.queued(workspace):
        job_queue.remove(job)
    for project in workspace.projects():
        for job in jobs.jobs_of(project):
            jobs.kill(job)


def end_at_once(job):
    with job.log.open("ab") as log:
        return subprocess.Popen([sys.executable, "-c", "raise SystemExit('no such library')"], stderr=log)


def test_jobs_of_all_projects_wait_in_the_order_of_asking(workspace, project, enqueue):
    other = workspace.create_project(ProjectSettings(name="A"))  # its folder sorts before
    wanted = [enqueue(), enqueue(of=other), enqueue()]
    assert [job.id for job in job_queue.queued(workspace)] == [job.id for job in wanted]
    assert [job.project.slug for job in job_queue.queued(workspace)] == [job.project.slug for job in wanted]
    assert {jobs.status(job).state for job in wanted} == {"queued"}
    assert not jobs.status(wanted[0]).alive
    assert wanted[1].file.config().max_train_steps == 1000


def test_a_job_taken_out_of_the_queue_leaves_nothing(workspace, enqueue):
    first, second = enqueue(), enqueue()
    job_queue.remove(first)
    assert not first.folder.exists()
    assert job_queue.queued(workspace) == [second]
    with pytest.raises(StudioError, match="does not wait"):
        job_queue.remove(first)


def test_the_jobs_of_a_deleted_project_wait_no_more(workspace, project, enqueue):
    job = enqueue()
    trashed = workspace.delete_project(project)
    assert job_queue.queued(workspace) == []
    assert (trashed / "jobs" / job.id / "job.json").exists()
    assert not (trashed / "jobs" / job.id / "queued").exists()


def test_a_damaged_place_does_not_stop_the_queue(workspace, enqueue):
    first, second = enqueue(), enqueue()
    second.queue_mark.write_text("?")
    assert job_queue.queued(workspace) == [second, first]
    assert job_queue.enqueue(first.project, "caption", CaptionConfig()).queue_mark.read_text() == "2"


def test_many_starters_at_once_start_one_job(workspace, enqueue, started):
    wanted = [enqueue() for _ in range(3)]
    found = []
    starters = [threading.Thread(target=lambda: found.append(job_queue.start_next(workspace))) for _ in range(4)]
    for thread in starters:
        thread.start()
    for thread in starters:
        thread.join()
    assert [job for job in found if job] == [wanted[0]]
    assert list(started) == [wanted[0].id]
    wait_for(lambda: job_queue.queued(workspace) == wanted[1:])
    assert jobs.status(wanted[0]).state == "running"


def test_a_job_that_ends_starts_the_next_one(workspace, enqueue, started):
    first, second, third = enqueue(3), enqueue(3), enqueue(3)
    assert job_queue.start_next(workspace) == first
    wait_for(lambda: jobs.status(third).state == "finished")
    assert {jobs.status(job).state for job in (first, second)} == {"finished"}
    assert list(started) == [first.id]  # the others were begun by the processes before them
    begins = [jobs.events(job)[0].time for job in (first, second, third)]
    ends = [jobs.events(job)[-1].time for job in (first, second, third)]
    assert begins[1] >= ends[0] and begins[2] >= ends[1]


def test_a_job_that_cannot_start_says_why_and_the_next_one_goes_on(workspace, enqueue, started, monkeypatch):
    first, second, third = enqueue(), enqueue(), enqueue()

    def begin(job):
        if job == first:
            return end_at_once(job)
        if job == second:
            raise StudioError("disk.full", path=job.log)
        return spawn(job)

    monkeypatch.setattr(jobs, "_spawn", begin)
    assert job_queue.start_next(workspace) == third
    assert (jobs.status(first).state, jobs.status(first).last.key) == ("failed", "job.not_started")
    assert "no such library" in first.log.read_text()
    assert (jobs.status(second).state, jobs.status(second).last.key) == ("failed", "disk.full")
    assert jobs.status(third).state == "running"


def test_a_paused_job_holds_the_queue_back_until_it_is_stopped(workspace, project, enqueue):
    paused = jobs.create(project, "train", TrainConfig())
    jobs.pause(paused)
    list(job_process.run(paused, lambda _: iter([Paused(key="train.stopped", values={"step": "1", "total": "2"})])))
    waiting = enqueue()
    assert job_queue.held_back(workspace) == paused
    assert job_queue.next_up(workspace) is None and job_queue.start_next(workspace) is None
    jobs.stop(paused)
    assert job_queue.next_up(workspace) == waiting


def test_the_queue_waits_while_the_device_is_somebodys(workspace, project, enqueue):
    waiting = enqueue()
    with jobs.device(workspace):
        assert job_queue.start_next(workspace) is None
    running = jobs.create(project, "train", TrainConfig())
    with locked(running.lock, "job.running", name=running.id):
        assert job_queue.start_next(workspace) is None
    assert job_queue.next_up(workspace) == waiting


def test_a_job_begun_from_a_terminal_meanwhile_does_not_cost_the_next_one_its_place(workspace, enqueue, monkeypatch):
    waiting = enqueue()

    def busy(job):
        raise StudioError("job.busy", name="x")

    monkeypatch.setattr(jobs, "begin_next", busy)
    assert job_queue.start_next(workspace) is None
    assert job_queue.queued(workspace) == [waiting] and not waiting.events_file.exists()


def test_a_slow_start_is_waited_for_and_not_made_twice(workspace, enqueue, started, monkeypatch):
    monkeypatch.setattr(jobs, "START_SECONDS", 0.0)
    job = enqueue()
    assert job_queue.start_next(workspace) == job
    assert job_queue.next_up(workspace) is None and job_queue.start_next(workspace) is None
    wait_for(lambda: jobs.status(job).state == "running")
    assert list(started) == [job.id] and job_queue.queued(workspace) == []


def test_a_job_that_is_just_being_started_is_left_alone(workspace, enqueue):
    job = enqueue()
    holder.take(job.folder, starting=True)
    assert jobs.status(job).state == "starting" and job_queue.next_up(workspace) is None
    for meddle in (jobs.begin, job_queue.remove):
        with pytest.raises(StudioError, match="just being started"):
            meddle(job)
    jobs.kill(job)  # whoever starts it is not the job
    holder.leave(job.folder)
    assert job_queue.next_up(workspace) == job


def test_a_queued_job_waits_for_a_picture_to_be_drawn(workspace, enqueue, monkeypatch):
    monkeypatch.setattr(job_process, "WAIT_SECONDS", 0.05)
    job, told = enqueue(), []
    work = threading.Thread(
        target=lambda: told.extend(job_process.run(job, lambda _: iter([Finished(key="train.finished")])))
    )
    with jobs.device(Workspace(workspace.root)):
        work.start()
        wait_for(lambda: jobs.status(job).state == "running")
        assert told == []
    work.join()
    assert [event.kind for event in told] == ["finished"]


def test_the_command_that_works_on_a_job_starts_the_next_one(workspace, enqueue):
    """The real child, twice; the settings are damaged, so that each ends with a sentence before it loads anything."""
    wanted = [enqueue(steps=5), enqueue(steps=5)]
    for job in wanted:
        file = job.folder / "job.json"
        file.write_text(file.read_text().replace('"max_train_steps": 5', '"max_train_steps": -5'))
    assert job_queue.start_next(workspace) == wanted[0]
    wait_for(lambda: jobs.status(wanted[1]).state == "failed")
    assert [jobs.status(job).last.key for job in wanted] == ["settings.at_least"] * 2
    assert job_queue.queued(workspace) == []
