"""Work in another process, controlled from a terminal: stop, pause, resume, preview-now, and the queue.

Each function returns the sentence to print.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from ksh_studio.config import SettledTraining
from ksh_studio.errors import StudioError
from ksh_studio.jobs.folder import Job, jobs_of, running_job
from ksh_studio.jobs.queue import dequeue_job, enqueue_job, paused_job, queued_jobs, start_next_job
from ksh_studio.jobs.requests import pause_job, request_preview, stop_job
from ksh_studio.jobs.start import resume_job
from ksh_studio.jobs.status import job_status
from ksh_studio.locales import Language, translate
from ksh_studio.project.workspace import Project, Workspace


@dataclass(frozen=True)
class ActionOptions:
    """What was typed after an action's name."""

    project: Project
    job_id: str | None = None
    """None: the job that works, the one on the device first, else the newest training."""
    language: Language = "en"
    prompt: str = ""
    seed: int | None = None

    def job(self) -> Job:
        """The job that is meant. Raises StudioError when there is none."""
        jobs = jobs_of(self.project)
        if self.job_id:
            jobs = [job for job in jobs if job.id == self.job_id]
            if not jobs:
                raise StudioError("job.unknown", name=self.job_id)
            return jobs[0]
        alive = [job for job in jobs if job_status(job).alive]
        on_device = [job for job in alive if job.uses_device]  # rather than an import beside it
        candidates = on_device or alive or jobs_of(self.project, "train")
        if not candidates:
            raise StudioError("job.none")
        return candidates[0]

    def working_job(self) -> Job:
        """The job that is meant. Raises StudioError when it does not work right now."""
        job = self.job()
        if not job_status(job).alive:
            raise StudioError("job.not_working", name=job.id)
        return job

    def answer(self, key: str, job: Job) -> str:
        """The sentence about the job."""
        return translate(f"job_actions.{key}", self.language, name=job.id, folder=job.previews)


def stop(options: ActionOptions) -> str:
    """Ask the job to end after its step; end one that is paused at once, so that the queue goes on."""
    job = options.job()
    if job_status(job).state == "paused":
        stop_job(job)
        start_next_job(job.project.workspace)
        return options.answer("stopped_paused", job)
    job = options.working_job()
    stop_job(job)
    return options.answer("stop", job)


def pause(options: ActionOptions) -> str:
    """Ask the training to save and free the device."""
    job = options.working_job()
    pause_job(job)
    return options.answer("pause", job)


def resume(options: ActionOptions) -> str:
    """Start the job again in the background. Raises StudioError for one that is finished or waits in the queue."""
    job = options.job()
    state = job_status(job).state
    if state == "finished":
        raise StudioError("job.resume_finished", name=job.id)
    if state == "queued":
        raise StudioError("job.resume_queued", name=job.id)
    resume_job(job)
    return options.answer("resume", job)


def preview_now(options: ActionOptions) -> str:
    """Ask the training to draw a prompt after its current step. Raises StudioError for a job of another stage."""
    job = options.working_job()
    if job.file.stage != "train":
        raise StudioError("job.no_preview")
    request_preview(job, options.prompt, options.seed)
    return options.answer("preview", job)


@dataclass(frozen=True)
class JobAction:
    """One action as the command line offers it."""

    run: Callable[[ActionOptions], str]
    help: str
    """What it does, in a few words."""
    more: str
    """What the artist should know besides."""


ACTIONS: Mapping[str, JobAction] = MappingProxyType(
    {
        "stop": JobAction(stop, "end a job", "It finishes its step and saves; what it has made is kept."),
        "pause": JobAction(
            pause,
            "free the device for a while",
            "The training saves and ends, and the queue waits until it is resumed or stopped.",
        ),
        "resume": JobAction(
            resume, "go on with a training in the background", "It goes on where its newest checkpoint left it."
        ),
        "preview-now": JobAction(
            preview_now, "draw a prompt in the middle of a training", "The picture comes after its current step."
        ),
    }
)


def queue_training(project: Project, config: SettledTraining, language: Language) -> str:
    """Put a training at the end of the queue, and start what may start."""
    job = enqueue_job(project, "train", config)
    start_next_job(project.workspace)
    waiting = [other.id for other in queued_jobs(project.workspace)]
    if job.id not in waiting:
        return translate("job_actions.begun", language, name=job.id)
    return translate("job_actions.queued", language, name=job.id, place=waiting.index(job.id) + 1)


def queue_lines(workspace: Workspace, language: Language) -> Iterator[str]:
    """The job that works, the paused one for which the queue waits, and the queue in its order; starts nothing."""
    for key, job in (("working", running_job(workspace)), ("paused", paused_job(workspace))):
        if job is not None:
            yield translate(f"job_actions.{key}", language, name=job.id, project=_project_name(job))
    jobs = queued_jobs(workspace)
    for place, job in enumerate(jobs, 1):
        yield f"{place}. {job.id}  {_project_name(job)}"
    if not jobs:
        yield translate("job_actions.nothing_waits", language)


def remove_from_queue(workspace: Workspace, job_id: str) -> None:
    """Take a job out of the queue. Raises StudioError when none of that id waits."""
    for job in queued_jobs(workspace):
        if job.id == job_id:
            return dequeue_job(job)
    raise StudioError("job.not_queued", name=job_id[:100])


def _project_name(job: Job) -> str:
    try:
        return job.project.settings().name
    except StudioError:
        return job.project.slug
