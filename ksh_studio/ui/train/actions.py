"""What the artist does with a training job: begin, stop, pause, go on, look at it now, use its LoRA."""

from typing import Any

import gradio as gr

from ksh_studio.disk import open_folder
from ksh_studio.errors import StudioError
from ksh_studio.jobs.requests import end_job, pause_job, request_preview, stop_job
from ksh_studio.jobs.start import begin_job, start_job
from ksh_studio.locales import translate
from ksh_studio.ui.access.visit import Visit
from ksh_studio.ui.train.plan import to_begin
from ksh_studio.ui.train.recommended import recommended
from ksh_studio.ui.train.shown_job import wanted_job


def train(visit: Visit, slug: str, **values: Any) -> str:
    """Start training with the form's settings; returns the job's id."""
    project, config = to_begin(visit, slug, values)
    visit.studio.worker.end()
    return start_job(project, "train", config).id


def halt(visit: Visit, slug: str, chosen: str) -> None:
    """Ask the job to finish its step, save and end."""
    stop_job(wanted_job(visit, slug, chosen))


def rest(visit: Visit, slug: str, chosen: str) -> None:
    """Ask the job to finish its step, save and free the device until it is resumed."""
    pause_job(wanted_job(visit, slug, chosen))


def end_now(visit: Visit, slug: str, chosen: str) -> None:
    """End a job that does not answer."""
    end_job(wanted_job(visit, slug, chosen))


def go_on(visit: Visit, slug: str, chosen: str) -> None:
    """Resume a job that was stopped or paused, or ended unexpectedly."""
    job = wanted_job(visit, slug, chosen)
    visit.studio.worker.end()
    begin_job(job)


def preview_now(visit: Visit, slug: str, chosen: str, prompt: str) -> None:
    """Ask the running job for a picture of this prompt after its current step; empty: the trigger alone."""
    job = wanted_job(visit, slug, chosen)
    prompt = (prompt or "").strip() or job.file.trigger.text
    request_preview(job, prompt)
    gr.Info(translate("train_tab.asked_for", visit.language), title=translate("train_tab.preview_now", visit.language))


def choose(visit: Visit, slug: str, job: str) -> str:
    """Show an earlier job."""
    return wanted_job(visit, slug, job).id


def show_folder(visit: Visit, slug: str, chosen: str) -> None:
    """Open the job's LoRA folder on the machine the studio runs on."""
    job = wanted_job(visit, slug, chosen)
    open_folder(job.loras if job.loras.is_dir() else job.folder)


def steps_of(picked: Any) -> list[int]:
    """The steps ticked in a group of boxes, whatever a raw call sends."""
    return sorted(int(step) for step in picked or [] if str(step).isdecimal())


def lora_of(visit: Visit, slug: str, chosen: str, step: int | None = None) -> str:
    """Path inside the workspace of the job's LoRA of a step; without one, of the recommended step, else of the last.

    Raises StudioError when there is no such file.
    """
    project = visit.project(slug)
    history = visit.studio.histories.of(wanted_job(visit, slug, chosen))
    if not history.loras:
        raise StudioError("train_tab.no_lora")
    found = recommended(history) if step is None else None
    wanted = found.step if found is not None else step if step is not None else max(lora.step for lora in history.loras)
    path = next((lora.path for lora in history.loras if lora.step == wanted), None)
    if path is None:
        raise StudioError("train_tab.no_lora")
    return (project.root / path).relative_to(project.workspace.root).as_posix()
