"""What the artist does with a training job: start, stop, pause, resume, end, preview it now, use its LoRA."""

from ksh_studio.errors import StudioError
from ksh_studio.jobs.requests import end_job, pause_job, request_preview, stop_job
from ksh_studio.jobs.start import begin_job, start_job
from ksh_studio.locales import sentence
from ksh_studio.paths import SAFETENSORS
from ksh_studio.ui.access.visit import Visit
from ksh_studio.ui.parts.messages import done
from ksh_studio.ui.server.file_browser import open_folder
from ksh_studio.ui.train.plan import settings_to_begin
from ksh_studio.ui.train.recommended import recommendation
from ksh_studio.ui.train.shown_job import shown_job


def start(visit: Visit, slug: str, **values: object) -> str:
    """Start training with the form's settings; returns the job's id."""
    project, config = settings_to_begin(visit, slug, values)
    visit.studio.worker.end()
    return start_job(project, "train", config).id


def stop(visit: Visit, slug: str, job_id: str) -> None:
    """Ask the job to finish its step, save and end."""
    stop_job(shown_job(visit, slug, job_id))


def pause(visit: Visit, slug: str, job_id: str) -> None:
    """Ask the job to finish its step, save and free the device until it is resumed."""
    pause_job(shown_job(visit, slug, job_id))


def end(visit: Visit, slug: str, job_id: str) -> None:
    """End a job that does not answer."""
    end_job(shown_job(visit, slug, job_id))


def resume(visit: Visit, slug: str, job_id: str) -> None:
    """Resume a job that was stopped or paused, or ended unexpectedly."""
    job = shown_job(visit, slug, job_id)
    visit.studio.worker.end()
    begin_job(job)


def preview_now(visit: Visit, slug: str, job_id: str, prompt: str) -> str:
    """Ask the running job for a picture of this prompt after its current step; empty: the trigger alone.

    Returns the message that it will come.
    """
    job = shown_job(visit, slug, job_id)
    prompt = (prompt or "").strip() or job.file.trigger.text
    request_preview(job, prompt)
    return done(sentence("train_tab.preview_comes"))


def show_job(visit: Visit, slug: str, job_id: str) -> str:
    """Show an earlier job; returns its id."""
    return shown_job(visit, slug, job_id).id


def open_job_folder(visit: Visit, slug: str, job_id: str) -> None:
    """Open the job's LoRA folder on the machine the studio runs on."""
    job = shown_job(visit, slug, job_id)
    open_folder(job.loras if job.loras.is_dir() else job.folder)


def ticked_steps(values: object) -> list[int]:
    """The steps ticked in a group of boxes, in order, whatever a raw call sends."""
    listed = values if isinstance(values, list | tuple) else []
    return sorted(int(step) for step in listed if str(step).isdecimal())


def lora_of(visit: Visit, slug: str, job_id: str, step: int | None = None) -> str:
    """Path inside the workspace of the job's LoRA of a step; without one, of the recommended step, else of the last.

    Raises StudioError when there is no such file.
    """
    project = visit.project(slug)
    history = visit.studio.histories.of(shown_job(visit, slug, job_id))
    if not history.loras:
        raise StudioError("train_tab.no_lora")
    if step is None:
        best = recommendation(history)
        step = best.step if best is not None else max(lora.step for lora in history.loras)
    path = next((lora.path for lora in history.loras if lora.step == step), None)
    if path is None:
        raise StudioError("train_tab.no_lora")
    project.file_at(path, project.jobs, SAFETENSORS)
    return (project.root / path).relative_to(project.workspace.root).as_posix()
