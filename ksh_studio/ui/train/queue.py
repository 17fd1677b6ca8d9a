"""The trainings that wait for the device: shown, added to, taken out of."""

from typing import Any

import gradio as gr

from ksh_studio.errors import StudioError
from ksh_studio.jobs.folder import Job
from ksh_studio.jobs.queue import dequeue_job, enqueue_job, queued_jobs
from ksh_studio.locales import Language, translate
from ksh_studio.ui.access.visit import Visit
from ksh_studio.ui.parts.markup import esc, pick
from ksh_studio.ui.train.plan import to_begin


def line_up(visit: Visit, slug: str, **values: Any) -> None:
    """Add a training with the form's settings to the queue."""
    project, config = to_begin(visit, slug, values)
    enqueue_job(project, "train", config)


def take_out(visit: Visit, event: gr.EventData) -> None:
    """Remove the clicked training from the queue. Raises StudioError when it does not wait any more."""
    clicked = event._data if isinstance(event._data, dict) else {}
    wanted = str(clicked.get("value", ""))
    waiting = {_name(job): job for job in queued_jobs(visit.workspace)}
    if wanted not in waiting:
        raise StudioError("job.not_queued", name=wanted[:80])
    dequeue_job(waiting[wanted])


def queue_list(waiting: list[Job], language: Language, may_change: bool) -> str:
    """The queue in its order; empty while nothing waits."""
    if not waiting:
        return ""
    items = "".join(_item(number, job, language, may_change) for number, job in enumerate(waiting, 1))
    title = esc(translate("train_tab.queue", language))
    return f'<section class="ksh-queue"><h4>{title}</h4><ol class="ksh-files">{items}</ol></section>'


def _item(number: int, job: Job, language: Language, may_change: bool) -> str:
    settings = job.file.settings
    steps = translate("train_tab.steps", language, steps=settings.get("max_train_steps"))
    rank = f"{translate('settings.train.rank', language)} {settings.get('rank')}"
    name = f"{number}. {esc(job.project.settings().name)} <small>{esc(f'{steps} · {rank} · {job.id}')}</small>"
    remove = translate("train_tab.remove", language)
    return f"<li><span>{name}</span>{pick(_name(job), remove, f'{remove}: {job.id}') if may_change else ''}</li>"


def _name(job: Job) -> str:
    return f"{job.project.slug}/{job.id}"
