"""Work in another process, steered from a terminal: stopped, paused, gone on with, looked at, lined up.

Each answers with the sentence to print.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from ksh_studio.config import TrainConfig
from ksh_studio.errors import StudioError
from ksh_studio.jobs.folder import Job, jobs_of, running_job
from ksh_studio.jobs.queue import dequeue, enqueue_job, paused_job, queued_jobs, start_next_job
from ksh_studio.jobs.requests import pause_job, request_preview, stop_job
from ksh_studio.jobs.start import begin_job
from ksh_studio.jobs.status import job_status
from ksh_studio.locales import Language, translate
from ksh_studio.project.workspace import Project, Workspace


@dataclass(frozen=True)
class Asking:
    """What was typed after the word."""

    project: Project
    job: str | None = None
    """Id of a job; None: the one that works, else the newest training."""
    language: Language = "en"
    prompt: str | None = None
    seed: int | None = None

    def meant(self) -> Job:
        """The job. Raises StudioError when there is none."""
        if self.job:
            found = [job for job in jobs_of(self.project) if job.id == self.job]
        else:
            running = [job for job in jobs_of(self.project) if job_status(job).alive]
            found = running or jobs_of(self.project, "train")
        if not found:
            raise StudioError("job.unknown", name=self.job) if self.job else StudioError("job.none")
        return found[0]

    def working(self) -> Job:
        """The job, which works right now. Raises StudioError when it does not."""
        job = self.meant()
        if not job_status(job).alive:
            raise StudioError("job.not_working", name=job.id)
        return job

    def says(self, key: str, job: Job) -> str:
        """The sentence about the job."""
        return translate(f"steering.{key}", self.language, name=job.id)


def stop(asking: Asking) -> str:
    """End a job: it finishes its step and saves; what it has made is kept."""
    job = asking.meant()
    if job_status(job).state == "paused":
        stop_job(job)
        start_next_job(job.project.workspace)
        return asking.says("given_up", job)
    job = asking.working()
    stop_job(job)
    return asking.says("stop", job)


def pause(asking: Asking) -> str:
    """Free the device for a while: the training saves and ends, and the queue waits until it is resumed."""
    job = asking.working()
    pause_job(job)
    return asking.says("pause", job)


def resume(asking: Asking) -> str:
    """Go on with a training in the background: where its newest checkpoint left it."""
    job = asking.meant()
    state = job_status(job).state
    if state == "finished":
        raise StudioError("job.resume_finished", name=job.id)
    if state == "queued":
        raise StudioError("job.resume_queued", name=job.id)
    begin_job(job)
    return asking.says("resume", job)


def preview_now(asking: Asking) -> str:
    """Draw a prompt in the middle of a training: the picture comes after its current step."""
    job = asking.working()
    if job.file.stage != "train":
        raise StudioError("job.no_preview")
    request_preview(job, asking.prompt or "", asking.seed)
    return translate("steering.preview", asking.language, name=job.id, folder=job.previews)


WORDS: dict[str, Callable[[Asking], str]] = {
    "stop": stop,
    "pause": pause,
    "resume": resume,
    "preview-now": preview_now,
}


def line_up(project: Project, config: TrainConfig, language: Language) -> str:
    """Put a training at the end of the queue, and start what may start."""
    job = enqueue_job(project, "train", config)
    start_next_job(project.workspace)
    waiting = [other.id for other in queued_jobs(project.workspace)]
    if job.id not in waiting:
        return translate("steering.begun", language, name=job.id)
    return translate("steering.queued", language, name=job.id, place=waiting.index(job.id) + 1)


def waiting(workspace: Workspace, language: Language) -> Iterator[str]:
    """What works and what waits, a line each; starts what may start."""
    start_next_job(workspace)
    running = running_job(workspace)
    if running is not None:
        yield translate("steering.working", language, name=running.id, project=_name(running))
    held_back = paused_job(workspace)
    if held_back is not None:
        yield translate("steering.held_back", language, name=held_back.id, project=_name(held_back))
    found = queued_jobs(workspace)
    for place, job in enumerate(found, 1):
        yield f"{place}. {job.id}  {_name(job)}"
    if not found:
        yield translate("steering.nothing_waits", language)


def take_out(workspace: Workspace, name: str) -> None:
    """Remove the job of this id from the queue. Raises StudioError when none of that id waits."""
    for job in queued_jobs(workspace):
        if job.id == name:
            return dequeue(job)
    raise StudioError("job.not_queued", name=name[:100])


def _name(job: Job) -> str:
    try:
        return job.project.settings().name
    except StudioError:
        return job.project.slug
