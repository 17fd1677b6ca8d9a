"""Jobs that wait for the device: a file in the folder of each holds its place; the next one starts when nothing works.

The file is removed by the process that then works on the job, once it holds the job's lock; so a start that is cut
short leaves the job in the queue. `start_next_job` is called by whoever may start jobs: a job's process when it ends,
the studio's page now and then, and the command line.
"""

import logging
import shutil

from ksh_studio.disk import Busy, disk_errors, is_locked, locked, write_text
from ksh_studio.errors import StudioError
from ksh_studio.events import Failed
from ksh_studio.jobs.folder import Job, JobSettings, StageName, running_job
from ksh_studio.jobs.journal import Journal
from ksh_studio.jobs.start import begin_locked, create_job
from ksh_studio.jobs.status import is_starting, job_status
from ksh_studio.project.workspace import Project, Workspace

log = logging.getLogger(__name__)


def enqueue_job(project: Project, stage: StageName, config: JobSettings, parent: str | None = None) -> Job:
    """A new job at the end of the queue; it starts when `start_next_job` finds it first and nothing works.

    Raises StudioError when the disk is full; nothing of the new job is then left.
    """
    job = create_job(project, stage, config, parent)
    waiting = queued_jobs(project.workspace)
    try:
        write_text(job.queue_mark, str(_place(waiting[-1]) + 1 if waiting else 1))
    except StudioError:
        shutil.rmtree(job.folder)
        raise
    return job


def queued_jobs(workspace: Workspace) -> list[Job]:
    """The jobs that wait, of all projects, the next one first."""
    marks = [(project, mark) for project in workspace.projects() for mark in project.jobs.glob("*/queued")]
    jobs = [Job(mark.parent, project) for project, mark in marks]
    return sorted(jobs, key=lambda job: (_place(job), job.id))


def dequeue_job(job: Job) -> None:
    """Take the job out of the queue; nothing is left of one that has never worked.

    Raises StudioError when it does not wait any more.
    """
    with locked(job.project.workspace.start_lock, "job.starting"):
        if is_starting(job):
            raise Busy("job.starting")
        if not job.queue_mark.exists() or is_locked(job.lock):
            raise StudioError("job.not_queued", name=job.id)
        with disk_errors(job.folder):
            job.queue_mark.unlink()
            if not job.events_file.exists():
                shutil.rmtree(job.folder)


def paused_job(workspace: Workspace) -> Job | None:
    """The paused job for which the queue waits: whoever pauses wants the device for something else."""
    for project in workspace.projects():
        for mark in project.jobs.glob("*/control/pause"):
            job = Job(mark.parent.parent, project)
            if job_status(job).state == "paused":
                return job
    return None


def next_job(workspace: Workspace) -> Job | None:
    """The job that would start now; None when none waits, something works on the device, or a job is paused."""
    waiting = queued_jobs(workspace)
    if not waiting or is_locked(workspace.device_lock) or running_job(workspace) is not None:
        return None
    if is_starting(waiting[0]) or paused_job(workspace) is not None:
        return None
    return waiting[0]


def start_next_job(workspace: Workspace) -> Job | None:
    """Start the job whose turn it is and return it; None when nothing is to start now, or another process starts it.

    Two that call at once start exactly one. A job that cannot be started leaves the queue and says why in its own
    events; the one behind it is then tried.
    """
    if next_job(workspace) is None:
        return None
    try:
        with locked(workspace.start_lock, "job.starting"):
            while (job := next_job(workspace)) is not None:
                if _try_to_begin(job):
                    return job
    except StudioError as error:  # another process is starting one
        log.info("%s", error)
    return None


def _try_to_begin(job: Job) -> bool:
    """Start the job; False when it cannot be started: it has then left the queue with the reason in its events."""
    try:
        begin_locked(job)
        failure = Failed.saying("job.not_started", log=job.log)
    except Busy:  # something else was begun meanwhile: the job keeps its place
        raise
    except StudioError as error:
        failure = Failed.of(error.sentence)
    except OSError as error:
        failure = Failed.saying("job.not_begun", why=error.strerror or str(error))
    if not job.queue_mark.exists() or is_starting(job):  # a slow one takes its mark away later
        return True
    job.queue_mark.unlink(missing_ok=True)
    try:
        with locked(job.lock, "job.running", name=job.id), Journal(job.events_file) as journal:
            journal.append(failure)
    except (OSError, StudioError) as error:
        log.warning("%s: %s", job.folder, error)
    return False


def _place(job: Job) -> int:
    try:
        return int(job.queue_mark.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return 0
