"""Create jobs and start them, each in a process of its own.

The disk is all that page and job share. A job runs while its lock is held; what it did stands in `events.jsonl`;
requests to it are files in `control/`. So a reloaded page, a second browser and a restarted studio all see the same,
and a process that was killed does not look as if it ran.
"""

import logging
import shutil
import subprocess
import threading
import time
from contextlib import AbstractContextManager, suppress
from datetime import datetime

from ksh_studio.disk import LOCK_SECONDS, Busy, disk_errors, is_locked, locked, write_text
from ksh_studio.errors import StudioError
from ksh_studio.jobs.folder import Job, JobFile, JobSettings, StageName, jobs_of, running_job
from ksh_studio.jobs.owner import owner_of, release_ownership, take_ownership
from ksh_studio.jobs.requests import forget_requests
from ksh_studio.jobs.spawn import spawn
from ksh_studio.jobs.status import START_SECONDS, is_starting
from ksh_studio.jobs.tokens import tokens_for
from ksh_studio.project.set_aside import require_allowed
from ksh_studio.project.workspace import Project, Workspace

log = logging.getLogger(__name__)


def create_job_if_free(project: Project, stage: StageName, config: JobSettings) -> Job:
    """As `create_job`, for a job that is run in this process. Raises StudioError when the device is already in use."""
    if is_locked(project.workspace.device_lock):
        raise Busy("device.busy")
    return create_job(project, stage, config)


def create_job(project: Project, stage: StageName, config: JobSettings, parent: str | None = None) -> Job:
    """A new job folder with its complete settings; nothing runs yet."""
    stamp, number = f"{datetime.now():%Y%m%d-%H%M%S}-{stage}", 1
    folder = project.jobs / stamp
    with disk_errors(project.jobs):
        project.jobs.mkdir(parents=True, exist_ok=True)
        while True:
            try:
                folder.mkdir()
                break
            except FileExistsError:
                number += 1
                folder = project.jobs / f"{stamp}-{number}"
    trigger = project.settings().trigger
    settings = config.model_dump(mode="json")
    # newer than every other, also after the clock was set back
    created = max([time.time(), *(job.file.created + 0.001 for job in jobs_of(project)[:1])])
    content = JobFile(stage=stage, settings=settings, trigger=trigger, parent=parent, created=created)
    write_text(folder / "job.json", content.model_dump_json(indent=2))
    return Job(folder, project)


def start_job(project: Project, stage: StageName, config: JobSettings, parent: str | None = None) -> Job:
    """Create a job and start it. Raises StudioError as `begin_job` does; nothing of the job is then left."""
    job = create_job(project, stage, config, parent)
    try:
        begin_job(job)
    except StudioError:
        shutil.rmtree(job.folder)
        raise
    return job


def begin_job(job: Job) -> None:
    """Start a new job, or resume one that has ended, in its own process; returns when it holds its lock or has ended.

    Raises StudioError when another job works on the device that this one needs: two clicks, browsers or studios start
    exactly one.
    """
    # A job without the device has nobody to lose its turn to: it waits while another one is being started.
    seconds = LOCK_SECONDS if job.uses_device else START_SECONDS
    with locked(job.project.workspace.start_lock, "job.starting", seconds):
        begin_locked(job)


def resume_job(job: Job) -> None:
    """As `begin_job`, for a job that has ended.

    Raises StudioError, besides, for an import or export that was never begun here: its settings name places of another
    machine, or are a stranger's who made the backup from which it came.
    """
    if not job.uses_device and owner_of(job.folder) is None:
        raise StudioError("job.from_elsewhere", name=job.id)
    begin_job(job)


def begin_locked(job: Job) -> None:
    """As `begin_job`, for a caller that holds the workspace's start lock."""
    require_allowed(job.project, job.id)
    other = running_job(job.project.workspace) if job.uses_device else None
    if other is not None:
        raise Busy("job.busy", name=other.project.settings().name)
    if is_starting(job):
        raise Busy("job.starting")
    forget_requests(job)
    take_ownership(job.folder, starting=True)
    try:
        child = _spawn(job)
    except BaseException:
        release_ownership(job.folder)
        raise
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and child.poll() is None and is_starting(job):
        time.sleep(0.05)
    waiting = threading.Thread(target=_wait_for_end, args=(child, job), daemon=True)
    waiting.start()
    if child.poll() is not None:
        waiting.join()


def _spawn(job: Job) -> subprocess.Popen[bytes]:
    with disk_errors(job.log), job.log.open("ab") as log:
        tokens = tokens_for(job.file.settings)
        return spawn(
            ["job", str(job.folder)], extra_environment=tokens, stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )


def _wait_for_end(child: subprocess.Popen[bytes], job: Job) -> None:
    """Wait for the child, so that it does not stay as a zombie; if it never owned its job, that no longer starts."""
    signal_number = -child.wait()
    if signal_number > 0:  # nothing else knows it, for such a process has written nothing more
        with suppress(OSError), job.log.open("a", encoding="utf-8") as log:
            log.write(
                f"The process was ended by signal {signal_number}; 9 is what the system sends when memory runs out.\n"
            )
    if is_starting(job):
        release_ownership(job.folder)


def own_device(workspace: Workspace) -> AbstractContextManager[None]:
    """Own the GPU or CPU of this workspace for the block. Raises StudioError when another process does."""
    return locked(workspace.device_lock, "device.busy")
