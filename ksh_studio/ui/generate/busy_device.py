"""While a job computes on the device: which one, how far it is, and what can be done instead of waiting."""

import time
from dataclasses import dataclass
from typing import Generic, TypeVar

import gradio as gr

from ksh_studio.errors import StudioError
from ksh_studio.events import Paused
from ksh_studio.jobs.figures import duration
from ksh_studio.jobs.folder import Job, running_job
from ksh_studio.jobs.history import JobHistory
from ksh_studio.jobs.requests import pause_job, request_preview
from ksh_studio.jobs.status import job_status
from ksh_studio.locales import Language, translate
from ksh_studio.ui.access.visit import Visit
from ksh_studio.ui.parts.languages import page_text
from ksh_studio.ui.parts.markup import Html, note
from ksh_studio.ui.parts.outputs import Update, visible

PAUSE_SECONDS = 300.0
"""The longest that a training may take to finish its step, save and free the device."""
LOOK_SECONDS = 0.3
B = TypeVar("B")
S = TypeVar("S")


@dataclass(frozen=True)
class Instead(Generic[B, S]):
    """What can be done instead of waiting, and its components."""

    pause: B
    preview: B
    offered: S
    """Whether the page says that the device is at work."""


def build_instead() -> Instead[gr.Button, gr.State]:
    """Build the two buttons, hidden until they are needed."""
    with gr.Row(elem_classes="ksh-actions"):
        pause = gr.Button(page_text("generate_tab.pause_and_draw"), elem_id="pause-and-draw", visible=False)
        preview = gr.Button(page_text("generate_tab.preview_instead"), elem_id="preview-instead", visible=False)
    return Instead(pause, preview, gr.State(False))


def nothing_instead() -> Instead[Update, bool]:
    """The device is free: no button is shown."""
    return Instead(visible(False), visible(False), False)


def offered_instead(visit: Visit, job: Job) -> Instead[Update, bool]:
    """Both buttons while a training works, for whoever may pause it; none for other jobs."""
    offered = visible(visit.may("train") and job.file.stage == "train")
    return Instead(offered, offered, True)


def busy_note(visit: Visit, job: Job) -> Html:
    """Which job computes on the device, and how far it is."""
    name, stage, language = job.project.settings().name, job.file.stage, visit.language
    if stage != "train":
        return note(translate(f"generate_tab.busy_{stage}", language, name=name), "warn")
    progress = _progress(visit.studio.histories.of(job), language)
    return note(translate("generate_tab.busy_train", language, name=name, progress=progress), "warn")


def _progress(history: JobHistory, language: Language) -> str:
    """Such as "step 53 of 120, 1 min 10 s left"."""
    if not history.steps:
        return translate("generate_tab.busy_preparing", language)
    last, left = history.steps[-1], history.remaining_seconds()
    parts = [translate("generate_tab.busy_step", language, step=last.step, total=last.total)]
    if left is not None:
        parts.append(translate("train_tab.left", language, time=duration(left, language)))
    return ", ".join(parts)


def working_training(visit: Visit) -> Job:
    """The training that computes on the device right now. Raises StudioError when none does."""
    job = running_job(visit.workspace)
    if job is None or job.file.stage != "train":
        raise StudioError("generate_tab.no_training")
    return job


def pause_and_wait(job: Job) -> None:
    """Pause the training and return once it has freed the device.

    Raises StudioError when it takes too long; it is paused all the same once its step is done.
    """
    pause_job(job)
    end = time.monotonic() + PAUSE_SECONDS
    while job_status(job).alive:
        if time.monotonic() > end:
            raise StudioError("generate_tab.pause_takes_long", name=job.project.settings().name)
        time.sleep(LOOK_SECONDS)


def paused_note(job: Job, language: Language) -> Html:
    """That the training is paused, at which step, and how it goes on; empty where it has ended in another way."""
    last = job_status(job).last
    if not isinstance(last, Paused):
        return Html()
    name, values = job.project.settings().name, last.values
    key = "generate_tab.paused" if "step" in values else "generate_tab.paused_early"
    return note(translate(key, language, **values | {"name": name}), "warn")


def ask_for_preview(visit: Visit, prompt: str) -> Html:
    """Ask the training that works for a picture of this prompt (empty: of its trigger); says where it will be."""
    job = working_training(visit)
    request_preview(job, (prompt or "").strip() or job.file.trigger.text)
    return note(translate("generate_tab.preview_comes", visit.language, name=job.project.settings().name), "good")
